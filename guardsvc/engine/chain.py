"""Chain: runs the guards of a policy in order over one operation and concludes the decision.

Lower priority first. Within a priority, native guards run in configuration order, then the others
concurrently. The first denial ends the chain; modifications compose, later guards see them, and native guards that
judge from the operation alone are asked again about what others made of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.engine.evaluation import Evaluation, evaluate_async, evaluate_inline, out_of_time
from guardsvc.engine.facts import NO_FACTS, FactDesk
from guardsvc.engine.recheck import recheck
from guardsvc.mcp.transport import TransportKind
from guardsvc.model import Decision, Direction, GuardOutcome, Kind, Mode, Operation, reason_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardsvc.engine.facts import FactSources
    from guardsvc.model.decision import VerdictName
    from guardsvc.policy import BoundGuard, Policy

__all__ = ["decide", "new_decision_id", "refuse"]

log = logging.getLogger(__name__)

NO_SOURCES: FactSources = {}
TRANSPORT_REASONS = {
    TransportKind.GET_STREAM: "stream_not_allowed",
    TransportKind.SESSION_END: "session_end_not_allowed",
    TransportKind.WELL_KNOWN: "well_known_not_allowed",
    TransportKind.PREFLIGHT: "preflight_not_allowed",
    TransportKind.OTHER: "not_mcp",
}
_ENDS = ("deny", "pending")

GRACE = 0.02
"""Seconds after the deadline in which guards that were stopped may still report so themselves."""


async def decide(
    policy: Policy,
    operation: Operation,
    *,
    deadline: float,
    can_modify: bool,
    sources: FactSources = NO_SOURCES,
) -> Decision:
    """Decide about one operation. Never raises: a fault of the engine itself is a denial too.

    Args:
        policy: the policy, the same from begin to end whatever is loaded meanwhile.
        operation: what is asked about.
        deadline: when the decision must stand, on the clock of ``time.perf_counter``.
        can_modify: whether the gateway protocol can carry a changed payload of this operation.
        sources: where facts come from.
    """
    started = perf_counter()
    run = _Run(policy, operation, deadline, sources)
    try:
        if operation.kind is Kind.TRANSPORT and (code := _transport_refusal(policy, operation)):
            return refuse(policy, operation, code, started=started)
        if policy.settings.identity.require_verified and not operation.caller.verified and _asks_for_names(operation):
            return refuse(policy, operation, "unverified_caller", started=started)
        await run.walk()
        if can_modify and run.current is not operation:
            await run.recheck()
        decision = _conclude(run, started, can_modify=can_modify)
    except Exception:
        log.exception("the chain failed")
        outcomes = tuple(run.outcomes)
        # Whatever the default: what a guard refused or changed does not pass as it came, nor what a server sends.
        asks = operation.direction is Direction.REQUEST and policy.settings.default == "allow"
        if asks and run.end is None and run.current is operation:
            return _decision(policy, operation, started, verdict="allow", outcomes=outcomes)
        return refuse(policy, operation, "internal_error", outcomes=outcomes, started=started)
    if run.end is not None and operation.direction is Direction.RESPONSE:
        await run.inform()
    await run.desk.conclude(decision, deadline)
    return decision


def refuse(
    policy: Policy,
    operation: Operation,
    code: str,
    *,
    details: dict[str, Any] | None = None,
    outcomes: tuple[GuardOutcome, ...] = (),
    started: float | None = None,
) -> Decision:
    """A denial by the engine or a gateway itself, with the message of the reason table."""
    return _decision(
        policy,
        operation,
        perf_counter() if started is None else started,
        verdict="deny",
        code=code,
        message=reason_for(code).text,
        details=details or {},
        outcomes=outcomes,
    )


def new_decision_id() -> str:
    """32 hexadecimal digits that sort by time: 48 bits of milliseconds, then 80 random bits (as UUIDv7, RFC 9562)."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


class _Run:
    """The walk of one operation through the chain."""

    __slots__ = (
        "current",
        "deadline",
        "desk",
        "end",
        "immediate",
        "judged",
        "limits",
        "now",
        "operation",
        "outcomes",
        "policy",
        "sources",
    )

    def __init__(self, policy: Policy, operation: Operation, deadline: float, sources: FactSources) -> None:
        self.policy = policy
        self.operation = operation
        self.current = operation
        self.deadline = deadline
        self.sources = sources
        self.limits = policy.rules.limits_of(operation.direction)
        self.desk = FactDesk(sources, policy)
        self.immediate: list[BoundGuard] = []
        self.now = time.time()
        self.outcomes: list[GuardOutcome] = []
        self.judged = False
        self.end: GuardOutcome | None = None

    async def walk(self) -> None:
        for step in self.policy.chain(self.operation.direction, self.operation.phase):
            await self._walk_inline(step.inline)
            if self.end is None and step.concurrent:
                await self._walk_others([bound for bound in step.concurrent if bound.judges(self.current, self.now)])
            if self.end is not None:
                return

    async def recheck(self) -> None:
        """Refuse what guards made of the payload where that has not its form any more."""
        if self.end is not None:
            return
        self.end = await recheck(self.policy, self.current, now=self.now, deadline=self.deadline, sources=self.sources)
        if self.end is not None:
            self.outcomes.append(self.end)

    async def inform(self) -> None:
        """Get facts for guards that learn of refusals too and were not asked any more."""
        asked = {outcome.guard for outcome in self.outcomes}
        for step in self.policy.chain(self.operation.direction, self.operation.phase):
            for bound in (*step.inline, *step.concurrent):
                learns = bound.id not in asked and getattr(bound.guard, "learns_of_refusals", False)
                if learns and bound.judges(self.operation, self.now):
                    await self.desk.inform(bound, self.operation, self.deadline)

    async def _walk_inline(self, guards: Sequence[BoundGuard]) -> None:
        for bound in guards:
            if not bound.judges(self.current, self.now):
                continue
            if bound.immediate:
                self.immediate.append(bound)
            facts = NO_FACTS if bound.immediate else self.desk.at_hand(bound, self.current) if bound.inline else None
            if facts is not None:
                self._take(evaluate_inline(bound, self.current, self.deadline, self.limits, facts))
            else:
                self._take(await self._ask(bound))
            if self.end is not None:
                return

    async def _walk_others(self, guards: Sequence[BoundGuard]) -> None:
        before = self.current
        if len(guards) == 1 and guards[0].stops:
            self._take(await self._ask(guards[0]))
        else:
            await self._walk_concurrently(guards)
        if self.current is not before:
            self._ask_again()

    def _ask_again(self) -> None:
        """Ask native guards about a payload that others, which are trusted less, have changed since."""
        for bound in self.immediate:
            if self.end is not None:
                return
            if bound.mode is Mode.ENFORCE:
                evaluation = evaluate_inline(bound, self.current, self.deadline, self.limits)
                if evaluation.outcome.verdict != "allow":
                    self._take(evaluation)

    async def _ask(self, bound: BoundGuard) -> Evaluation:
        return await evaluate_async(bound, self.current, self.deadline, self.limits, self.desk)

    async def _walk_concurrently(self, guards: Sequence[BoundGuard]) -> None:
        tasks = {bound.id: asyncio.create_task(self._ask(bound)) for bound in guards}
        waiting = set(tasks.values())
        denied = False
        try:
            while waiting and not denied:
                done, waiting = await asyncio.wait(
                    waiting,
                    timeout=max(self.deadline - perf_counter(), 0) + GRACE,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done:
                    break
                denied = any(map(_ends, done))
        finally:
            # They are not awaited: a guard that is slow to end, or does not, must not hold up the decision.
            for task in waiting:
                task.cancel()
        before = self.current
        for bound in guards:
            task = tasks[bound.id]
            if task in waiting:
                if not denied:
                    self._take(out_of_time(bound))
                continue
            # A guard that judged the payload of before another one's modification is asked again;
            # not after a denial, which stands on the payload that was judged.
            stale = self.current is not before and not denied and self.end is None
            self._take(await self._ask(bound) if stale else task.result())

    def _take(self, evaluation: Evaluation) -> None:
        outcome = evaluation.outcome
        self.outcomes.append(outcome)
        if outcome.mode is Mode.SHADOW or self.end is not None:
            return
        self.judged = True
        if outcome.verdict in _ENDS:
            self.end = outcome
        elif outcome.verdict == "modify":
            self.current = msgspec.structs.replace(self.current, payload=evaluation.payload)


def _ends(task: asyncio.Task[Evaluation]) -> bool:
    outcome = task.result().outcome
    return outcome.mode is Mode.ENFORCE and outcome.verdict in _ENDS


def _conclude(run: _Run, started: float, *, can_modify: bool) -> Decision:
    policy, operation, outcomes = run.policy, run.operation, tuple(run.outcomes)
    if run.end is not None:
        return _decision(
            policy,
            operation,
            started,
            verdict=run.end.verdict,
            code=run.end.code,
            message=reason_for(run.end.code or "").text if run.end.error else run.end.message,
            details=run.end.details,
            guard=run.end.guard,
            outcomes=outcomes,
        )
    if not run.judged and policy.default_of(operation.direction) == "deny":
        return refuse(policy, operation, "default_deny", outcomes=outcomes, started=started)
    if run.current is operation:
        return _decision(policy, operation, started, verdict="allow", outcomes=outcomes)
    if not can_modify:
        return refuse(policy, operation, "modification_unsupported", outcomes=outcomes, started=started)
    return _decision(policy, operation, started, verdict="modify", payload=run.current.payload, outcomes=outcomes)


def _asks_for_names(operation: Operation) -> bool:
    """Whether a caller can be asked who it is: not before it could learn how, nor by a browser on its behalf."""
    return operation.method not in (TransportKind.WELL_KNOWN, TransportKind.PREFLIGHT)


def _transport_refusal(policy: Policy, operation: Operation) -> str | None:
    kind = TransportKind(operation.method)
    return None if policy.transport[kind] == "allow" else TRANSPORT_REASONS[kind]


def _decision(policy: Policy, operation: Operation, started: float, *, verdict: VerdictName, **more: Any) -> Decision:
    decision_id = new_decision_id()
    if verdict in _ENDS and not policy.settings.denials.plain:
        more |= _worded(policy, decision_id, more)
    return Decision(
        id=decision_id,
        operation=operation,
        verdict=verdict,
        mode=policy.settings.mode,
        policy_hash=policy.hash,
        duration=perf_counter() - started,
        **more,
    )


def _worded(policy: Policy, decision_id: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the client is told, as the policy words it."""
    denials, reason = policy.settings.denials, told["code"] or ""
    message = told.get("message") or reason_for(reason).text
    details = told.get("details") or {}
    if (link := denials.link(reason=reason, decision_id=decision_id)) is not None:
        details = {**details, "support_url": link}
    return {"message": denials.word(message, reason=reason, decision_id=decision_id), "details": details}
