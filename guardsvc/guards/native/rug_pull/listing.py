"""Listing: the entries of a server's list, with their digests; lists that were seen before are looked up."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from sys import getsizeof
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.digest_cache import DigestCache
from guardsvc.guards.native.list_digest import digest_of_list
from guardsvc.guards.native.lists import entries_of, member_of
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
_ITEM = 512
"""Bytes of memory that an item takes beside its name."""
_MEMO = "_parts_of_lists"


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
        self._seen = DigestCache[tuple[Part, ...]](_CACHED)

    def parts(self, kind: PinKind, operation: Operation, payload: Any) -> tuple[Part, ...]:
        """The entries that have a name, by server; what has none, or is of nobody knows whom, cannot be called.

        Args:
            kind: what is listed.
            operation: the list.
            payload: its payload, or what became of it.
        """
        memo: dict[tuple[Listing, PinKind], tuple[Any, tuple[Part, ...]]] = operation.__dict__.setdefault(_MEMO, {})
        last = memo.get((self, kind))
        if last is not None and last[0] is payload:
            return last[1]
        parts = self._read(kind, operation, payload)
        memo[self, kind] = payload, parts
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
        if payload is not operation.payload:
            operation = msgspec.structs.replace(operation, payload=payload)
        digest = digest_of_list(operation, kind)
        parts = self._seen.get(digest)
        if parts is None:
            of_server: dict[str, list[Item]] = {server: [] for server in operation.servers}
            for entry in entries_of(operation, kind, self._prefixes):
                if entry.name is not None and entry.server is not None:
                    item = Item(entry_of(entry.name, entry.own(kind))[0], f"/{member}/{entry.index}", entry.index)
                    of_server.setdefault(entry.server, []).append(item)
            parts = tuple(Part.of(server, items) for server, items in of_server.items())
            size = sum(_ITEM + getsizeof(item.entry.name) for part in parts for item in part.items)
            self._seen.put(digest, parts, size)
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
        list=_digest_of_list(caller.tenant, caller.principal, caller.verified, operation.servers, kind.value),
        id=_digest(request, type(request).__name__),
        next=_digest(after) if type(after) is str else None,
        part="" if part == operation.server else part,
    )


def cursor_of(operation: Operation) -> str | None:
    """Digest of the cursor in a request for a page, None for the first page."""
    cursor = operation.payload.get("cursor") if type(operation.payload) is dict else None
    return _digest(cursor) if type(cursor) is str else None


@lru_cache(1024)
def _digest_of_list(
    tenant: str | None, principal: str | None, verified: bool, servers: tuple[str, ...], kind: str
) -> str:
    return _digest(tenant, principal, verified, *sorted(servers), kind)


def _digest(*parts: object) -> str:
    return blake2b(ascii(parts).encode(), digest_size=16).hexdigest()
