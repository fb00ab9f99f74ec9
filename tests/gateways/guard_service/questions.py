"""EvaluateRequests as callers fill them."""

from __future__ import annotations

import json
from typing import Any

from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract

CALL: dict[str, Any] = {
    "protocol": contract.GatewayProtocol.GATEWAY_PROTOCOL_EXT_PROC,
    "direction": contract.Direction.DIRECTION_REQUEST,
    "phase": contract.Phase.PHASE_TOOL_INVOKE,
    "kind": contract.Kind.KIND_REQUEST,
    "method": "tools/call",
    "int_id": 1,
    "payload": {"name": "read", "arguments": {"path": "/a"}},
    "caller": contract.Caller(tenant="acme", principal="ann", verified=True, address="203.0.113.9"),
}
RESULT: dict[str, Any] = {
    **CALL,
    "direction": contract.Direction.DIRECTION_RESPONSE,
    "phase": contract.Phase.PHASE_TOOL_RESULT,
    "kind": contract.Kind.KIND_RESULT,
    "subject": "read",
    "payload": {"content": [{"type": "text", "text": "hello"}]},
}
LIST: dict[str, Any] = {
    **RESULT,
    "phase": contract.Phase.PHASE_TOOLS_LIST,
    "method": "tools/list",
    "subject": None,
    "payload": {"tools": [{"name": "read", "inputSchema": {"type": "object"}}]},
}


def question(base: dict[str, Any] = CALL, *, findings: Any = (), **fields: Any) -> contract.EvaluateRequest:
    """A request; None leaves a field out, a payload that is no bytes is written as JSON."""
    given = {name: value for name, value in (base | fields).items() if value is not None}
    payload = given.get("payload", b"")
    given["payload"] = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return contract.EvaluateRequest(operation=contract.Operation(**given), findings=findings)


def batch(*requests: contract.EvaluateRequest) -> bytes:
    data: bytes = contract.EvaluateBatchRequest(requests=requests).SerializeToString()
    return data
