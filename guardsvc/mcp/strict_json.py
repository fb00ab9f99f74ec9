"""Strict JSON: the one reading of a body that no other reader could take for something else.

Most bodies take a fast way: msgspec decodes them. That no name was repeated is proved by a value that gives the
same text when it is encoded, or one with as many members as the source has. Any doubt is settled by a slow
reading that names the reason.
"""

from __future__ import annotations

from typing import Any

import msgspec

from guardsvc.mcp.refusal import Refusal
from guardsvc.mcp.scan import scan
from guardsvc.mcp.structure import containers_of, depth_of, members_of, structure_of

__all__ = ["Limits", "decode", "decode_slowly", "encode"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one body.

    Attributes:
        max_bytes: length of the body.
        max_depth: objects and arrays inside each other.
        max_keys: members of all objects together.
        max_containers: objects and arrays together.
    """

    max_bytes: int = 1_048_576
    max_depth: int = 64
    max_keys: int = 10_000
    max_containers: int = 10_000


DEFAULT_LIMITS = Limits()

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


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
    again = _encoded(value)
    if _is_shallow(data, limits) and again == data:
        return value
    structure = structure_of(data)
    members = members_of(structure)
    if members > limits.max_keys or depth_of(structure) > limits.max_depth:
        return decode_slowly(data, limits)
    # An object that was made has each of its names once.
    if again != data and members_of(structure_of(again)) != members:
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
    if containers_of(data) > limits.max_containers:
        structure = structure_of(data)
        containers = containers_of(structure)
        if containers > limits.max_containers:
            if depth_of(structure) > limits.max_depth:
                raise Refusal("too_deep", f"more than {limits.max_depth} levels")
            raise Refusal(
                "too_many_containers", f"{containers} objects and arrays, {limits.max_containers} are allowed"
            )


def _is_shallow(data: bytes, limits: Limits) -> bool:
    """Whether brackets and colons are so few that the text cannot exceed a limit."""
    return containers_of(data) <= limits.max_depth and data.count(b":") <= limits.max_keys


def _encoded(value: Any) -> bytes:
    """The text that the value makes, empty where an integer in it is too large to be written."""
    try:
        return _encode(value)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return b""
