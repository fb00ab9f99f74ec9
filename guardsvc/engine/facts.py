"""Facts: what guards need that is not in the operation, fetched for them since guards do no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from guardsvc.model import (
    ErrorKind,
    FactRequest,
    Facts,
    FactSource,
    FactUse,
    GatewayProtocol,
    GuardFailure,
    Mode,
    Operation,
)

if TYPE_CHECKING:
    from guardsvc.policy import BoundGuard, Policy

__all__ = ["NO_FACTS", "FactDesk", "FactSource", "FactSources"]

NO_FACTS: Facts = {}
FactSources = Mapping[str, FactSource]


class FactDesk:
    """Where the guards of one decision get their facts.

    Each guard's are fetched once: one that is asked again, of a payload that another guard has modified,
    gets the same, so that nothing is consumed twice.

    Args:
        sources: where each fact comes from, by name.
        policy: the policy that decides.
    """

    __slots__ = ("_fetched", "_policy", "_sources")

    def __init__(self, sources: FactSources, policy: Policy) -> None:
        self._sources = sources
        self._policy = policy
        self._fetched: dict[str, Facts] = {}

    async def facts(self, bound: BoundGuard, operation: Operation, seconds: float) -> Facts:
        """The facts that a guard needs.

        Args:
            bound: the guard.
            operation: what it judges.
            seconds: how long it may take as a whole.

        Raises:
            GuardFailure: a fact cannot be had.
        """
        facts = self._fetched.get(bound.id)
        if facts is None:
            facts = self._fetched[bound.id] = await self._fetch(bound, operation, seconds)
        return facts

    async def _fetch(self, bound: BoundGuard, operation: Operation, seconds: float) -> Facts:
        ask = getattr(bound.guard, "needs", None)
        needs: Mapping[str, Any] = dict.fromkeys(bound.type.facts) if ask is None else ask(operation)
        use = self._use(bound, operation)
        facts: dict[str, Any] = {}
        for name, need in needs.items():
            source = self._sources.get(name)
            if source is None:
                raise GuardFailure(ErrorKind.STATE_UNAVAILABLE, f"no source of fact {name}")
            request = FactRequest(operation=operation, guard=bound.id, need=need, use=use, seconds=seconds)
            facts[name] = await source.fetch(request)
        return facts

    def _use(self, bound: BoundGuard, operation: Operation) -> FactUse:
        if operation.protocol is GatewayProtocol.CLI:
            return FactUse.DRY
        shadow = Mode.SHADOW in (bound.mode, self._policy.settings.mode)
        return FactUse.SHADOW if shadow else FactUse.APPLY
