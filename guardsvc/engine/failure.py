"""Failure: what becomes of a guard that could not answer, for every kind of error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.model import ErrorKind, FailureMode, Mode

if TYPE_CHECKING:
    from guardsvc.model.decision import VerdictName
    from guardsvc.policy import BoundGuard

__all__ = ["FAILURE_CODES", "fail_matrix", "verdict_of_failure"]

FAILURE_CODES = {
    ErrorKind.TIMEOUT: "guard_timeout",
    ErrorKind.EXCEPTION: "guard_error",
    ErrorKind.BREAKER_OPEN: "guard_breaker_open",
    ErrorKind.TRAP: "guard_trap",
    ErrorKind.BAD_ANSWER: "guard_bad_answer",
    ErrorKind.OVER_BUDGET: "guard_over_budget",
    ErrorKind.STATE_UNAVAILABLE: "state_unavailable",
    ErrorKind.WASM_BUSY: "wasm_busy",
    ErrorKind.QUARANTINED: "guard_quarantined",
}
"""Reason code of the denial when the guard fails closed."""


def verdict_of_failure(failure_mode: FailureMode) -> VerdictName:
    """What the failure counts as; the same for every kind of error and every phase."""
    return "allow" if failure_mode is FailureMode.FAIL_OPEN else "deny"


def fail_matrix(guards: tuple[BoundGuard, ...]) -> dict[str, dict[ErrorKind, str]]:
    """For each guard id and kind of error: ``allow``, ``deny <code>`` or ``recorded only`` (shadow)."""
    return {bound.id: {kind: _cell(bound, kind) for kind in ErrorKind} for bound in guards}


def _cell(bound: BoundGuard, kind: ErrorKind) -> str:
    if bound.mode is Mode.SHADOW:
        return "recorded only"
    if verdict_of_failure(bound.failure_mode) == "allow":
        return "allow"
    return f"deny {FAILURE_CODES[kind]}"
