"""Strict JSON: the one reading of a body that no other reader could take for something else.

Most bodies take a fast way: msgspec decodes them, and as many members in the value as in the source
prove that no name was repeated. Any doubt is settled by a slow reading that names the reason.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from guardsvc.mcp.refusal import Refusal
from guardsvc.mcp.scan import scan

__all__ = ["Limits", "decode", "decode_slowly", "encode"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one body.

    Attributes:
        max_bytes: length of the body.
        max_depth: objects and arrays inside each other.
        max_keys: members of all objects together.
    """

    max_bytes: int = 1_048_576
    max_depth: int = 64
    max_keys: int = 10_000


DEFAULT_LIMITS = Limits()

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_COLON_AFTER_QUOTE = re.compile(rb'"[ \t\r\n]*+:')
_BLANKS_BEFORE_COLON = (b" :", b"\t:", b"\n:", b"\r:")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"([ \t\r\n]*+:)?', re.DOTALL)


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Decode one JSON text. Integers stay exact whatever their size.

    Raises:
        Refusal: the text is not JSON, could be read in two ways, or exceeds a limit. Where only its
            content is at fault the refusal carries the envelope of the JSON-RPC message.
    """
    _check_size(data, limits)
    try:
        value = _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return decode_slowly(data, limits)
    members = _count_members(value, limits)
    if members is None or (members != _count_colons(data) and members != _count_source_members(data)):
        return decode_slowly(data, limits)
    return value


def decode_slowly(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Decode as ``decode`` does, always by the reading that names the reason of a refusal."""
    _check_size(data, limits)
    return scan(data, max_depth=limits.max_depth, max_keys=limits.max_keys)


def encode(value: Any) -> bytes:
    """The canonical bytes of a JSON value.

    Raises:
        ValueError: the value is not one that ``decode`` returns.
    """
    try:
        data = _encode(value)
        same = _decode(data) == value
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a JSON value: {error}") from error
    if not same:
        raise ValueError("not a JSON value: it would be read as another one")
    return data


def _check_size(data: bytes, limits: Limits) -> None:
    if len(data) > limits.max_bytes:
        raise Refusal("too_large", f"{len(data)} bytes, {limits.max_bytes} are allowed")


def _count_members(value: Any, limits: Limits) -> int | None:
    """Members of all objects, or None where a limit is exceeded."""
    members = 0
    depth = 0
    level = [value]
    while level:
        inner: list[Any] = []
        containers = False
        for item in level:
            if type(item) is dict:
                containers = True
                members += len(item)
                inner += item.values()
            elif type(item) is list:
                containers = True
                inner += item
        depth += containers
        if depth > limits.max_depth or members > limits.max_keys:
            return None
        level = inner
    return members


def _count_colons(data: bytes) -> int:
    """Quotes with a colon behind: as many as members, or more where texts have some of their own."""
    if any(blank in data for blank in _BLANKS_BEFORE_COLON):
        return len(_COLON_AFTER_QUOTE.findall(data))
    return data.count(b'":')


def _count_source_members(data: bytes) -> int:
    """Members of all objects in the source, which must be JSON: the strings with a colon behind."""
    colons = _STRING.findall(data)
    return len(colons) - colons.count(b"")
