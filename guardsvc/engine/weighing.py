"""Weighing: what is left of a guard's verdict once the policy's exceptions and rule actions are heeded.

A verdict rests on its findings. As long as one of them counts it stands whole; when none counts any
more nothing remains of it. One that names no finding cannot be set aside.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.model import Allow, Deny, Finding, RuleAction, Verdict, reason_for

if TYPE_CHECKING:
    from guardsvc.model import Operation
    from guardsvc.policy import BoundGuard

__all__ = ["weigh"]


def weigh(bound: BoundGuard, operation: Operation, verdict: Verdict) -> Verdict | Any:
    """The verdict as the policy takes it, its findings marked where an exception sets them aside.

    Args:
        bound: the guard, with its exceptions and rule actions.
        operation: what it judged.
        verdict: what it said, with findings that have been checked.

    Returns:
        A verdict, or whatever a guard that was asked to reconsider gives in its place.
    """
    if not verdict.findings:
        return verdict
    findings = _marked(bound, operation, tuple(verdict.findings))
    standing = tuple(finding for finding in findings if not finding.suppressed_by)
    counting = tuple(finding for finding in standing if bound.actions.get(finding.rule) is not RuleAction.LOG)
    if not isinstance(verdict, Allow) and not counting:
        verdict = Allow()
    elif not isinstance(verdict, Allow) and len(counting) < len(findings):
        verdict = _reconsidered(bound, operation, verdict, counting)
    if not isinstance(verdict, Deny) and any(bound.actions.get(f.rule) is RuleAction.DENY for f in standing):
        verdict = Deny(code=bound.type.code, message=reason_for(bound.type.code).text)
    return msgspec.structs.replace(verdict, findings=findings) if isinstance(verdict, Verdict) else verdict


def _marked(bound: BoundGuard, operation: Operation, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    if bound.exceptions is None:
        return findings
    now = time.time()
    return tuple(
        msgspec.structs.replace(finding, suppressed_by=by)
        if finding.rule not in bound.type.unexceptable and (by := bound.exceptions.suppressing(finding, operation, now))
        else finding
        for finding in findings
    )


def _reconsidered(
    bound: BoundGuard, operation: Operation, verdict: Verdict, counting: tuple[Finding, ...]
) -> Verdict | Any:
    reconsider = getattr(bound.guard, "reconsider", None)
    return verdict if reconsider is None else reconsider(operation, counting)
