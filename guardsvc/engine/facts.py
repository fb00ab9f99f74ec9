"""Facts: what guards need that is not in the operation, fetched for them since guards do no I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import perf_counter
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
    from guardsvc.model import Decision
    from guardsvc.policy import BoundGuard, Policy

__all__ = ["NO_FACTS", "FactDesk", "FactSource", "FactSources"]

LEAST = 0.02
"""Seconds that a source has at least to remember something, whatever is left of the decision's time."""

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

    __slots__ = ("_asked", "_fetched", "_learners", "_policy", "_sources")

    def __init__(self, sources: FactSources, policy: Policy) -> None:
        self._sources = sources
        self._policy = policy
        self._fetched: dict[str, Facts] = {}
        self._asked: dict[str, tuple[Operation, Mapping[str, Any]]] = {}
        self._learners: dict[str, BoundGuard] = {}

    def at_hand(self, bound: BoundGuard, operation: Operation) -> Facts | None:
        """The facts of a guard where nothing has to be waited for; None where something has.

        One that says of an operation that it needs none has none, though its type has some.
        """
        facts = self._fetched.get(bound.id)
        if facts is not None or not hasattr(bound.guard, "needs"):
            return facts
        try:
            needs = self._needs(bound, operation)
            if not needs:
                return NO_FACTS
            facts = self._look(bound, operation, needs)
        except Exception:
            return None  # it will fail again where its failure counts
        if facts is not None:
            self._keep(bound, facts)
        return facts

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
            facts = await self._fetch(bound, operation, seconds)
            self._keep(bound, facts)
        return facts

    async def inform(self, bound: BoundGuard, operation: Operation, deadline: float) -> None:
        """Get the facts of a guard that is not asked, so that it can learn of the decision all the same.

        Args:
            bound: the guard.
            operation: what was refused.
            deadline: when it should be done, on the clock of ``time.perf_counter``.
        """
        seconds = min(bound.timeout, max(deadline - perf_counter(), LEAST))
        try:
            async with asyncio.timeout(seconds):
                await self.facts(bound, operation, seconds)
        except Exception as error:
            self._policy.unlearned(bound.id, error)

    async def conclude(self, decision: Decision, deadline: float) -> None:
        """Tell the sources what guards want remembered of a decision. What cannot be remembered changes nothing of it.

        Args:
            decision: which stands.
            deadline: when it should be told, on the clock of ``time.perf_counter``.
        """
        for id_, facts in self._fetched.items():
            bound = self._learners.get(id_)
            if bound is None:
                continue
            operation = decision.operation
            use = self._use(bound, operation)
            if use is FactUse.DRY:
                continue
            try:
                for name, need in bound.guard.learns(decision, facts).items():  # type: ignore[attr-defined]
                    seconds = max(deadline - perf_counter(), LEAST)
                    asked = FactRequest(operation=operation, guard=id_, need=need, use=use, seconds=seconds)
                    if (source := self._sources.get(name)) is not None:
                        async with asyncio.timeout(seconds):
                            await source.fetch(asked)
            except Exception as error:
                self._policy.unlearned(id_, error)

    async def _fetch(self, bound: BoundGuard, operation: Operation, seconds: float) -> Facts:
        needs = self._needs(bound, operation)
        use = self._use(bound, operation)
        facts: dict[str, Any] = {}
        for name, need in needs.items():
            source = self._sources.get(name)
            if source is None:
                raise GuardFailure(ErrorKind.STATE_UNAVAILABLE, f"no source of fact {name}")
            request = FactRequest(operation=operation, guard=bound.id, need=need, use=use, seconds=seconds)
            facts[name] = await source.fetch(request)
        return facts

    def _look(self, bound: BoundGuard, operation: Operation, needs: Mapping[str, Any]) -> Facts | None:
        """The facts that sources have without a way to their store, None where one has not."""
        use = self._use(bound, operation)
        facts: dict[str, Any] = {}
        for name, need in needs.items():
            look = getattr(self._sources.get(name), "at_hand", None)
            if look is None:
                return None
            facts[name] = look(FactRequest(operation=operation, guard=bound.id, need=need, use=use, seconds=0.0))
            if facts[name] is None:
                return None
        return facts

    def _keep(self, bound: BoundGuard, facts: Facts) -> None:
        self._fetched[bound.id] = facts
        if hasattr(bound.guard, "learns"):
            self._learners[bound.id] = bound

    def _needs(self, bound: BoundGuard, operation: Operation) -> Mapping[str, Any]:
        ask = getattr(bound.guard, "needs", None)
        if ask is None:
            return dict.fromkeys(bound.type.facts)
        asked = self._asked.get(bound.id)
        if asked is None or asked[0] is not operation:
            asked = self._asked[bound.id] = (operation, ask(operation))
        return asked[1]

    def _use(self, bound: BoundGuard, operation: Operation) -> FactUse:
        if operation.protocol is GatewayProtocol.CLI:
            return FactUse.DRY
        shadow = Mode.SHADOW in (bound.mode, self._policy.settings.mode)
        return FactUse.SHADOW if shadow else FactUse.APPLY
