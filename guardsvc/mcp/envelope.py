"""Envelope: what of a JSON-RPC message can be told without trusting the rest of it.

A message that is refused still needs its id for the denial and its method for metrics and audit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from guardsvc.mcp.spelling import fold
from guardsvc.model import Kind, RequestId

__all__ = ["MAX_ID_LENGTH", "MAX_METHOD_LENGTH", "SAFE_INTEGER", "Envelope", "read_envelope", "valid_id"]

SAFE_INTEGER = 2**53
"""Greatest magnitude of protocol numbers: beyond it, readers that use doubles see another number."""

MAX_ID_LENGTH = 1024
MAX_METHOD_LENGTH = 256


class Envelope(msgspec.Struct, frozen=True):
    """The members every reader agrees on.

    Attributes:
        kind: what the message is, None where that cannot be told.
        method: its method, empty where it has none or it is not readable.
        id: its id, None where it has none or it can be read in more than one way.
    """

    kind: Kind | None = None
    method: str = ""
    id: RequestId | None = None


def valid_id(value: Any) -> bool:
    """Whether ``value`` is a request id that every reader sees alike."""
    if type(value) is int:
        return -SAFE_INTEGER <= value <= SAFE_INTEGER
    return type(value) is str and len(value) <= MAX_ID_LENGTH and not _has_surrogate(value)


def read_envelope(members: Iterable[tuple[str, Any]]) -> Envelope:
    """Read the envelope of one message.

    Args:
        members: the members of the outermost object as the source has them, repeated ones included.
    """
    spellings: dict[str, list[tuple[str, Any]]] = {}
    for name, value in members:
        folded = fold(name)
        if folded in _NAMES:
            spellings.setdefault(folded, []).append((name, value))
    method = _only(spellings, "method")
    if type(method) is not str or not 0 < len(method) <= MAX_METHOD_LENGTH or _has_surrogate(method):
        method = ""
    request_id = _only(spellings, "id")
    return Envelope(_kind(spellings), method, request_id if valid_id(request_id) else None)


_NAMES = frozenset({"id", "method", "result", "error"})


def _only(spellings: dict[str, list[tuple[str, Any]]], name: str) -> Any:
    found = spellings.get(name, [])
    return found[0][1] if len(found) == 1 and found[0][0] == name else None


def _kind(names: Iterable[str]) -> Kind | None:
    body = {"method", "result", "error"}.intersection(names)
    if body == {"method"}:
        return Kind.REQUEST if "id" in names else Kind.NOTIFICATION
    if body == {"result"}:
        return Kind.RESULT
    return Kind.ERROR if body == {"error"} else None


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)
