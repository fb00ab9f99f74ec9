"""Decisions to record."""

from __future__ import annotations

from typing import Any

from guardsvc.model import (
    Caller,
    Decision,
    Direction,
    GatewayProtocol,
    GuardOutcome,
    Kind,
    Mode,
    Operation,
    Phase,
    Tier,
)


def operation(**more: Any) -> Operation:
    fields: dict[str, Any] = {
        "protocol": GatewayProtocol.EXT_AUTHZ,
        "direction": Direction.REQUEST,
        "phase": Phase.TOOL_INVOKE,
        "kind": Kind.REQUEST,
        "method": "tools/call",
        "id": 1,
        "server": "library",
        "subject": "search",
        "caller": Caller(tenant="acme", principal="ann", verified=True),
    }
    return Operation(**{**fields, **more})


def outcome(guard: str = "list", **more: Any) -> GuardOutcome:
    fields: dict[str, Any] = {
        "guard": guard,
        "type": "access_list",
        "tier": Tier.NATIVE,
        "mode": Mode.ENFORCE,
        "verdict": "allow",
        "duration": 0.0003,
    }
    return GuardOutcome(**{**fields, **more})


def decision(verdict: str = "allow", *outcomes: GuardOutcome, **more: Any) -> Decision:
    fields: dict[str, Any] = {
        "id": "018f",
        "operation": operation(),
        "verdict": verdict,
        "mode": Mode.ENFORCE,
        "outcomes": outcomes,
        "policy_hash": "abcd",
        "duration": 0.001,
    }
    if verdict == "deny":
        fields |= {"code": "access_denied", "message": "Denied by policy.", "guard": "list"}
    return Decision(**{**fields, **more})
