"""Requests as a gateway passes them on, and what becomes of them."""

from __future__ import annotations

import json
from time import perf_counter
from typing import Any

from guardsvc.gateways.denial import Denial, deny
from guardsvc.gateways.exchange import Asker, Exchange, judge
from guardsvc.mcp import HttpRequest, InterpretationRules
from guardsvc.model import Caller, GatewayProtocol, Headers
from guardsvc.policy import Policy

JSON = ("content-type", "application/json")
BATCHES = InterpretationRules(batches=True)
ASKER = Asker(protocol=GatewayProtocol.EXT_AUTHZ, caller=Caller(tenant="acme", principal="ann", verified=True))


def request(method: str = "tools/call", request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {"name": "read"}}


def notification(method: str = "notifications/cancelled", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params or {"requestId": 1}}


def result(request_id: Any = 7) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": {}}


def post(body: Any, *fields: tuple[str, str], **more: Any) -> HttpRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given: dict[str, Any] = {"method": "POST", "path": "/mcp", "host": "h", "headers": Headers([JSON, *fields])}
    return HttpRequest(body=data, **(given | more))


async def judged(policy: Policy, body: Any, *fields: tuple[str, str], asker: Asker = ASKER, **more: Any) -> Exchange:
    http = body if isinstance(body, HttpRequest) else post(body, *fields, **more)
    return await judge(policy, http, asker, deadline=perf_counter() + 30, sources={})


async def denied(policy: Policy, body: Any, *, status: int = 200, accept: str | None = None) -> Denial:
    """The HTTP response to a request that the policy refuses."""
    exchange = await judged(policy, body)
    assert exchange.refusal is not None
    return deny(exchange, status=status, accept=accept)
