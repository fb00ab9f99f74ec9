"""Facts: what guards need that is not in the operation, fetched for them since guards do no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from guardsvc.model import ErrorKind, Facts, GuardFailure, Operation

if TYPE_CHECKING:
    from guardsvc.policy import BoundGuard

__all__ = ["NO_FACTS", "FactSource", "FactSources", "fetch"]

NO_FACTS: Facts = {}


class FactSource(Protocol):
    """Where one fact comes from."""

    async def fetch(self, operation: Operation) -> Any:
        """The fact for this operation.

        Raises:
            GuardFailure: with ``state_unavailable`` where the state cannot be reached.
        """


FactSources = Mapping[str, FactSource]


async def fetch(bound: BoundGuard, operation: Operation, sources: FactSources) -> Facts:
    """Every fact the guard type declares.

    Raises:
        GuardFailure: a fact cannot be had.
    """
    facts: dict[str, Any] = {}
    for name in bound.type.facts:
        source = sources.get(name)
        if source is None:
            raise GuardFailure(ErrorKind.STATE_UNAVAILABLE, f"no source of fact {name}")
        facts[name] = await source.fetch(operation)
    return facts
