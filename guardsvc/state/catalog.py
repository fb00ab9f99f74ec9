"""Catalog: the fact ``catalog``, what a server's lists are held against, and what is learned from them."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from guardsvc.model import ErrorKind, FactRequest, FactUse, GuardFailure
from guardsvc.state.catalog_needs import (
    AskedNeed,
    CallFact,
    CallNeed,
    CatalogStore,
    LearnNeed,
    Listed,
    ListFact,
    ListNeed,
    SchemaNeed,
    SeveralNeed,
    Turn,
)
from guardsvc.state.open_tables import open_tables
from guardsvc.state.pin_memo import PinMemo
from guardsvc.state.pins import Pin, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from guardsvc.state.pins import PinKind
    from guardsvc.state.tables import Tables

__all__ = ["CATALOG", "Catalogs", "decode_pin", "encode_pins", "field_of", "scope_of", "space_of"]

CATALOG = "catalog"
"""Name of the fact."""

TURN_TTL = 300.0
"""Seconds between the request for a page and the request for the next one, at most."""
MAX_CHAIN = 262_144
"""Bytes that are kept of the pages before; of a longer list nothing is learned."""
FIRST = b"first"

_pin_encoder = msgspec.json.Encoder()
_pin_decoder = msgspec.json.Decoder(Pin)
_pages = msgspec.json.Decoder(tuple[Listed, ...])


class Catalogs:
    """The source of the fact. Made for one event loop.

    Pins belong to the guard's id, not to the policy: a reload forgets none.

    Args:
        clock: seconds that never go back, for what is in memory.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tables: dict[str | None, Tables] = {}
        self._pinned_by: dict[str, tuple[Tables, str]] = {}
        self._memos: dict[str | None, PinMemo] = {}

    async def fetch(self, request: FactRequest) -> Any:
        """Answer a need: of a list, of a call, or to remember something.

        Recorded verdicts rest on pins of their own; a dry look changes nothing.

        Raises:
            GuardFailure: with ``state_unavailable`` where the store does not answer.
        """
        need = request.need
        if isinstance(need, SchemaNeed):
            return await self._schemas(need, request)
        tables, space = self._open(need.store), space_of(request.guard, shadow=request.use is FactUse.SHADOW)
        self._pinned_by[request.guard] = (tables, space)
        view = _View(tables, space, request, self._memo(need.store))
        if isinstance(need, SeveralNeed):
            return tuple([await self._answer(view, each, request.use) for each in need.needs])
        return await self._answer(view, need, request.use)

    def at_hand(self, request: FactRequest) -> Any:
        """What a list that has not changed is held against, where that was read a moment ago; else None."""
        need, space = request.need, space_of(request.guard, shadow=request.use is FactUse.SHADOW)
        needs = need.needs if isinstance(need, SeveralNeed) else (need,)
        if request.guard not in self._pinned_by or not all(isinstance(each, ListNeed) for each in needs):
            return None
        tables = self._tables.get(need.store.url)
        if tables is None or self._pinned_by[request.guard] != (tables, space):
            return None
        memo = self._memo(need.store)
        facts: list[ListFact] = []
        for each in needs:
            fact = _settled(memo, scope_of(space, "pins", each.place), each)
            if fact is None:
                return None
            facts.append(fact)
        return tuple(facts) if isinstance(need, SeveralNeed) else facts[0]

    async def _answer(self, view: _View, need: Any, use: FactUse) -> Any:
        match need:
            case ListNeed():
                return await view.list(need)
            case CallNeed():
                return await view.call(need)
            case AskedNeed():
                return None if use is FactUse.DRY else await view.asked(need)
            case LearnNeed():
                return None if use is FactUse.DRY else await view.learn(need)
        raise TypeError(f"{type(need).__name__} is no need of a catalog")

    async def _schemas(self, need: SchemaNeed, request: FactRequest) -> dict[str, bytes]:
        known = self._pinned_by.get(need.pinned_by)
        if known is None:
            raise GuardFailure(
                ErrorKind.STATE_UNAVAILABLE,
                f"guard {need.pinned_by} has not been asked before; it must stand in front of {request.guard}",
            )
        return await _View(*known, request, PinMemo(self._clock)).schemas(need)

    def _memo(self, store: CatalogStore) -> PinMemo:
        """What lists were held against a moment ago."""
        memo = self._memos.get(store.url)
        if memo is None:
            memo = self._memos[store.url] = PinMemo(self._clock)
        return memo

    async def close(self) -> None:
        """End all connections; what is only in memory is forgotten."""
        self._memos.clear()
        tables, self._tables = self._tables, {}
        self._pinned_by.clear()
        for each in tables.values():
            await each.close()

    def tables_of(self, store: CatalogStore) -> Tables:
        """The tables of a store, opened where they are not yet."""
        return self._open(store)

    def _open(self, store: CatalogStore) -> Tables:
        tables = self._tables.get(store.url)
        if tables is None:
            tables = self._tables[store.url] = open_tables(store.url, self._clock)
        return tables


@lru_cache(256)
def space_of(guard: str, *, shadow: bool = False) -> str:
    """Where the pins of a guard are."""
    return f"{'shadow' if shadow else 'applied'}/{quote(guard, safe='')}"


def field_of(kind: PinKind, name: str) -> str:
    """Where the pin of a name is among those of its place."""
    return f"{kind}:{name}"


@lru_cache(4096)
def scope_of(space: str, what: str, place: Place) -> str:
    """Where ``pins`` or ``definitions`` of a place are."""
    return f"{space}/{what}/{quote(place.tenant, safe='')}/{quote(place.server, safe='')}"


@lru_cache(16_384)
def decode_pin(value: bytes) -> Pin:
    """A pin as it is stored."""
    return _pin_decoder.decode(value)


class _View:
    """What one request sees."""

    def __init__(self, tables: Tables, space: str, request: FactRequest, memo: PinMemo) -> None:
        self._tables = tables
        self._memo = memo
        self._space = space
        self._seconds = request.seconds

    async def list(self, need: ListNeed) -> ListFact:
        """The pins of a place and kind, and the definitions that changes are weighed against."""
        scope = self._scope("pins", need.place)
        if (settled := _settled(self._memo, scope, need)) is not None:
            return settled
        found = await self._tables.read(scope, None, self._seconds)
        prefix = f"{need.kind}:"
        pins = {
            field.removeprefix(prefix): decode_pin(value) for field, value in found.items() if field.startswith(prefix)
        }
        self._memo.keep(scope, need.kind, pins)
        before, complete = await self._pages_before(need.turn)
        wanted = {pin.first for entry in need.entries if (pin := pins.get(entry.name)) and pin.digest != entry.digest}
        definitions = await self._definitions(need.place, wanted) if wanted else {}
        return ListFact(
            pins=pins,
            definitions=definitions,
            before=before,
            complete=complete,
            asked=need.entries,
            server=need.place.server,
        )

    async def call(self, need: CallNeed) -> CallFact:
        """The pins that a name has at each server."""
        field = field_of(need.kind, need.name)
        pins = {}
        for place in need.places:
            found = await self._tables.read(self._scope("pins", place), (field,), self._seconds)
            pins[place.server] = decode_pin(found[field]) if field in found else None
        return CallFact(pins=pins)

    async def schemas(self, need: SchemaNeed) -> dict[str, bytes]:
        """The definitions that a name is pinned to, by digest."""
        wanted = CallNeed(store=CatalogStore(), places=need.places, kind=need.kind, name=need.name)
        fact = await self.call(wanted)
        found: dict[str, bytes] = {}
        for place in need.places:
            pin = fact.pins[place.server]
            if pin is not None:
                found |= await self._definitions(place, (pin.digest,))
        return found

    async def asked(self, need: AskedNeed) -> None:
        """Remember which page a request asks for."""
        page = FIRST if need.cursor is None else need.cursor.encode()
        await self._tables.write(self._turn("asked", need.turn, need.turn.id), {"page": page}, self._seconds, TURN_TTL)

    async def learn(self, need: LearnNeed) -> None:
        """Pin what is new, mark what has changed, and keep what the next page needs."""
        scope = self._scope("pins", need.place)
        self._memo.forget(scope)
        await self._keep_definitions(need)
        if need.new:
            await self._tables.add(scope, encode_pins(need.kind, need.new), self._seconds)
        if need.replaced:
            await self._tables.write(scope, encode_pins(need.kind, need.replaced), self._seconds)
        if need.turn is not None and need.turn.next is not None:
            kept = _pin_encoder.encode(need.pages)
            if len(kept) <= MAX_CHAIN:
                self._memo.expect(need.turn.list)
                where = self._turn("pages", need.turn, need.turn.next)
                await self._tables.write(where, {"pages": kept}, self._seconds, TURN_TTL)
        if need.dropped:
            await self._tables.drop(self._scope("definitions", need.place), need.dropped, self._seconds)

    async def _keep_definitions(self, need: LearnNeed) -> None:
        if need.definitions:
            await self._tables.write(self._scope("definitions", need.place), need.definitions, self._seconds)

    async def _definitions(self, place: Place, digests: Iterable[str]) -> dict[str, bytes]:
        return await self._tables.read(self._scope("definitions", place), digests, self._seconds)

    async def _pages_before(self, turn: Turn | None) -> tuple[tuple[Listed, ...], bool]:
        """What the pages before had, and whether nothing is missing in front of this one."""
        if turn is None:
            return (), False
        asked = (await self._tables.read(self._turn("asked", turn, turn.id), ("page",), self._seconds)).get("page")
        if asked is None:
            return (), False
        if asked == FIRST:
            return (), True
        found = await self._tables.read(self._turn("pages", turn, asked.decode()), ("pages",), self._seconds)
        return (_pages.decode(found["pages"]), True) if "pages" in found else ((), False)

    def _scope(self, what: str, place: Place) -> str:
        return scope_of(self._space, what, place)

    def _turn(self, what: str, turn: Turn, key: str) -> str:
        part = f"/{quote(turn.part, safe='')}" if turn.part and what == "pages" else ""
        return f"{self._space}/{what}/{turn.list}/{key}{part}"


def _settled(memo: PinMemo, scope: str, need: ListNeed) -> ListFact | None:
    """What is known of a list that shows what was pinned a moment ago, and nothing else."""
    known = memo.pins_of(scope, need)
    return None if known is None else ListFact(pins=known, asked=need.entries, server=need.place.server, settled=True)


def encode_pins(kind: PinKind, pins: Mapping[str, Pin]) -> dict[str, bytes]:
    """Pins as they are stored; those without a time are pinned now."""
    now = round(time.time(), 3)
    return {
        field_of(kind, name): _pin_encoder.encode(pin if pin.since else msgspec.structs.replace(pin, since=now))
        for name, pin in pins.items()
    }
