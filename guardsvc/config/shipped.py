"""Shipped: YAML files of the package itself, which are read fast since nobody else writes them."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

__all__ = ["read_shipped"]

# Only for our own files: the C composer recurses without a bound, so that a megabyte of `[` ends the process. What
# others write is read by `Document`.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_shipped(package: str, name: str) -> Any:
    """What a YAML file of a package of ours says.

    Args:
        package: its full name.
        name: of the file in it.
    """
    return yaml.load((files(package) / name).read_bytes(), Loader=_LOADER)  # noqa: S506  a safe one, see above
