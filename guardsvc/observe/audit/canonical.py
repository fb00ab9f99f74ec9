"""Canonical JSON: the same bytes for equal values, in the spirit of RFC 8785.

Members in order of their names, no space, and a number without fraction as an integer, however it was
spelt; so equal arguments have equal digests.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["canonical"]

_encode = msgspec.json.Encoder(order="deterministic").encode


def canonical(value: Any) -> bytes:
    """The bytes of a decoded JSON value.

    Raises:
        TypeError, ValueError, RecursionError: it is no JSON value.
    """
    return _encode(_normal(value) if _has_whole_float(value) else value)


def _has_whole_float(value: Any) -> bool:
    kind = type(value)
    if kind is float:
        return bool(value.is_integer())
    if kind is dict:
        value = value.values()
    elif kind is not list:
        return False
    return any(map(_has_whole_float, value))


def _normal(value: Any) -> Any:
    if type(value) is dict:
        return {key: _normal(item) for key, item in value.items()}
    if type(value) is list:
        return [_normal(item) for item in value]
    return int(value) if type(value) is float and value.is_integer() else value
