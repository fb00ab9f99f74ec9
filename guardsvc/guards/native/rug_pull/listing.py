"""Listing: the entries of a server's list, with their digests; lists that were seen before are looked up."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.tool_poisoning.cache import DigestCache
from guardsvc.model import Kind, Phase
from guardsvc.state.catalog_needs import Turn
from guardsvc.state.pins import INSTRUCTIONS, Entry, PinKind, entry_of

if TYPE_CHECKING:
    from guardsvc.model import Operation

__all__ = [
    "Item",
    "Listing",
    "asked_kind",
    "called",
    "cursor_of",
    "listing_kind",
    "member_of",
    "turn_of",
]

_LISTS = {
    Phase.TOOLS_LIST: (("tools", "name", PinKind.TOOL),),
    Phase.PROMPTS_LIST: (("prompts", "name", PinKind.PROMPT),),
    Phase.RESOURCES_LIST: (
        ("resources", "uri", PinKind.RESOURCE),
        ("resourceTemplates", "uriTemplate", PinKind.TEMPLATE),
    ),
}
_METHODS = {
    "tools/list": PinKind.TOOL,
    "prompts/list": PinKind.PROMPT,
    "resources/list": PinKind.RESOURCE,
    "resources/templates/list": PinKind.TEMPLATE,
}
_CALLS = {
    "tools/call": PinKind.TOOL,
    "prompts/get": PinKind.PROMPT,
    "resources/read": PinKind.RESOURCE,
}
_CACHED = 256
_encode = msgspec.json.Encoder().encode


class Item(msgspec.Struct, frozen=True):
    """One entry of a list.

    Attributes:
        entry: name and digests.
        where: JSON pointer into the payload.
        index: in the list.
    """

    entry: Entry
    where: str
    index: int


class Listing:
    """Reads lists, and remembers what it read under keyed digests."""

    def __init__(self) -> None:
        self._seen = DigestCache[tuple[Item, ...]](_CACHED, b"rug_pull")
        self._last: tuple[Any, PinKind, tuple[Item, ...]] = (None, PinKind.TOOL, ())

    def items(self, kind: PinKind, payload: Any) -> tuple[Item, ...]:
        """The entries that have a name; what has none cannot be called."""
        last, of_kind, items = self._last
        if last is not payload or of_kind is not kind:
            items = self._read(kind, payload)
            self._last = (payload, kind, items)
        return items

    def _read(self, kind: PinKind, payload: Any) -> tuple[Item, ...]:
        if kind is PinKind.SERVER:
            text = payload.get("instructions")
            return () if text is None else (Item(entry_of(INSTRUCTIONS, text)[0], "/instructions", 0),)
        member, field = member_of(kind)
        listed = payload.get(member)
        if type(listed) is not list or not listed:
            return ()
        digest = self._seen.digest(_encode(listed), kind.encode())
        items = self._seen.get(digest)
        if items is None:
            items = tuple(
                Item(entry_of(value[field], value)[0], f"/{member}/{index}", index)
                for index, value in enumerate(listed)
                if type(value) is dict and type(value.get(field)) is str
            )
            self._seen.put(digest, items)
        return items


def member_of(kind: PinKind) -> tuple[str, str]:
    """The member of a list's payload, and the member of an entry that names it."""
    return next((member, field) for rows in _LISTS.values() for member, field, of_kind in rows if of_kind is kind)


def listing_kind(operation: Operation) -> PinKind | None:
    """What a server's answer lists; None where it is no list."""
    payload = operation.payload
    if operation.kind is not Kind.RESULT or type(payload) is not dict:
        return None
    if operation.phase is Phase.CONNECTION:
        return PinKind.SERVER
    rows = _LISTS.get(operation.phase, ())
    return next((kind for member, _, kind in rows if member in payload), None)


def called(operation: Operation) -> PinKind | None:
    """What a call is for; None where it is no call."""
    return _CALLS.get(operation.method) if operation.kind in (Kind.REQUEST, Kind.NOTIFICATION) else None


def asked_kind(operation: Operation) -> PinKind | None:
    """The list that a request asks for; None where it asks for none."""
    return _METHODS.get(operation.method) if operation.kind is Kind.REQUEST else None


def turn_of(operation: Operation, kind: PinKind) -> Turn:
    """Which page of which list a request asks for, or an answer is.

    Answers are told apart by what every gateway protocol knows of them: caller, server and JSON-RPC id. Who mixes
    up two at worst takes a part of a list for the whole, and pins are of entries, not of lists.
    """
    caller = operation.caller
    request = operation.id if operation.id is not None else ""
    after = operation.payload.get("nextCursor") if type(operation.payload) is dict else None
    return Turn(
        list=_digest(caller.tenant, caller.principal, caller.verified, operation.server, kind),
        id=_digest(request, type(request).__name__),
        next=_digest(after) if type(after) is str else None,
    )


def cursor_of(operation: Operation) -> str | None:
    """Digest of the cursor in a request for a page, None for the first page."""
    cursor = operation.payload.get("cursor") if type(operation.payload) is dict else None
    return _digest(cursor) if type(cursor) is str else None


def _digest(*parts: object) -> str:
    return blake2b(json.dumps(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()
