"""guardsvc: the decision service that an MCP gateway asks about each operation."""

import sys
from importlib.metadata import version

__version__ = version("guardsvc")


def _import_structlog_without_rich() -> None:
    """Keep 3 MiB out of every process: structlog imports rich, where it is installed, for tracebacks in colour."""
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401, PLC0415
    finally:
        del sys.modules["rich"]


_import_structlog_without_rich()
