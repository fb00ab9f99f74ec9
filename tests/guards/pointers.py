"""JSON pointers of findings."""

from __future__ import annotations

from typing import Any

__all__ = ["resolve"]


def resolve(value: Any, pointer: str) -> Any:
    """What a pointer leads to (RFC 6901). Raises LookupError where it leads nowhere."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value
