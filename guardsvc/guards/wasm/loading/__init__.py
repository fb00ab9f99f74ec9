"""From the place of a component to a module that can be called: read, trusted, compiled, kept."""
