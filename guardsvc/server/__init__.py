"""Server: a configuration brought to life as listeners, reloads and an orderly end."""
