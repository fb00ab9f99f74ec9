"""Recorder: counts a decision, logs what was refused, and has it audited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import structlog

from guardsvc.model import REASONS, Decision, GuardOutcome, Mode
from guardsvc.observe.described import MAX_RULES, cut, described

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

    from guardsvc.model import Finding
    from guardsvc.observe.audit import Audit
    from guardsvc.observe.metrics import Metrics

__all__ = ["Recorder"]

log = structlog.get_logger("guardsvc.decision")


class Recorder:
    """Records decisions.

    Args:
        metrics: where to count.
        methods: names that may stand in the ``method`` label.
        audit: keeps a record of every decision, None where none is kept.
    """

    def __init__(self, metrics: Metrics, methods: Collection[str], audit: Audit | None = None) -> None:
        self._metrics = metrics
        self._audit = audit
        self._methods = frozenset(methods)
        self._tally = metrics.tally

    def inflight(self) -> AbstractContextManager[None]:
        """A context that counts as one decision under way."""
        return self._metrics.inflight.track_inprogress()

    def fault(self, service: str) -> None:
        """Count a call that guardsvc itself failed."""
        self._metrics.faults.labels(service).inc()

    def uncorrelated(self, cause: Literal["missing", "invalid", "other_request"]) -> None:
        """Count a response that cannot be matched to a request that was allowed."""
        self._metrics.uncorrelated.labels(cause).inc()

    async def keep(
        self,
        decisions: Sequence[Decision],
        *,
        policy_name: str,
        size: int,
        weight: int | None = None,
        deadline: float,
    ) -> bool:
        """Have the decisions of one request audited; False where they may not be applied without their records.

        Args:
            decisions: of one request.
            policy_name: name of the policy.
            size: bytes of the request's body.
            weight: bytes of all of the request, where they are known.
            deadline: when to give up, on the clock of ``time.perf_counter``.
        """
        if self._audit is None:
            return True
        return await self._audit.keep(decisions, policy_name=policy_name, size=size, weight=weight, deadline=deadline)

    def keep_refused(self, decisions: Sequence[Decision], *, policy_name: str, size: int) -> None:
        """Have decisions audited that became denials because ``keep`` said so."""
        if self._audit is not None:
            self._audit.add(decisions, policy_name=policy_name, size=size)

    def keep_shed(self, decision: Decision, *, policy_name: str) -> None:
        """Have it audited that a call was refused unread, which ``Shedding`` counts and logs."""
        if self._audit is not None:
            self._audit.add_shed(decision, policy_name=policy_name)

    def record(self, decision: Decision) -> None:
        """Count the decision and its guards' outcomes, and log it unless it is a plain allow."""
        self._count(decision)
        worth_telling = decision.verdict != "allow"
        for outcome in decision.outcomes:
            self._count_guard(outcome)
            if outcome.error is not None:
                worth_telling = True
            for finding in outcome.findings:
                if finding.suppressed_by:
                    self._metrics.suppressed.labels(finding.suppressed_by).inc()
                    worth_telling = True
        self._tally.pour_soon()
        if worth_telling:
            _log(decision)

    def _count(self, decision: Decision) -> None:
        operation, metrics = decision.operation, self._metrics
        method = operation.method if operation.method in self._methods else "_other"
        labels = (operation.protocol, operation.phase, method, decision.verdict, decision.mode)
        self._tally.count(metrics.decisions, labels)
        self._tally.observe(metrics.decision_duration, (), decision.duration)
        if decision.verdict in ("deny", "pending"):
            self._tally.count(metrics.denials, (decision.code if decision.code in REASONS else "_other",))

    def _count_guard(self, outcome: GuardOutcome) -> None:
        name: str = "error" if outcome.error else outcome.verdict
        if name not in ("allow", "error") and outcome.mode is Mode.SHADOW:
            name = f"would_{name}"
        metrics = self._metrics
        self._tally.count_timed(
            metrics.guard_evaluations, metrics.guard_duration, (outcome.guard, outcome.tier, name), outcome.duration
        )
        if outcome.error:
            self._metrics.guard_errors.labels(outcome.guard, outcome.error.value).inc()


def _log(decision: Decision) -> None:
    failed = {o.guard: cut(f"{o.error}: {o.message}") for o in decision.outcomes if o.error}
    suppressed = [f"{cut(finding.rule)} by {finding.suppressed_by}" for finding in _suppressed(decision)[:MAX_RULES]]
    log.info("decision", **described(decision), failed=failed or None, suppressed=suppressed or None)


def _suppressed(decision: Decision) -> list[Finding]:
    return [finding for outcome in decision.outcomes for finding in outcome.findings if finding.suppressed_by]
