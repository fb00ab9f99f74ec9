"""Sources: everything that facts come from in one process, for as long as it runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from guardsvc.state.catalog import CATALOG, Catalogs
from guardsvc.state.listed import LISTED, ListedNames
from guardsvc.state.rate_limits import RATE_LIMITS, RateLimits
from guardsvc.state.request_states import REQUEST_STATES, RequestStates
from guardsvc.state.sessions import SESSION_OWNER, SessionOwners

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from guardsvc.model import FactSource
    from guardsvc.state.catalog_needs import CatalogStore
    from guardsvc.state.tables import Tables

__all__ = ["Sources"]


class Sources:
    """The sources of one event loop. As an async context manager it closes them in the end.

    Args:
        clock: seconds that never go back, for what is kept in memory.
        session_evicted: as ``SessionOwners`` takes it.
        wall: seconds since 1970, by which it is told since when a name is known.

    Attributes:
        facts: every source, by the name of its fact.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        session_evicted: Callable[[str, str], None] = lambda _guard, _bound: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._rate_limits = RateLimits(clock)
        self._session_owners = SessionOwners(clock, session_evicted)
        self._catalogs = Catalogs(clock)
        self._listed = ListedNames(clock, wall)
        self._request_states = RequestStates(clock)
        self.facts: Mapping[str, FactSource] = {
            RATE_LIMITS: self._rate_limits,
            SESSION_OWNER: self._session_owners,
            CATALOG: self._catalogs,
            LISTED: self._listed,
            REQUEST_STATES: self._request_states,
        }

    def tables_of(self, store: CatalogStore) -> Tables:
        """The tables that catalogs are kept in, for who looks at them beside the guards."""
        return self._catalogs.tables_of(store)

    async def close(self) -> None:
        """End all connections; what is only in memory is gone."""
        await self._rate_limits.close()
        await self._session_owners.close()
        await self._catalogs.close()
        await self._listed.close()
        await self._request_states.close()

    async def __aenter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()
