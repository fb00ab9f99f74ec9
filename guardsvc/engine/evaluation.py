"""Evaluation: asks one guard about one operation and turns whatever happens into an outcome.

This is the one place that catches the exceptions of guards.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.engine.facts import NO_FACTS, FactDesk
from guardsvc.engine.failure import FAILURE_CODES, verdict_of_failure
from guardsvc.engine.modification import changes_nothing, check_modification
from guardsvc.engine.weighing import weigh
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    ErrorKind,
    Finding,
    GuardFailure,
    GuardOutcome,
    Modify,
    Operation,
    Pending,
    Verdict,
    give_up_at,
)

if TYPE_CHECKING:
    from guardsvc.mcp.strict_json import Limits
    from guardsvc.model import Facts
    from guardsvc.policy import BoundGuard

__all__ = ["Evaluation", "evaluate_async", "evaluate_inline", "out_of_time"]

log = logging.getLogger(__name__)

CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Evaluation(msgspec.Struct, frozen=True):
    """What came of asking a guard: the outcome for the record, and the payload where it modifies."""

    outcome: GuardOutcome
    payload: Any = None


def evaluate_inline(
    bound: BoundGuard, operation: Operation, deadline: float, limits: Limits, facts: Facts = NO_FACTS
) -> Evaluation:
    """Ask a native guard whose facts are at hand.

    It cannot be interrupted, so time is looked at afterwards: a late refusal stands, any other late
    answer is a failure.

    Args:
        bound: the guard.
        operation: what it judges.
        deadline: when the decision must stand, on the clock of ``time.perf_counter``.
        limits: bounds of a modified payload.
        facts: which it needs.
    """
    started = perf_counter()
    remaining = deadline - started
    if remaining <= 0:
        return out_of_time(bound)
    try:
        verdict = bound.guard.evaluate(operation, facts)
        elapsed = perf_counter() - started
        if verdict is ALLOW and elapsed <= bound.timeout and elapsed <= remaining:
            return Evaluation(_passed(bound, elapsed))
        if inspect.iscoroutine(verdict):
            verdict.close()
        return _in_time(bound, operation, verdict, elapsed, remaining, limits)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Panics of Rust extensions, SystemExit and a CancelledError of the guard's own making are no Exception.
        return _raised(bound, error, perf_counter() - started)


async def evaluate_async(
    bound: BoundGuard, operation: Operation, deadline: float, limits: Limits, desk: FactDesk
) -> Evaluation:
    """Ask a guard that needs facts or leaves the interpreter; it is cancelled when its time is over.

    One that blocks the event loop or ignores the cancellation is held to the rule of late answers.
    """
    started = perf_counter()
    remaining = deadline - started
    if remaining <= 0:
        return out_of_time(bound)
    seconds = min(bound.timeout, remaining)
    time = asyncio.timeout(seconds)
    try:
        async with time:
            facts = await desk.facts(bound, operation, seconds) if bound.type.facts else NO_FACTS
            give_up_at.set(started + seconds)
            verdict = bound.guard.evaluate(operation, facts)
            if inspect.isawaitable(verdict):
                verdict = await verdict
        return _in_time(bound, operation, verdict, perf_counter() - started, remaining, limits)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and _cancelled_from_outside():
            raise
        elapsed = perf_counter() - started
        if time.expired():
            late = remaining < bound.timeout
            return _failed(bound, ErrorKind.TIMEOUT, "the guard was stopped", elapsed, late=late)
        return _raised(bound, error, elapsed)


def out_of_time(bound: BoundGuard) -> Evaluation:
    """The failure of a guard for which nothing of the decision's time is left."""
    return _failed(bound, ErrorKind.TIMEOUT, "the decision's deadline has passed", 0.0, late=True)


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _in_time(
    bound: BoundGuard, operation: Operation, verdict: object, elapsed: float, remaining: float, limits: Limits
) -> Evaluation:
    if isinstance(verdict, Verdict):
        _check_findings(verdict.findings)
        if bound.weighed:
            verdict = weigh(bound, operation, verdict)
    if elapsed > min(bound.timeout, remaining) and not isinstance(verdict, Deny | Pending):
        late = remaining < bound.timeout
        message = f"the guard took {elapsed * 1000:.1f} ms"
        return _failed(bound, ErrorKind.TIMEOUT, message, elapsed, late=late)
    return _answered(bound, operation, verdict, elapsed, limits)


def _answered(
    bound: BoundGuard, operation: Operation, verdict: Verdict | object, elapsed: float, limits: Limits
) -> Evaluation:
    match verdict:
        case Allow(findings=findings):
            return Evaluation(_outcome(bound, "allow", elapsed, findings=findings))
        case Deny(code=code, message=message, details=details, findings=findings):
            _check_code(code)
            _check_told(message, details)
            return Evaluation(
                _outcome(bound, "deny", elapsed, code=code, message=message, details=details, findings=findings)
            )
        case Modify(payload=payload, findings=findings):
            if changes_nothing(operation, payload):
                return Evaluation(_outcome(bound, "allow", elapsed, findings=findings))
            checked = check_modification(operation, payload, limits)
            return Evaluation(_outcome(bound, "modify", elapsed, findings=findings), checked)
        case Pending(approval=approval, message=message, findings=findings):
            details = {"approval": approval}
            _check_told(message, details)
            return Evaluation(
                _outcome(
                    bound,
                    "pending",
                    elapsed,
                    code="approval_required",
                    message=message,
                    details=details,
                    findings=findings,
                )
            )
        case _:
            raise GuardFailure(ErrorKind.BAD_ANSWER, f"{type(verdict).__name__} is no verdict")


def _check_code(code: Any) -> None:
    if not isinstance(code, str) or not CODE.fullmatch(code):
        raise GuardFailure(ErrorKind.BAD_ANSWER, f"{code!r} is no reason code in snake_case")


def _check_findings(findings: Any) -> None:
    if not isinstance(findings, tuple | list):
        raise GuardFailure(ErrorKind.BAD_ANSWER, "the findings are no tuple")
    for item in findings:
        if not isinstance(item, Finding):
            raise GuardFailure(ErrorKind.BAD_ANSWER, f"{type(item).__name__} is no finding")
        if item.suppressed_by:
            raise GuardFailure(ErrorKind.BAD_ANSWER, "only the policy sets findings aside")


def _check_told(message: Any, details: Any) -> None:
    """What the client is told must be JSON, or the denial could not be written."""
    if not isinstance(message, str) or not isinstance(details, dict):
        raise GuardFailure(ErrorKind.BAD_ANSWER, "message is no string, or details are no object")
    try:
        msgspec.json.encode((message, details))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise GuardFailure(ErrorKind.BAD_ANSWER, f"message or details are no JSON: {error}") from error


def _raised(bound: BoundGuard, error: BaseException, elapsed: float) -> Evaluation:
    kind = getattr(error, "kind", None)
    if isinstance(error, GuardFailure) and isinstance(kind, ErrorKind):
        return _failed(bound, kind, _text(error), elapsed)
    log.debug("guard %s raised", bound.id, exc_info=error)
    return _failed(bound, ErrorKind.EXCEPTION, f"{type(error).__name__}: {_text(error)}", elapsed)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:200]
    except Exception:
        return "its text cannot be read"


def _failed(bound: BoundGuard, kind: ErrorKind, message: str, elapsed: float, *, late: bool = False) -> Evaluation:
    verdict = verdict_of_failure(bound.failure_mode)
    code = "deadline_exceeded" if late else FAILURE_CODES[kind]
    return Evaluation(
        _outcome(bound, verdict, elapsed, code=code if verdict == "deny" else None, message=message, error=kind)
    )


def _passed(bound: BoundGuard, elapsed: float) -> GuardOutcome:
    """What most guards say of most operations; made without gathering what they do not say."""
    guard_type = bound.type
    return GuardOutcome(
        guard=bound.id, type=guard_type.name, tier=guard_type.tier, mode=bound.mode, verdict="allow", duration=elapsed
    )


def _outcome(bound: BoundGuard, verdict: Any, elapsed: float, **more: Any) -> GuardOutcome:
    return GuardOutcome(
        guard=bound.id,
        type=bound.type.name,
        tier=bound.type.tier,
        mode=bound.mode,
        verdict=verdict,
        duration=elapsed,
        **more,
    )
