"""What guards ask the fact ``catalog`` for, and what they get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from guardsvc.state.pins import Entry, Pin, PinKind, Place

__all__ = [
    "AskedNeed",
    "CallFact",
    "CallNeed",
    "CatalogStore",
    "LearnNeed",
    "ListFact",
    "ListNeed",
    "Listed",
    "SchemaNeed",
    "SeveralNeed",
    "Turn",
]


class CatalogStore(msgspec.Struct, frozen=True):
    """Where pins are kept: in the memory of the process, or at ``sqlite:PATH`` or the URL of a Redis."""

    url: str | None = None

    def __repr__(self) -> str:
        """Without the URL, which may hold a password."""
        return f"CatalogStore({'memory' if self.url is None else self.url.partition(':')[0]})"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of which list an answer is.

    Attributes:
        list: digest of caller, server and what it lists.
        id: digest of the JSON-RPC id of the request.
        next: digest of the cursor of the next page, None where there is none.
        part: the server whose entries of a merged list are meant, empty where the list is of one.
    """

    list: str
    id: str
    next: str | None = None
    part: str = ""


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """One definition on the way to be learned, its canonical JSON with it where it is not pinned yet.

    Attributes:
        shape: see ``Pin``; empty where it is pinned.
        doubtful: whether a guard found something in it, or the list names it twice; such a one is not learned.
    """

    entry: Entry
    definition: str = ""
    shape: str = ""
    doubtful: bool = False


class AskedNeed(msgspec.Struct, frozen=True, kw_only=True):
    """A page is asked for; ``cursor`` is its digest, None for the first one."""

    store: CatalogStore
    turn: Turn
    cursor: str | None


class ListNeed(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is held against; ``turn`` is None where the answer cannot be told from others."""

    store: CatalogStore
    place: Place
    kind: PinKind
    entries: tuple[Entry, ...]
    turn: Turn | None = None


class ListFact(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a server's catalog.

    Attributes:
        pins: all of the kind, by name.
        definitions: canonical JSON of what changed entries are weighed against, by digest.
        before: what the pages before this one had.
        complete: whether ``before`` goes back to the first page.
        asked: the entries that it was asked for.
        server: whose catalog it is.
        settled: whether the list shows what is pinned and nothing else, and is not to be continued.
    """

    pins: Mapping[str, Pin] = {}
    definitions: Mapping[str, bytes] = {}
    before: tuple[Listed, ...] = ()
    complete: bool = False
    asked: tuple[Entry, ...] = ()
    server: str = ""
    settled: bool = False


class CallNeed(msgspec.Struct, frozen=True, kw_only=True):
    """The pins of one name at each server that a call may reach."""

    store: CatalogStore
    places: tuple[Place, ...]
    kind: PinKind
    name: str


class CallFact(msgspec.Struct, frozen=True, kw_only=True):
    """The pins, by server; None where there is none."""

    pins: Mapping[str, Pin | None] = {}


class LearnNeed(msgspec.Struct, frozen=True, kw_only=True):
    """What to remember once a decision stands.

    Attributes:
        new: pins to set where there is none yet.
        replaced: pins to set whatever there is.
        definitions: canonical JSON of what they stand for, by digest.
        dropped: digests whose definitions nothing stands for any more.
        pages: what this page and those before had, where another one follows.
    """

    store: CatalogStore
    place: Place
    kind: PinKind
    new: Mapping[str, Pin] = {}
    replaced: Mapping[str, Pin] = {}
    definitions: Mapping[str, bytes] = {}
    dropped: tuple[str, ...] = ()
    turn: Turn | None = None
    pages: tuple[Listed, ...] = ()


class SchemaNeed(msgspec.Struct, frozen=True, kw_only=True):
    """The definitions that a name is pinned to at each server, for guards beside the one that pins.

    The fact is a mapping of digest to canonical JSON, with those that there are.

    Attributes:
        pinned_by: id of the guard that pins, which is asked before.
    """

    pinned_by: str
    places: tuple[Place, ...]
    kind: PinKind
    name: str


class SeveralNeed(msgspec.Struct, frozen=True, kw_only=True):
    """Needs of the same store, one for each server of a merged list. The fact is a tuple of theirs."""

    store: CatalogStore
    needs: tuple[Any, ...]
