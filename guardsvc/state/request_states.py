"""Request states: the fact ``request_states``, to whom a server has given a ``requestState`` (MCP 2026-07-28)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from guardsvc.model import FactRequest, FactUse
from guardsvc.state.catalog import space_of
from guardsvc.state.catalog_needs import CatalogStore
from guardsvc.state.open_tables import open_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.state.tables import Tables

__all__ = ["REQUEST_STATES", "STORED_BYTES", "Holding", "RequestStates", "StateNeed"]

REQUEST_STATES = "request_states"
"""Name of the fact."""

STORED_BYTES = 16 << 20
"""Bytes of memory that states take where memory is their store; the oldest ones make room."""
MAX_HOLDERS = 64
"""Holders of one state that are remembered; a state that more have is no secret of anybody."""


class StateNeed(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a state.

    Attributes:
        store: where holders are kept.
        state: digest of the state.
        holder: digest of who is given it, or comes with it: caller, server and the request it belongs to.
        given: whether the server gives it now.
        ttl: seconds for which it is remembered.
    """

    store: CatalogStore
    state: str
    holder: str
    given: bool
    ttl: int


class Holding(msgspec.Struct, frozen=True):
    """Whether the state was given to the one who comes with it, and whether to anybody."""

    own: bool
    known: bool


class RequestStates:
    """The source of the fact. Made for one event loop.

    States belong to the guard's id, not to the policy: a reload forgets none.

    Args:
        clock: seconds that never go back, for what is in memory.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tables: dict[str | None, Tables] = {}

    async def fetch(self, request: FactRequest) -> Holding:
        """Who holds a state; one that is given now is remembered, unless somebody only looks.

        Raises:
            GuardFailure: with ``state_unavailable`` where the store does not answer.
        """
        need: StateNeed = request.need
        tables = self._open(need.store)
        scope = f"{space_of(request.guard, shadow=request.use is FactUse.SHADOW)}/states/{need.state}"
        holders = await tables.read(scope, None, request.seconds)
        if need.given:
            if request.use is not FactUse.DRY and len(holders) < MAX_HOLDERS:
                await tables.write(scope, {need.holder: b"1"}, request.seconds, need.ttl)
            return Holding(own=True, known=True)
        return Holding(own=need.holder in holders or len(holders) >= MAX_HOLDERS, known=bool(holders))

    async def close(self) -> None:
        """End all connections; what is only in memory is forgotten."""
        tables, self._tables = self._tables, {}
        for each in tables.values():
            await each.close()

    def _open(self, store: CatalogStore) -> Tables:
        tables = self._tables.get(store.url)
        if tables is None:
            tables = self._tables[store.url] = open_tables(store.url, self._clock, STORED_BYTES)
        return tables
