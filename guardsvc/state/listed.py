"""Listed: the fact ``listed``, what names each server of a tenant has shown to clients, and since when."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from guardsvc.model import FactRequest, FactUse
from guardsvc.state.catalog import space_of
from guardsvc.state.catalog_needs import CatalogStore
from guardsvc.state.open_tables import open_tables
from guardsvc.state.pins import PinKind, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guardsvc.state.tables import Tables

__all__ = ["LISTED", "ListedFact", "ListedNames", "ListedNeed", "NoteNeed", "Seen"]

LISTED = "listed"
"""Name of the fact."""

FRESH = 1.0
"""Seconds for which names that were read from a shared store are good."""
MAX_KEPT = 1024
MAX_NAME = 256
"""Characters of a name; a longer one is not remembered."""

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
        names: the same mapping of a server as long as nothing of it has changed.
        now: when it was asked, seconds since 1970.
    """

    names: Mapping[str, Mapping[str, Seen]]
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


class ListedNames:
    """The source of the fact. Made for one event loop.

    Names belong to the guard's id, not to the policy: a reload forgets none.

    Args:
        clock: seconds that never go back.
        wall: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._tables: dict[str | None, Tables] = {}
        self._kept: OrderedDict[tuple[str | None, str, PinKind], tuple[float, Names]] = OrderedDict()

    async def fetch(self, request: FactRequest) -> Any:
        """Answer a need: what was shown, or to remember it. A dry look changes nothing.

        Raises:
            GuardFailure: with ``state_unavailable`` where the store does not answer.
        """
        need, space = request.need, space_of(request.guard, shadow=request.use is FactUse.SHADOW)
        if isinstance(need, ListedNeed):
            names = {
                place.server: await self._names(need.store, _scope(space, place), need.kind, request.seconds)
                for place in need.places
            }
            return ListedFact(names=names, now=self._wall())
        if isinstance(need, NoteNeed):
            if request.use is not FactUse.DRY:
                for place, names_of_place in need.names.items():
                    await self._note(need, _scope(space, place), names_of_place, request.seconds)
            return None
        raise TypeError(f"{type(need).__name__} is no need of names")

    async def close(self) -> None:
        """End all connections; what is only in memory is forgotten."""
        tables, self._tables = self._tables, {}
        self._kept.clear()
        for each in tables.values():
            await each.close()

    async def _names(self, store: CatalogStore, scope: str, kind: PinKind, seconds: float) -> Names:
        key = store.url, scope, kind
        kept = self._kept.get(key)
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        found = await self._open(store).read(scope, None, seconds)
        prefix = f"{kind}:"
        names = {
            field.removeprefix(prefix): _decode(value) for field, value in found.items() if field.startswith(prefix)
        }
        if kept is not None and kept[1] == names:
            names = kept[1]
        self._keep(key, names)
        return names

    async def _note(self, need: NoteNeed, scope: str, shown: Mapping[str, str], seconds: float) -> None:
        known = await self._names(need.store, scope, need.kind, seconds)
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

    def _keep(self, key: tuple[str | None, str, PinKind], names: Names) -> None:
        self._kept[key] = (math.inf if key[0] is None else self._clock() + FRESH, names)
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def _open(self, store: CatalogStore) -> Tables:
        tables = self._tables.get(store.url)
        if tables is None:
            tables = self._tables[store.url] = open_tables(store.url, self._clock)
        return tables


def _scope(space: str, place: Place) -> str:
    return f"{space}/listed/{quote(place.tenant, safe='')}/{quote(place.server, safe='')}"
