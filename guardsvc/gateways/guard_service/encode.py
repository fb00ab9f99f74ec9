"""Writes an EvaluateResponse. A decision without a verdict is no answer, so every one is made here."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract
from guardsvc.mcp.strict_json import encode as encode_json
from guardsvc.model import reason_for

if TYPE_CHECKING:
    from guardsvc.model import Decision, Finding

__all__ = ["encode"]


def encode(decision: Decision) -> contract.EvaluateResponse:
    """The answer to one request.

    The verdict is what was concluded; under ``mode: shadow`` the caller is told so and does not apply it.
    """
    response = contract.EvaluateResponse()
    told = response.decision
    told.id = decision.id
    told.mode = _number(decision.mode)  # type: ignore[assignment]  # enums are numbers on the wire
    told.guard = decision.guard or ""
    told.policy_hash = decision.policy_hash
    told.findings.extend(_finding(finding) for finding in decision.findings)
    match decision.verdict:
        case "allow":
            told.allow.SetInParent()
        case "modify":
            told.modify.payload = encode_json(decision.payload)
        case "pending":
            told.pending.approval = str(decision.details.get("approval", ""))
            told.pending.message = _message(decision)
        case "deny":
            told.deny.code = decision.code or "internal_error"
            told.deny.message = _message(decision)
            told.deny.details = msgspec.json.encode(decision.details) if decision.details else b""
    return response


def _message(decision: Decision) -> str:
    return decision.message or reason_for(decision.code or "").text


def _finding(finding: Finding) -> contract.Finding:
    return contract.Finding(
        rule=finding.rule,
        severity=_number(finding.severity),  # type: ignore[arg-type]  # the same
        where=finding.where,
        threats=finding.threats,
        excerpt=finding.excerpt,
        suppressed_by=finding.suppressed_by,
    )


def _number(value: StrEnum) -> int:
    """The number of a value on the wire, which holds the same values in the same order after 0."""
    return list(type(value)).index(value) + 1
