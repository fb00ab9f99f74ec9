"""The guards, and the registry of their types."""
