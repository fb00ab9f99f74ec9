"""Keep: the audit records of an exchange, before it is answered where the audit is required."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from guardsvc.model import reason_for

if TYPE_CHECKING:
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.model import Decision
    from guardsvc.observe import Recorder
    from guardsvc.policy import Policy

__all__ = ["keep"]

UNAVAILABLE = "audit_unavailable"


async def keep(
    exchange: Exchange,
    recorder: Recorder,
    policy: Policy,
    *,
    size: int,
    weight: int | None = None,
    deadline: float,
) -> Exchange:
    """The exchange as it may be answered: its decisions are denials where their records are required and missing.

    Under ``mode: shadow`` these denials are not applied either.

    Args:
        exchange: what was decided.
        recorder: has it audited.
        policy: that decided.
        size: bytes of the request's body.
        weight: bytes of all of the request, where they are known.
        deadline: when to give up, on the clock of ``time.perf_counter``.
    """
    name = policy.settings.name
    if await recorder.keep(exchange.decisions, policy_name=name, size=size, weight=weight, deadline=deadline):
        return exchange
    refused = tuple(_unrecorded(decision, policy) for decision in exchange.decisions)
    recorder.keep_refused(refused, policy_name=name, size=size)
    return msgspec.structs.replace(exchange, decisions=refused)


def _unrecorded(decision: Decision, policy: Policy) -> Decision:
    denials, text = policy.settings.denials, reason_for(UNAVAILABLE).text
    link = denials.link(reason=UNAVAILABLE, decision_id=decision.id)
    return msgspec.structs.replace(
        decision,
        verdict="deny",
        code=UNAVAILABLE,
        message=denials.word(text, reason=UNAVAILABLE, decision_id=decision.id),
        details={} if link is None else {"support_url": link},
        payload=None,
        guard=None,
    )
