"""Observe: what the guard or the policy under test makes of a case, by the code that serves gateways."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.engine import decide, refuse
from guardsvc.engine.evaluation import Evaluation, evaluate_async, evaluate_inline
from guardsvc.engine.facts import FactDesk
from guardsvc.gateways.exchange import Asker, judge
from guardsvc.mcp import HttpRequest, InterpretationRules, Refusal, interpret
from guardsvc.model import (
    Decision,
    Direction,
    FactSource,
    Finding,
    GatewayProtocol,
    GuardOutcome,
    Operation,
    subject_kind,
)
from guardsvc.policy import AmbiguousServerError, BoundGuard, Policy
from guardsvc.state import Sources
from guardsvc.state.in_memory import InMemory
from guardsvc.suites.given import operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.suites.load import LoadedCase
    from guardsvc.suites.made import Made

__all__ = ["Observed", "UnreadableError", "observe"]

EPOCH = 1_900_000_000.0
"""Seconds since 1970 where the clock of the cases begins."""
RULES = InterpretationRules(batches=True)
"""How requests to a guard alone are read."""


class UnreadableError(Exception):
    """A request from which a guard's operation should be read is refused before any guard."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a case.

    Attributes:
        verdict: the conclusion.
        applied: what a gateway would be told.
        findings: each with the id of its guard.
        outcomes: the part of every guard that ran.
        failures: what guards that could not answer say.
    """

    verdict: str
    applied: str
    code: str | None = None
    message: str = ""
    details: dict[str, Any] = {}
    guard: str | None = None
    payload: Any = None
    findings: tuple[tuple[str, Finding], ...] = ()
    outcomes: tuple[GuardOutcome, ...] = ()
    failures: tuple[str, ...] = ()


class _Clocked:
    """Sources that begin empty, at a time that the cases set; nothing outside the process is asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sources = Sources(lambda: self.now, wall=lambda: EPOCH + self.now)
        self.facts: Mapping[str, FactSource] = {name: InMemory(source) for name, source in self.sources.facts.items()}


async def observe(case: LoadedCase, policy: Policy) -> Observed:
    """Have everything of a case judged in its order, on fresh counters.

    Args:
        case: the case.
        policy: what is tested; of a guard alone, one without guards.

    Returns:
        What came of the case itself. Of several messages the first that is refused counts.

    Raises:
        UnreadableError: a request to a guard alone cannot be read.
    """
    clocked = _Clocked()
    for made in (*case.before, case.made):
        clocked.now = made.at
        observed = await (_by_guard if made.bound is not None else _by_policy)(made, policy, clocked)
    await clocked.sources.close()
    return observed


async def _by_guard(made: Made, policy: Policy, clocked: _Clocked) -> Observed:
    assert made.bound is not None  # noqa: S101  asked for guards only
    evaluations = [await _ask(made.bound, each, policy, clocked) for each in _operations(made)]
    counting = next((each for each in evaluations if each.outcome.verdict == "deny"), evaluations[0])
    outcome = counting.outcome
    return Observed(
        verdict=outcome.verdict,
        applied=outcome.verdict,
        code=outcome.code,
        message=outcome.message,
        details=outcome.details,
        guard=outcome.guard if outcome.verdict in ("deny", "pending") else None,
        payload=counting.payload,
        findings=tuple((outcome.guard, finding) for finding in outcome.findings),
        outcomes=(outcome,),
        failures=_failures((outcome,)),
    )


async def _ask(bound: BoundGuard, given: Operation, policy: Policy, clocked: _Clocked) -> Evaluation:
    deadline, limits = perf_counter() + bound.timeout, policy.rules.limits
    if bound.inline and not bound.type.facts:
        return evaluate_inline(bound, given, deadline, limits)
    desk = FactDesk(clocked.facts, policy)
    evaluation = await evaluate_async(bound, given, deadline, limits, desk)
    outcome = evaluation.outcome
    stands = Decision(
        id="",
        operation=given,
        verdict=outcome.verdict,
        mode=outcome.mode,
        payload=evaluation.payload,
        outcomes=(outcome,),
    )
    await desk.conclude(stands, deadline)
    return evaluation


def _operations(made: Made) -> list[Operation]:
    reached = made.reaches or ()
    if not isinstance(made.given, HttpRequest):
        return [operation(made.given, reached, made.by)]
    request = made.given
    try:
        messages = interpret(request, RULES).messages
    except Refusal as refusal:
        raise UnreadableError(f"the request cannot be read: {refusal.code}, {refusal.detail}") from refusal
    return [
        Operation(
            protocol=GatewayProtocol.EXT_AUTHZ,
            direction=Direction.REQUEST,
            phase=message.phase,
            kind=message.kind,
            method=message.method,
            id=message.id,
            server=reached[0] if len(reached) == 1 else None,
            servers=reached,
            subject=message.subject,
            payload=message.payload,
            caller=made.by,
            headers=request.headers,
            revision=message.revision,
            http_method=request.method,
            path=request.path,
        )
        for message in messages
    ]


async def _by_policy(made: Made, policy: Policy, clocked: _Clocked) -> Observed:
    deadline = perf_counter() + policy.deadline
    if isinstance(made.given, HttpRequest):
        asker = Asker(protocol=GatewayProtocol.EXT_AUTHZ, caller=made.by, server_id=_server_id(made), can_modify=True)
        exchange = await judge(policy, made.given, asker, deadline=deadline, sources=clocked.facts)
        return _concluded(exchange.leading)
    kind = subject_kind(operation(made.given, (), made.by).phase, made.given.method, made.given.payload)
    try:
        if made.reaches is not None:
            place = policy.servers.place_among(made.reaches, kind=kind, subject=made.given.subject)
        else:
            place = policy.servers.place(server_id=made.server, host=made.host, kind=kind, subject=made.given.subject)
    except AmbiguousServerError:
        return _concluded(refuse(policy, operation(made.given, (), made.by), "ambiguous_server"))
    given = operation(made.given, place.servers, made.by, place.subject)
    return _concluded(await decide(policy, given, deadline=deadline, can_modify=True, sources=clocked.facts))


def _server_id(made: Made) -> str | None:
    return made.server or (made.reaches[0] if made.reaches else None)


def _concluded(decision: Decision) -> Observed:
    return Observed(
        verdict=decision.verdict,
        applied=decision.applied,
        code=decision.code,
        message=decision.message,
        details=decision.details,
        guard=decision.guard,
        payload=decision.payload,
        findings=tuple((outcome.guard, finding) for outcome in decision.outcomes for finding in outcome.findings),
        outcomes=decision.outcomes,
        failures=_failures(decision.outcomes),
    )


def _failures(outcomes: tuple[GuardOutcome, ...]) -> tuple[str, ...]:
    return tuple(
        f"guard {outcome.guard} could not answer ({outcome.error}): {outcome.message}"
        for outcome in outcomes
        if outcome.error is not None
    )
