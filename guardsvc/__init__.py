"""guardsvc: the decision service that an MCP gateway asks about each operation."""

from importlib.metadata import version

__version__ = version("guardsvc")
