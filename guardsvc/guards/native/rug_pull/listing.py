"""Listing: the entries of a server's list, with their digests; lists that were seen before are looked up."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.lists import entries_of, member_of
from guardsvc.guards.native.tool_poisoning.cache import DigestCache
from guardsvc.model import Kind
from guardsvc.state.catalog_needs import Turn
from guardsvc.state.pins import INSTRUCTIONS, Entry, PinKind, entry_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardsvc.guards.native.lists import Prefixes
    from guardsvc.model import Operation

__all__ = [
    "Item",
    "Listing",
    "Part",
    "asked_kind",
    "called",
    "cursor_of",
    "definition_of",
    "turn_of",
]

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
_RECENT = 64
"""Lists that are kept as they are, the last one of each server and kind, since to compare is less than to digest."""
_MAX_RECENT = 131_072
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


class Part(msgspec.Struct, frozen=True):
    """The entries of a list that are of one server."""

    server: str
    items: tuple[Item, ...]
    entries: tuple[Entry, ...] = ()

    @classmethod
    def of(cls, server: str, items: Iterable[Item]) -> Part:
        """The part of these items."""
        items = tuple(items)
        return cls(server, items, tuple([item.entry for item in items]))


class Listing:
    """Reads lists, and remembers what it read under keyed digests.

    Args:
        prefixes: of the policy's servers.
    """

    def __init__(self, prefixes: Prefixes) -> None:
        self._prefixes = prefixes
        self._seen = DigestCache[tuple[Part, ...]](_CACHED, b"rug_pull")
        self._recent: dict[tuple[PinKind, tuple[str, ...]], tuple[bytes, tuple[Part, ...]]] = {}
        self._last: tuple[Any, PinKind, tuple[str, ...], tuple[Part, ...]] = (None, PinKind.TOOL, (), ())

    def parts(self, kind: PinKind, operation: Operation, payload: Any) -> tuple[Part, ...]:
        """The entries that have a name, by server; what has none, or is of nobody knows whom, cannot be called.

        Args:
            kind: what is listed.
            operation: the list.
            payload: its payload, or what became of it.
        """
        last, of_kind, servers, parts = self._last
        if last is not payload or of_kind is not kind or servers != operation.servers:
            parts = self._read(kind, operation, payload)
            self._last = (payload, kind, operation.servers, parts)
        return parts

    def _read(self, kind: PinKind, operation: Operation, payload: Any) -> tuple[Part, ...]:
        if kind is PinKind.SERVER:
            text = payload.get("instructions")
            if operation.server is None:
                return ()
            items = () if text is None else (Item(entry_of(INSTRUCTIONS, text)[0], "/instructions", 0),)
            return (Part.of(operation.server, items),)
        member = member_of(kind)[0]
        listed = payload.get(member)
        if type(listed) is not list or not listed:
            return tuple(Part(server, ()) for server in operation.servers)
        data = _encode(listed)
        recent = self._recent.get((kind, operation.servers))
        if recent is not None and recent[0] == data:
            return recent[1]
        digest = self._seen.digest(data, "\n".join((kind, *operation.servers)).encode("utf-8", "replace"))
        parts = self._seen.get(digest)
        if parts is None:
            operation = msgspec.structs.replace(operation, payload=payload)
            of_server: dict[str, list[Item]] = {server: [] for server in operation.servers}
            for entry in entries_of(operation, kind, self._prefixes):
                if entry.name is not None and entry.server is not None:
                    item = Item(entry_of(entry.name, entry.own(kind))[0], f"/{member}/{entry.index}", entry.index)
                    of_server.setdefault(entry.server, []).append(item)
            parts = tuple(Part.of(server, items) for server, items in of_server.items())
            self._seen.put(digest, parts)
        if len(data) <= _MAX_RECENT:
            if len(self._recent) >= _RECENT:
                del self._recent[next(iter(self._recent))]
            self._recent[kind, operation.servers] = data, parts
        return parts


def definition_of(item: Item, kind: PinKind, payload: Any) -> Any:
    """The definition of an entry as its server has it, without a gateway's prefix."""
    if kind is PinKind.SERVER:
        return payload["instructions"]
    member, field = member_of(kind)
    return _named(payload[member][item.index], field, item.entry.name)


def _named(definition: dict[str, Any], field: str, name: str) -> dict[str, Any]:
    return definition if definition[field] == name else {**definition, field: name}


def called(operation: Operation) -> PinKind | None:
    """What a call is for; None where it is no call."""
    return _CALLS.get(operation.method) if operation.kind in (Kind.REQUEST, Kind.NOTIFICATION) else None


def asked_kind(operation: Operation) -> PinKind | None:
    """The list that a request asks for; None where it asks for none."""
    return _METHODS.get(operation.method) if operation.kind is Kind.REQUEST else None


def turn_of(operation: Operation, kind: PinKind, part: str = "") -> Turn:
    """Which page of which list a request asks for, or an answer is.

    Answers are told apart by what every gateway protocol knows of them: caller, server and JSON-RPC id. Who mixes
    up two at worst takes a part of a list for the whole, and pins are of entries, not of lists.

    Args:
        operation: the request or the answer.
        kind: what is listed.
        part: the server whose part of the list is meant.
    """
    caller = operation.caller
    request = operation.id if operation.id is not None else ""
    after = operation.payload.get("nextCursor") if type(operation.payload) is dict else None
    return Turn(
        list=_digest(caller.tenant, caller.principal, caller.verified, *sorted(operation.servers), kind),
        id=_digest(request, type(request).__name__),
        next=_digest(after) if type(after) is str else None,
        part="" if part == operation.server else part,
    )


def cursor_of(operation: Operation) -> str | None:
    """Digest of the cursor in a request for a page, None for the first page."""
    cursor = operation.payload.get("cursor") if type(operation.payload) is dict else None
    return _digest(cursor) if type(cursor) is str else None


def _digest(*parts: object) -> str:
    return blake2b(json.dumps(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()
