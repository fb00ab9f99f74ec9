"""Listed: the fact ``listed``, what names each server of a tenant has shown to clients, and since when."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from functools import lru_cache
from secrets import token_bytes
from sys import getsizeof
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from guardsvc.model import FactRequest, FactUse
from guardsvc.state.catalog import space_of
from guardsvc.state.catalog_needs import CatalogStore
from guardsvc.state.open_tables import open_tables
from guardsvc.state.pins import PinKind, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from guardsvc.state.tables import Tables

__all__ = [
    "KEPT_BYTES",
    "LISTED",
    "MAX_NAME",
    "STORED_BYTES",
    "ListedFact",
    "ListedNames",
    "ListedNeed",
    "NoteNeed",
    "Seen",
]

LISTED = "listed"
"""Name of the fact."""

FRESH = 1.0
"""Seconds for which names that were read from a shared store are good."""
STORED_BYTES = 16 << 20
"""Bytes of memory that names take where memory is their store; beyond that no new ones are remembered."""
KEPT_BYTES = 16 << 20
"""Bytes of memory of the names that were read last, of whichever store."""
MAX_NAME = 256
"""Characters of a name; a longer one is not remembered."""
_SEEN = 320
"""Bytes that a name takes beside its text: its place among others, and when it was seen."""

_encode = msgspec.json.Encoder().encode


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """One name.

    Attributes:
        digest: of the definition, shortened.
        first: when it was first shown, seconds since 1970.
        changed: when its definition changed last, 0 where it has not.
    """

    digest: str
    first: float
    changed: float = 0.0


_decode = msgspec.json.Decoder(Seen).decode
Names = dict[str, Seen]


class ListedNeed(msgspec.Struct, frozen=True, kw_only=True):
    """The names that these places have shown."""

    store: CatalogStore
    places: tuple[Place, ...]
    kind: PinKind


class ListedFact(msgspec.Struct, frozen=True, kw_only=True):
    """The names by server.

    Attributes:
        names: by name, of each server.
        version: the same as long as nothing of them has changed, and never that of others.
        now: when it was asked, seconds since 1970.
    """

    names: Mapping[str, Mapping[str, Seen]]
    version: bytes
    now: float


class NoteNeed(msgspec.Struct, frozen=True, kw_only=True):
    """What a client was shown.

    Attributes:
        names: digests by name, by place.
        most: names of one place and kind to remember.
    """

    store: CatalogStore
    kind: PinKind
    names: Mapping[Place, Mapping[str, str]]
    most: int


_Key = tuple[str | None, str, PinKind]


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Names that were read; ``until`` when they are good, and the bytes of memory that they take."""

    until: float
    names: Names
    version: bytes
    size: int


class ListedNames:
    """The source of the fact. Made for one event loop.

    Names belong to the guard's id, not to the policy: a reload forgets none.

    Args:
        clock: seconds that never go back.
        wall: seconds since 1970.

    Attributes:
        kept_bytes: bytes of memory that the names take which were read last, ``KEPT_BYTES`` at most.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._tables: dict[str | None, Tables] = {}
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self.kept_bytes = 0

    async def fetch(self, request: FactRequest) -> Any:
        """Answer a need: what was shown, or to remember it. A dry look changes nothing.

        Raises:
            GuardFailure: with ``state_unavailable`` where the store does not answer.
        """
        need, space = request.need, space_of(request.guard, shadow=request.use is FactUse.SHADOW)
        if isinstance(need, ListedNeed):
            scopes = [_scope(space, place) for place in need.places]
            return self._fact(
                need, [await self._names(need.store, scope, need.kind, request.seconds) for scope in scopes]
            )
        if isinstance(need, NoteNeed):
            if request.use is not FactUse.DRY:
                for place, names_of_place in need.names.items():
                    await self._note(need, _scope(space, place), names_of_place, request.seconds)
            return None
        raise TypeError(f"{type(need).__name__} is no need of names")

    def at_hand(self, request: FactRequest) -> ListedFact | None:
        """What was shown, where all of it is known without a look at the store; else None."""
        need, space = request.need, space_of(request.guard, shadow=request.use is FactUse.SHADOW)
        if not isinstance(need, ListedNeed):
            return None
        known: list[_Kept] = []
        for place in need.places:
            kept = self._fresh((need.store.url, _scope(space, place), need.kind))
            if kept is None:
                return None
            known.append(kept)
        return self._fact(need, known)

    async def close(self) -> None:
        """End all connections; what is only in memory is forgotten."""
        tables, self._tables = self._tables, {}
        self._kept.clear()
        self.kept_bytes = 0
        for each in tables.values():
            await each.close()

    async def _names(self, store: CatalogStore, scope: str, kind: PinKind, seconds: float) -> _Kept:
        key = store.url, scope, kind
        if (fresh := self._fresh(key)) is not None:
            return fresh
        found = await self._open(store).read(scope, None, seconds)
        prefix = f"{kind}:"
        names = {
            field.removeprefix(prefix): _decode(value) for field, value in found.items() if field.startswith(prefix)
        }
        kept = self._kept.get(key)
        if kept is not None and kept.names == names:
            return self._keep(key, kept.names, kept)
        return self._keep(key, names)

    def _fresh(self, key: _Key) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._clock():
            return None
        self._kept.move_to_end(key)
        return kept

    def _fact(self, need: ListedNeed, known: Sequence[_Kept]) -> ListedFact:
        names = {place.server: each.names for place, each in zip(need.places, known, strict=True)}
        return ListedFact(names=names, version=b"".join([each.version for each in known]), now=self._wall())

    async def _note(self, need: NoteNeed, scope: str, shown: Mapping[str, str], seconds: float) -> None:
        known = (await self._names(need.store, scope, need.kind, seconds)).names
        now = round(self._wall(), 3)
        news: Names = {}
        for name, digest in shown.items():
            seen = known.get(name)
            if seen is not None and seen.digest != digest:
                news[name] = Seen(digest, seen.first, now)
            elif seen is None and len(name) <= MAX_NAME and len(known) + len(news) < need.most:
                news[name] = Seen(digest, now)
        if news:
            values = {f"{need.kind}:{name}": _encode(seen) for name, seen in news.items()}
            await self._open(need.store).write(scope, values, seconds)
            self._keep((need.store.url, scope, need.kind), {**known, **news})

    def _keep(self, key: _Key, names: Names, same: _Kept | None = None) -> _Kept:
        """Keep what was read; ``same`` is what was kept of the same names before."""
        before = self._kept.pop(key, None)
        if before is not None:
            self.kept_bytes -= before.size
        kept = _Kept(
            until=math.inf if key[0] is None else self._clock() + FRESH,
            names=names,
            version=token_bytes(16) if same is None else same.version,
            size=sum(map(getsizeof, names)) + _SEEN * (len(names) + 1) if same is None else same.size,
        )
        if kept.size <= KEPT_BYTES:
            self._kept[key] = kept
            self.kept_bytes += kept.size
            while self.kept_bytes > KEPT_BYTES:
                self.kept_bytes -= self._kept.popitem(last=False)[1].size
        return kept

    def _open(self, store: CatalogStore) -> Tables:
        tables = self._tables.get(store.url)
        if tables is None:
            tables = self._tables[store.url] = open_tables(store.url, self._clock, STORED_BYTES)
        return tables


@lru_cache(4096)
def _scope(space: str, place: Place) -> str:
    return f"{space}/listed/{quote(place.tenant, safe='')}/{quote(place.server, safe='')}"
