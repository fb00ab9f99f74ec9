"""Flips: what another policy would have done otherwise, the dangerous ones first."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from guardsvc.cli.replay.again import Again, Unjudged

if TYPE_CHECKING:
    from guardsvc.observe.capture import CapturedOperation

__all__ = ["Became", "Flip", "Tally", "compared"]

_REFUSED = frozenset({"deny", "pending"})


class Became(StrEnum):
    """What became of a decision, in the order in which it is told."""

    DENY_TO_ALLOW = "deny_to_allow"
    MAYBE_DENY_TO_ALLOW = "maybe_deny_to_allow"
    ALLOW_TO_DENY = "allow_to_deny"
    MODIFY = "modify"


class Flip(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One decision that would be another one.

    Attributes:
        was, now: what the gateway was told, and would be: allow, deny, modify or pending.
        was_reason, was_guard, was_rules: why it was as it was, and the same of now.
        notes: what should be known beside it.
    """

    became: Became
    decision_id: str
    time: str
    method: str
    phase: str
    direction: str
    server: str | None = None
    subject: str | None = None
    tenant: str | None = None
    principal: str | None = None
    was: str
    was_reason: str | None = None
    was_guard: str | None = None
    was_rules: tuple[str, ...] = ()
    now: str
    now_reason: str | None = None
    now_guard: str | None = None
    now_rules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Tally(msgspec.Struct):
    """How many there are of what.

    Attributes:
        judged: operations that were judged again.
        same: of these, those with the same outcome.
        other_reason: of these, those that are refused for another reason.
        unjudged: operations that cannot be judged again, by why.
        sealed: records that no key is at hand for.
        lost: operations that were never written.
    """

    judged: int = 0
    same: int = 0
    other_reason: int = 0
    unjudged: dict[str, int] = {}
    sealed: int = 0
    lost: int = 0


def compared(captured: CapturedOperation, again: Again | Unjudged, tally: Tally, *, verdicts: bool) -> Flip | None:
    """The flip of one operation, None where it stays as it was; counted either way.

    Args:
        captured: with the decision of then.
        again: the decision of now.
        tally: counts.
        verdicts: compare verdicts, whatever was applied of them under ``mode: shadow``.
    """
    if isinstance(again, Unjudged):
        tally.unjudged[again.why] = tally.unjudged.get(again.why, 0) + 1
        return None
    was = captured.verdict if verdicts else captured.applied
    now = again.verdict if verdicts else again.applied
    became = _became(captured, again, was, now)
    if became is None and not again.sure:
        why = again.notes[-1]
        tally.unjudged[why] = tally.unjudged.get(why, 0) + 1
        return None
    tally.judged += 1
    if became is None:
        tally.same += 1
        tally.other_reason += now in _REFUSED and (captured.reason, captured.guard) != (again.reason, again.guard)
        return None
    return Flip(
        became=became,
        decision_id=captured.decision_id,
        time=captured.time,
        method=captured.method or captured.kind,
        phase=captured.phase,
        direction=captured.direction,
        server=captured.server,
        subject=captured.subject,
        tenant=captured.caller.tenant,
        principal=captured.caller.principal,
        was=was,
        was_reason=captured.reason,
        was_guard=captured.guard or _modifier(captured),
        was_rules=_rules(captured),
        now=now,
        now_reason=again.reason,
        now_guard=again.guard,
        now_rules=again.rules,
        notes=again.notes,
    )


def _became(captured: CapturedOperation, again: Again, was: str, now: str) -> Became | None:
    if not again.sure:
        return Became.MAYBE_DENY_TO_ALLOW if was in _REFUSED else None
    if was in _REFUSED or now in _REFUSED:
        if was in _REFUSED and now in _REFUSED:
            return None
        return Became.DENY_TO_ALLOW if was in _REFUSED else Became.ALLOW_TO_DENY
    if was != now:
        return Became.MODIFY
    if was == "modify" and again.modified_digests and captured.modified_digest not in again.modified_digests:
        return Became.MODIFY
    return None


def _modifier(captured: CapturedOperation) -> str | None:
    return next((each.guard for each in captured.outcomes if each.verdict == "modify"), None)


def _rules(captured: CapturedOperation) -> tuple[str, ...]:
    guard = captured.guard or _modifier(captured)
    found = (rule for each in captured.outcomes if each.guard == guard for rule in each.rules)
    return tuple(dict.fromkeys(f"{rule.rule} at {rule.where}" if rule.where else rule.rule for rule in found))
