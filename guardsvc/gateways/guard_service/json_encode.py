"""Writes the JSON form of an answer: the body that ``POST /v1/security/evaluate`` answers with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.model import reason_for

if TYPE_CHECKING:
    from guardsvc.model import Decision

__all__ = ["encode_json"]

SCHEMA, SCHEMA_OF_MCP = "input_schema", "inputSchema"


def encode_json(decision: Decision, *, lists_tools: bool = False, renamed: bool = False) -> bytes:
    """The answer to one body.

    ``decision`` is what to apply; what a policy in shadow mode would have decided stands apart, under ``would_have``.

    Args:
        decision: what was decided.
        lists_tools: whether the tools of a changed list go back as ``tools``.
        renamed: whether their schemas are called ``input_schema``.
    """
    answer: dict[str, Any] = {
        "decision": decision.applied,
        "decision_id": decision.id,
        "mode": decision.mode,
        "policy_hash": decision.policy_hash,
        "findings": decision.findings,
    }
    if decision.guard is not None:
        answer["guard"] = decision.guard
    if decision.applied == decision.verdict:
        answer |= _outcome(decision, lists_tools=lists_tools, renamed=renamed)
    else:
        answer["would_have"] = {"decision": decision.verdict, **_outcome(decision, lists_tools=False, renamed=False)}
    return msgspec.json.encode(answer)


def _outcome(decision: Decision, *, lists_tools: bool, renamed: bool) -> dict[str, Any]:
    if decision.verdict in ("deny", "pending"):
        reason = reason_for(decision.code or "")
        return {
            "reason": {
                "code": decision.code or reason.code,
                "message": decision.message or reason.text,
                "details": decision.details,
            }
        }
    if decision.verdict != "modify":
        return {}
    if not lists_tools:
        return {"payload": decision.payload}
    tools = decision.payload["tools"]
    return {"tools": [_named(tool) for tool in tools] if renamed else tools}


def _named(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as it came. Where it had another name its members have kept their order."""
    return {SCHEMA if name == SCHEMA_OF_MCP else name: value for name, value in tool.items()}
