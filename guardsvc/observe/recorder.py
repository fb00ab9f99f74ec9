"""Recorder: counts a decision and logs what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from guardsvc.model import REASONS, Decision, GuardOutcome, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from guardsvc.observe.metrics import Metrics

__all__ = ["Recorder"]

log = structlog.get_logger("guardsvc.decision")

MAX_LOGGED = 256
MAX_RULES = 16


class Recorder:
    """Records decisions.

    Children of labelled metrics are looked up once and kept; their number is bounded by the labels'.

    Args:
        metrics: where to count.
        methods: names that may stand in the ``method`` label.
    """

    def __init__(self, metrics: Metrics, methods: Collection[str]) -> None:
        self._metrics = metrics
        self._methods = frozenset(methods)
        self._decisions: dict[tuple[str, ...], Callable[[], None]] = {}
        self._evaluations: dict[tuple[str, str, str], Callable[[], None]] = {}
        self._durations: dict[str, Callable[[float], None]] = {}

    def inflight(self) -> AbstractContextManager[None]:
        """A context that counts as one decision under way."""
        return self._metrics.inflight.track_inprogress()

    def fault(self, service: str) -> None:
        """Count a call that guardsvc itself failed."""
        self._metrics.faults.labels(service).inc()

    def record(self, decision: Decision) -> None:
        """Count the decision and its guards' outcomes, and log it unless it is a plain allow."""
        self._count(decision)
        self._metrics.decision_duration.observe(decision.duration)
        for outcome in decision.outcomes:
            self._count_guard(outcome)
        if decision.verdict != "allow" or any(outcome.error for outcome in decision.outcomes):
            _log(decision)

    def _count(self, decision: Decision) -> None:
        operation = decision.operation
        method = operation.method if operation.method in self._methods else "_other"
        key = (operation.protocol, operation.phase, method, decision.verdict, decision.mode)
        count = self._decisions.get(key)
        if count is None:
            count = self._decisions[key] = self._metrics.decisions.labels(*map(str, key)).inc
        count()
        if decision.verdict in ("deny", "pending"):
            self._metrics.denials.labels(decision.code if decision.code in REASONS else "_other").inc()

    def _count_guard(self, outcome: GuardOutcome) -> None:
        name: str = "error" if outcome.error else outcome.verdict
        if outcome.mode is Mode.SHADOW and name not in ("allow", "error"):
            name = f"would_{name}"
        key = (outcome.guard, outcome.tier.value, name)
        count = self._evaluations.get(key)
        if count is None:
            count = self._evaluations[key] = self._metrics.guard_evaluations.labels(*key).inc
        count()
        observe = self._durations.get(outcome.guard)
        if observe is None:
            observe = self._durations[outcome.guard] = self._metrics.guard_duration.labels(outcome.guard).observe
        observe(outcome.duration)
        if outcome.error:
            self._metrics.guard_errors.labels(outcome.guard, outcome.error.value).inc()


def _log(decision: Decision) -> None:
    operation, caller = decision.operation, decision.operation.caller
    failed = {o.guard: _cut(f"{o.error}: {o.message}") for o in decision.outcomes if o.error}
    log.info(
        "decision",
        decision_id=decision.id,
        verdict=decision.verdict,
        applied=decision.applied,
        reason=decision.code,
        guard=decision.guard,
        rules=[_cut(finding.rule) for finding in decision.findings[:MAX_RULES]] or None,
        protocol=operation.protocol.value,
        phase=operation.phase.value,
        method=_cut(operation.method),
        server=operation.server,
        subject=_cut(operation.subject),
        tenant=_cut(caller.tenant),
        principal=_cut(caller.principal),
        verified=caller.verified,
        detail=_cut(str(decision.details.get("detail", "")) or None),
        failed=failed or None,
        policy=decision.policy_hash,
    )


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_LOGGED else text[:MAX_LOGGED] + "…"
