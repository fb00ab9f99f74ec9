"""What ``guardsvc check`` says of a message: for people, and as plain data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.cli.plain import plain
from guardsvc.gateways.denial import deny

if TYPE_CHECKING:
    from guardsvc.cli.check.places import Places
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.model import Decision
    from guardsvc.policy import Policy

__all__ = ["described", "told"]


def described(exchange: Exchange, policy: Policy, places: Places) -> dict[str, Any]:
    """What was decided and why, as plain data."""
    leading = exchange.leading
    members: dict[str, Any] = {
        "verdict": leading.verdict,
        "applied": leading.applied,
        "policy": policy.hash,
        "decisions": [_decision(decision, places) for decision in exchange.decisions],
    }
    if exchange.refusal is not None:
        denial = deny(exchange, status=policy.settings.denials.status, accept=None)
        members["client"] = {"status": denial.status, "body": json.loads(denial.body)}
    return members


def _decision(decision: Decision, places: Places) -> dict[str, Any]:
    operation = decision.operation
    members: dict[str, Any] = msgspec.to_builtins(
        {
            "decision_id": decision.id,
            "phase": operation.phase,
            "method": operation.method,
            "server": operation.server,
            "subject": operation.subject,
            "revision": operation.revision,
            "verdict": decision.verdict,
            "reason": decision.code,
            "message": decision.message,
            "details": decision.details,
            "guard": decision.guard,
            "guards": decision.outcomes,
            "duration": decision.duration,
        }
    )
    for outcome, told_outcome in zip(decision.outcomes, members["guards"], strict=True):
        for finding, told_finding in zip(outcome.findings, told_outcome["findings"], strict=True):
            told_finding.update(places.of(decision, finding).described())
    if decision.verdict == "modify":
        members["payload"] = decision.payload
    return members


def told(exchange: Exchange, policy: Policy, places: Places, number: int | None) -> str:
    """What was decided and why, in lines."""
    lines = []
    for decision in exchange.decisions:
        operation = decision.operation
        what = " ".join(plain(name) for name in (operation.method or operation.kind, operation.subject) if name)
        why = f"  {decision.code}" if decision.code else ""
        shadow = "  (shadow: not applied)" if decision.applied != decision.verdict else ""
        prefix = "" if number is None else f"{number}: "
        lines.append(f"{prefix}{decision.verdict.upper():7} {what}{why}{shadow}")
        if decision.message:
            lines.append(f"        {plain(decision.message)} {plain(_detail(decision))}".rstrip())
        for outcome in decision.outcomes:
            lines.append(f"        {_guard_line(outcome)}")
            lines.extend(f"          {line}" for line in places.told(decision, outcome.findings))
        if decision.verdict == "modify":
            lines.append(f"        goes on as {plain(json.dumps(decision.payload, ensure_ascii=False))}")
    if exchange.refusal is not None:
        denial = deny(exchange, status=policy.settings.denials.status, accept=None)
        lines.append(f"        client sees HTTP {denial.status} {plain(denial.body)}")
    return "\n".join(lines)


def _detail(decision: Decision) -> str:
    return "; ".join(f"{key}: {value}" for key, value in decision.details.items())


def _guard_line(outcome: Any) -> str:
    findings = ", ".join(
        f"{plain(finding.rule)}{f' at {plain(finding.where)}' if finding.where else ''}"
        f"{f', set aside by {finding.suppressed_by}' if finding.suppressed_by else ''}"
        for finding in outcome.findings
    )
    parts = [outcome.guard, outcome.error or outcome.verdict, f"{outcome.duration * 1000:.3f} ms"]
    if outcome.mode == "shadow":
        parts.insert(1, "would")
    return " ".join(parts) + (f"  [{findings}]" if findings else "")
