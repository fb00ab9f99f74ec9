"""Pins report: how many definitions are pinned, by guard, server and state, for the metrics."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog

from guardsvc.model import GuardFailure
from guardsvc.state.baseline import Baseline
from guardsvc.state.catalog_needs import CatalogStore
from guardsvc.state.pins import PinState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardsvc.observe import Metrics
    from guardsvc.policy import Policy
    from guardsvc.state import Sources

__all__ = ["PinsReport"]

log = structlog.get_logger(__name__)

EVERY_S = 30.0
FIRST_S = 2.0
CHANGED = "changed"
"""A pin of which the server shows something else, which was refused."""
STATES = (*PinState, CHANGED)
OTHER = "_other"
"""Servers that the policy does not name."""


class PinsReport:
    """Counts now and then. Tenants are summed up, as their number has no bound.

    Args:
        policy: gives the policy in force.
        sources: where the pins are.
        metrics: where to show them.
    """

    def __init__(self, policy: Callable[[], Policy], sources: Sources, metrics: Metrics) -> None:
        self._policy = policy
        self._sources = sources
        self._gauge = metrics.pins
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Count from now on."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Count no more."""
        if self._task is not None:
            self._task.cancel()

    async def count(self) -> None:
        """Count once. What cannot be read keeps its last figures."""
        policy = self._policy()
        servers = policy.servers.names
        for guard, store in _pinning(policy):
            try:
                counts = await self._counts(guard, store, servers)
            except GuardFailure as error:
                log.warning("pins_not_counted", guard=guard, why=str(error))
                continue
            for server in (*servers, OTHER):
                for state in STATES:
                    self._gauge.labels(guard, server, state).set(counts[server, state])

    async def _run(self) -> None:
        pause = FIRST_S
        while True:
            await asyncio.sleep(pause)
            pause = EVERY_S
            try:
                await self.count()
            except Exception:
                log.exception("pins_not_counted")

    async def _counts(self, guard: str, store: CatalogStore, servers: frozenset[str]) -> Counter[tuple[str, Any]]:
        counts: Counter[tuple[str, Any]] = Counter()
        baseline = Baseline(self._sources.tables_of(store), guard)
        async for place, pins in baseline.places():
            server = place.server if place.server in servers else OTHER
            counts.update((server, CHANGED if pin.changed else pin.state) for pin in pins)
            await asyncio.sleep(0)
        return counts


def _pinning(policy: Policy) -> Iterator[tuple[str, CatalogStore]]:
    """Guards that pin what servers show, and where."""
    for bound in policy.guards:
        store = getattr(bound.guard, "store", None)
        if bound.type.name == "rug_pull" and isinstance(store, CatalogStore):
            yield bound.id, store
