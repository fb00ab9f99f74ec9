"""Again: a captured operation judged by another policy, as far as it can be."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from guardsvc.engine import decide
from guardsvc.guards.registry import load_registry
from guardsvc.model import Direction, GatewayProtocol, Mode, Operation
from guardsvc.observe.audit.canonical import canonical
from guardsvc.observe.capture.record import CapturedOperation, restored
from guardsvc.state import RATE_LIMITS, RateFact, Sources

if TYPE_CHECKING:
    from collections.abc import Collection

    from guardsvc.engine import FactSources
    from guardsvc.model import Decision, FactRequest, Finding
    from guardsvc.observe.capture import CaptureKey
    from guardsvc.policy import Policy

__all__ = ["Again", "Judge", "Unjudged"]

PATIENCE = 30.0
"""Seconds that a guard may take, and a decision: a slow machine must not decide."""
BY_NAMES = frozenset({"access_list"})
"""Types of guards that decide about requests by names alone, so that digests are enough for them."""
CHAIN = frozenset({"default_deny", "modification_unsupported", "unverified_caller"})
TRANSPORT = frozenset(
    {"stream_not_allowed", "session_end_not_allowed", "well_known_not_allowed", "preflight_not_allowed", "not_mcp"}
)
"""Codes of refusals without a guard that the policy decides about, of an operation that had been read."""
_WITHHELD = {
    "digests": "only the digest of the payload was captured",
    "too_large": "the payload is larger than service.capture.max_record_bytes",
    "elsewhere": "the payload was read by a process for large bodies, so that only names were captured",
    "unreadable": "the payload could not be written as JSON",
}


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """What another policy makes of an operation.

    Attributes:
        applied: what the gateway would be told; ``verdict`` whatever the mode.
        sure: whether it is known; False where names alone speak for ``applied`` and the rest cannot be judged.
        reason, guard, rules: why, where it is refused or changed.
        modified_digests: of the payload that would go on, under each key at hand.
        notes: what should be known beside it.
    """

    verdict: str
    applied: str
    sure: bool = True
    reason: str | None = None
    guard: str | None = None
    rules: tuple[str, ...] = ()
    modified_digests: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Unjudged(msgspec.Struct, frozen=True):
    """Why an operation cannot be judged again."""

    why: str


class Judge:
    """Judges by one policy. Nothing is consumed, learned or marked.

    Args:
        policy: the policy.
        sources: where facts come from.
        keys: those at hand, for digests of what is modified.
    """

    def __init__(self, policy: Policy, sources: Sources, keys: Collection[CaptureKey]) -> None:
        self._policy = policy.patient(PATIENCE)
        self._facts: FactSources = {**sources.facts, RATE_LIMITS: _Untouched()}
        self._keys = keys
        self._stateful = frozenset(name for name, each in load_registry().items() if each.facts)

    async def judge(self, captured: CapturedOperation) -> Again | Unjudged:
        """Judge an operation again."""
        if (why := _not_the_chains(captured)) is not None:
            return Unjudged(why)
        try:
            operation = restored(captured, GatewayProtocol.CLI)
        except ValueError as error:
            return Unjudged(f"written by another version: {error}")
        if captured.withheld:
            return await self._by_names(captured, operation)
        policy = self._policy.strictest if _is_stray(operation) else self._policy
        can_modify = captured.protocol != GatewayProtocol.EXT_AUTHZ.value
        decision = await self._decide(policy, operation, can_modify=can_modify)
        failed = [outcome for outcome in decision.outcomes if outcome.error is not None]
        if failed:
            return Unjudged(f"guard {failed[0].guard} could not answer: {failed[0].error}")
        return self._again(decision, captured)

    async def _by_names(self, captured: CapturedOperation, operation: Operation) -> Again | Unjudged:
        """What names alone say; the payload is not there."""
        why = _WITHHELD.get(captured.withheld, captured.withheld)
        judging = [
            bound
            for step in self._policy.chain(operation.direction, operation.phase)
            for bound in (*step.inline, *step.concurrent)
            if bound.mode is Mode.ENFORCE and (bound.scope is None or bound.scope.covers(operation))
        ]
        others = [bound.id for bound in judging if bound.type.name not in BY_NAMES]
        if captured.subject_cut or operation.direction is not Direction.REQUEST or _asks_payload(operation):
            return Unjudged(why)
        names = tuple(bound for bound in judging if bound.type.name in BY_NAMES)
        if not names and others:
            return Unjudged(f"{why}, which {', '.join(others)} would look into")
        decision = await self._decide(replace(self._policy, guards=names, _chains={}), operation, can_modify=False)
        again = self._again(decision, captured)
        if decision.verdict != "allow" or not others:
            return again
        return msgspec.structs.replace(
            again, sure=False, notes=(*again.notes, f"{why}; {', '.join(others)} might still refuse it")
        )

    async def _decide(self, policy: Policy, operation: Operation, *, can_modify: bool) -> Decision:
        deadline = perf_counter() + PATIENCE
        return await decide(policy, operation, deadline=deadline, can_modify=can_modify, sources=self._facts)

    def _again(self, decision: Decision, captured: CapturedOperation) -> Again:
        refusing = decision.verdict in ("deny", "pending")
        wanted = decision.guard if refusing else None
        told = [
            outcome
            for outcome in decision.outcomes
            if outcome.guard == wanted or (decision.verdict == outcome.verdict == "modify")
        ]
        modified = canonical(decision.payload) if decision.applied == "modify" else None
        return Again(
            verdict=decision.verdict,
            applied=decision.applied,
            reason=decision.code,
            guard=decision.guard or (told[0].guard if told else None),
            rules=tuple(dict.fromkeys(_rule(each) for outcome in told for each in outcome.findings)),
            modified_digests=() if modified is None else tuple(key.digest(modified) for key in self._keys),
            notes=self._notes(captured),
        )

    def _notes(self, captured: CapturedOperation) -> tuple[str, ...]:
        notes: list[str] = []
        known = self._policy.servers.names
        if known and captured.server is not None and captured.server not in known:
            notes.append(f"the policy has no server {captured.server}")
        refusing = next((each for each in captured.outcomes if each.guard == captured.guard), None)
        if refusing is not None and refusing.type in self._stateful:
            notes.append(f"what {refusing.guard} remembered at the time may be another thing now")
        return tuple(notes)


def _not_the_chains(captured: CapturedOperation) -> str | None:
    """Why a recorded decision was none of a policy's guards that could be asked again."""
    if captured.verdict not in ("deny", "pending"):
        return None
    if captured.guard is None:
        if captured.reason in CHAIN | TRANSPORT:
            return None
        return f"it was refused as {captured.reason} without asking guards"
    refusing = next((each for each in captured.outcomes if each.guard == captured.guard), None)
    if refusing is not None and refusing.error is not None:
        return f"it was refused since guard {refusing.guard} failed ({refusing.error})"
    if captured.reason == "rate_limited":
        return "it was refused by a rate limit, which depends on what else was sent then"
    return None


def _is_stray(operation: Operation) -> bool:
    """Whether nobody knew whose message it was, which every guard then judges."""
    return operation.direction is Direction.RESPONSE and not operation.servers and not operation.method


def _asks_payload(operation: Operation) -> bool:
    """Whether what the subject names stands in the payload."""
    return operation.method == "completion/complete"


def _rule(finding: Finding) -> str:
    return f"{finding.rule} at {finding.where}" if finding.where else str(finding.rule)


class _Untouched:
    """Rate limits of which nothing was taken: those of the service are neither read nor consumed."""

    async def fetch(self, request: FactRequest) -> RateFact:
        """Room for everything."""
        del request
        return RateFact()
