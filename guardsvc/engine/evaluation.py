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

from guardsvc.engine.facts import NO_FACTS, FactSources, fetch
from guardsvc.engine.failure import FAILURE_CODES, verdict_of_failure
from guardsvc.engine.modification import check_modification
from guardsvc.model import (
    Allow,
    Deny,
    ErrorKind,
    GuardFailure,
    GuardOutcome,
    Modify,
    Operation,
    Pending,
    Verdict,
)

if TYPE_CHECKING:
    from guardsvc.mcp.strict_json import Limits
    from guardsvc.policy import BoundGuard

__all__ = ["Evaluation", "evaluate_async", "evaluate_inline"]

log = logging.getLogger(__name__)

CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Evaluation(msgspec.Struct, frozen=True):
    """What came of asking a guard: the outcome for the record, and the payload where it modifies."""

    outcome: GuardOutcome
    payload: Any = None


def evaluate_inline(bound: BoundGuard, operation: Operation, deadline: float, limits: Limits) -> Evaluation:
    """Ask a native guard that needs no facts.

    It cannot be interrupted, so time is looked at afterwards: a late denial stands, any other late
    answer is a failure.

    Args:
        bound: the guard.
        operation: what it judges.
        deadline: when the decision must stand, on the clock of ``time.perf_counter``.
        limits: bounds of a modified payload.
    """
    started = perf_counter()
    if started >= deadline:
        return _failed(bound, ErrorKind.TIMEOUT, "the decision's deadline passed before the guard ran", 0.0, late=True)
    try:
        verdict = bound.guard.evaluate(operation, NO_FACTS)
        if inspect.iscoroutine(verdict):
            verdict.close()
        elapsed = perf_counter() - started
        if elapsed > bound.timeout and not isinstance(verdict, Deny):
            return _failed(bound, ErrorKind.TIMEOUT, f"the guard took {elapsed * 1000:.1f} ms", elapsed)
        return _answered(bound, operation, verdict, elapsed, limits)
    except GuardFailure as failure:
        return _failed(bound, failure.kind, str(failure), perf_counter() - started)
    except Exception as error:
        return _raised(bound, error, perf_counter() - started)


async def evaluate_async(
    bound: BoundGuard, operation: Operation, deadline: float, limits: Limits, sources: FactSources
) -> Evaluation:
    """Ask a guard that needs facts or leaves the interpreter; it is cancelled when its time is over."""
    started = perf_counter()
    remaining = deadline - started
    if remaining <= 0:
        return _failed(bound, ErrorKind.TIMEOUT, "the decision's deadline passed before the guard ran", 0.0, late=True)
    try:
        async with asyncio.timeout(min(bound.timeout, remaining)):
            facts = await fetch(bound, operation, sources) if bound.type.facts else NO_FACTS
            verdict = bound.guard.evaluate(operation, facts)
            if inspect.isawaitable(verdict):
                verdict = await verdict
        return _answered(bound, operation, verdict, perf_counter() - started, limits)
    except TimeoutError:
        late = remaining < bound.timeout
        return _failed(bound, ErrorKind.TIMEOUT, "the guard was stopped", perf_counter() - started, late=late)
    except GuardFailure as failure:
        return _failed(bound, failure.kind, str(failure), perf_counter() - started)
    except Exception as error:
        return _raised(bound, error, perf_counter() - started)


def _answered(
    bound: BoundGuard, operation: Operation, verdict: Verdict | object, elapsed: float, limits: Limits
) -> Evaluation:
    match verdict:
        case Allow(findings=findings):
            return Evaluation(_outcome(bound, "allow", elapsed, findings=findings))
        case Deny(code=code, message=message, details=details, findings=findings):
            if not CODE.fullmatch(code):
                raise GuardFailure(ErrorKind.BAD_ANSWER, f"{code!r} is no reason code in snake_case")
            msgspec.json.encode(details)
            return Evaluation(
                _outcome(bound, "deny", elapsed, code=code, message=message, details=details, findings=findings)
            )
        case Modify(payload=payload, findings=findings):
            if payload == operation.payload:
                return Evaluation(_outcome(bound, "allow", elapsed, findings=findings))
            checked = check_modification(operation, payload, limits)
            return Evaluation(_outcome(bound, "modify", elapsed, findings=findings), checked)
        case Pending(approval=approval, message=message, findings=findings):
            details = {"approval": approval}
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


def _raised(bound: BoundGuard, error: Exception, elapsed: float) -> Evaluation:
    log.debug("guard %s raised", bound.id, exc_info=error)
    return _failed(bound, ErrorKind.EXCEPTION, f"{type(error).__name__}: {error}"[:200], elapsed)


def _failed(bound: BoundGuard, kind: ErrorKind, message: str, elapsed: float, *, late: bool = False) -> Evaluation:
    verdict = verdict_of_failure(bound.failure_mode)
    code = "deadline_exceeded" if late else FAILURE_CODES[kind]
    return Evaluation(
        _outcome(bound, verdict, elapsed, code=code if verdict == "deny" else None, message=message, error=kind)
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
