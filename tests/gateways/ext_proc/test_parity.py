"""One request gets one answer through ext_authz and ext_proc, one response through ext_proc and GuardService."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract
from guardsvc.gateways.ext_authz import ExtAuthz
from guardsvc.gateways.guard_service import GuardService
from guardsvc.observe import Metrics, Recorder
from tests.engine.scripted import guard, policy
from tests.gateways.ext_authz.checks import attributes, check_request
from tests.gateways.ext_proc.streams import (
    JSON,
    SEAL,
    Context,
    exchange,
    judge_words,
    pieces,
    request_headers,
    response_headers,
    result,
    token,
)
from tests.gateways.posted import notification, request

POLICY = policy(guard("g", judge_words))
RECORDER = Recorder(Metrics("0"), ["tools/call"])
CALL = request(name="read", arguments={"a": "fine"})


def told(body: bytes) -> Any:
    """A denial without what is made anew for each."""
    denial = json.loads(body)
    denial["error"]["data"].pop("decision_id")
    return denial


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(CALL).encode(),
        json.dumps(request(name="BAD")).encode(),
        json.dumps(request("x/y", "an id", a="BAD")).encode(),
        json.dumps(notification(reason="BAD")).encode(),
        b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"Method":"ping","method":"ping"}',
        b"[]",
        b"{",
        b"",
    ],
)
async def test_requests(body: bytes) -> None:
    context: Any = Context((), "unix:")
    context.time_remaining = lambda: None
    service = ExtAuthz(lambda: POLICY, SEAL, RECORDER, {}, lambda _: True)
    answer = CheckResponse.FromString(await service.check(check_request(attributes(body)), context))
    seen = await exchange(POLICY, request_headers(), *pieces("request", body), side="request")
    assert (answer.status.code == 0) is (seen.denial is None)
    if seen.denial is not None:
        denied = answer.denied_response
        assert (seen.denial[0], told(seen.denial[1])) == (denied.status.code, told(denied.body.encode()))


@pytest.mark.parametrize("text", ["fine", "BAD", "SWAP"])
async def test_responses(text: str) -> None:
    context: Any = Context((), "unix:")
    context.time_remaining = lambda: None
    payload = json.dumps(json.loads(result(text))["result"]).encode()
    asked = contract.EvaluateRequest(
        operation=contract.Operation(
            protocol=contract.GATEWAY_PROTOCOL_EXT_MCP,
            direction=contract.DIRECTION_RESPONSE,
            phase=contract.PHASE_TOOL_RESULT,
            kind=contract.KIND_RESULT,
            method="tools/call",
            payload=payload,
        )
    )
    service = GuardService(lambda: POLICY, RECORDER, {}, lambda _: True)
    decision = contract.EvaluateResponse.FromString(await service.evaluate(asked.SerializeToString(), context)).decision
    seen = await exchange(POLICY, response_headers(JSON, sealed=token()), *pieces("response", result(text)))
    match decision.WhichOneof("verdict"):
        case "allow":
            assert seen.body == result(text)
        case "modify":
            assert json.loads(seen.body)["result"] == json.loads(decision.modify.payload)
        case _:
            assert seen.error["error"]["data"]["reason"] == decision.deny.code
