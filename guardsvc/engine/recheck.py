"""Recheck: the last word of guards that know what form a payload has, on one that others have changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import msgspec

from guardsvc.engine.evaluation import evaluate_async
from guardsvc.engine.facts import FactDesk
from guardsvc.model import Mode, reason_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from typing import Any

    from guardsvc.engine.facts import FactSources
    from guardsvc.model import Facts, GuardOutcome, Operation, Rechecks, Verdict
    from guardsvc.policy import Policy

__all__ = ["recheck"]

CODE = "modification_unsupported"


async def recheck(
    policy: Policy, operation: Operation, *, now: float, deadline: float, sources: FactSources
) -> GuardOutcome | None:
    """Hold a payload that was changed against what is known of its form; the refusal, None where it may go on.

    Every enforcing guard of the policy that can is asked, wherever it runs: it has not seen what guards behind it
    made of the payload, and of a server's answer it has seen nothing.

    Args:
        policy: that decides.
        operation: with the changed payload.
        now: seconds since the epoch.
        deadline: when the decision must stand, on the clock of ``time.perf_counter``.
        sources: where facts come from.
    """
    limits = policy.rules.limits_of(operation.direction)
    for bound in policy.guards:
        if bound.mode is not Mode.ENFORCE or not hasattr(bound.guard, "recheck") or not bound.judges(operation, now):
            continue
        again = replace(bound, guard=_Again(cast("Rechecks", bound.guard)))
        # Facts of its own: those of the first time are of another question.
        evaluation = await evaluate_async(again, operation, deadline, limits, FactDesk(sources, policy))
        outcome = evaluation.outcome
        if outcome.verdict == "deny":
            if outcome.error is None:
                outcome = msgspec.structs.replace(outcome, code=CODE, message=reason_for(CODE).text, details={})
            return outcome
    return None


class _Again:
    """A guard that is asked to recheck."""

    def __init__(self, guard: Rechecks) -> None:
        self._guard = guard

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """What it needs for that."""
        return self._guard.recheck_needs(operation)

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict | Awaitable[Verdict]:
        """What it says to that."""
        return self._guard.recheck(operation, facts)
