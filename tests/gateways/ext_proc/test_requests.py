"""Used alone, ext_proc judges requests too, changes their bodies, and knows what their responses answer."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from guardsvc.gateways.ext_proc.wire import EXT_AUTHZ, FILTER
from guardsvc.mcp import TransportKind
from guardsvc.model import Direction, GatewayProtocol, Operation, Phase
from tests.engine.scripted import asked, guard, policy
from tests.gateways.ext_proc.streams import (
    BUFFERED,
    EVENTS,
    JSON,
    body,
    event,
    exchange,
    judge_words,
    pieces,
    request_headers,
    response_headers,
    result,
    token,
    trailers,
)

POLICY = policy(guard("g", judge_words))


def call(text: str = "fine", request_id: Any = 7) -> bytes:
    params = {"name": "read", "arguments": {"text": text}}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}, indent=1).encode()


@pytest.mark.parametrize("text", ["fine", "BAD", "SWAP"])
async def test_a_request_wherever_it_was_cut(text: str) -> None:
    came = call(text)
    for at in range(len(came) + 1):
        seen = await exchange(POLICY, request_headers(), *pieces("request", came[:at], came[at:]), side="request")
        match text:
            case "fine":
                assert (seen.body, seen.ended) == (came, True)
            case "BAD":
                assert (seen.headers, seen.error["id"], seen.denial and seen.denial[0]) == (False, 7, 200)
            case _:
                assert json.loads(seen.body) == json.loads(call("GOOD"))
        assert set(seen.at) == {3}
        if text != "BAD":
            assert "x-guardsvc-decision-id" in seen.fields
            assert seen.removed == ["accept-encoding"]


@pytest.mark.parametrize("text", ["fine", "BAD", "SWAP"])
async def test_a_gateway_that_buffers(text: str) -> None:
    came = call(text)
    headers = request_headers(("content-length", str(len(came))), mode=BUFFERED)
    seen = await exchange(POLICY, headers, *pieces("request", came), side="request", came=came)
    if text == "BAD":
        assert seen.error["id"] == 7
        return
    assert json.loads(seen.body) == json.loads(call("GOOD" if text == "SWAP" else text))
    assert seen.fields.get("content-length", str(len(came))) == str(len(seen.body))
    assert "x-guardsvc-decision-id" in seen.fields


async def test_trailer_fields_end_a_request_too() -> None:
    seen = await exchange(POLICY, request_headers(), body("request", call()), trailers("request"), side="request")
    assert (seen.body, seen.kinds[-1], seen.status) == (call(), "request_trailers", None)


@pytest.mark.parametrize("text", ["fine", "BAD"])
async def test_its_response_needs_no_token(text: str) -> None:
    seeing = guard("g", judge_words)
    messages = (request_headers(), *pieces("request", call()), response_headers(JSON, mode=None))
    seen = await exchange(policy(seeing), *messages, *pieces("response", result(text)))
    if text == "BAD":
        assert seen.error["id"] == 7
    else:
        assert (seen.body, seen.ended, seen.status) == (result(), True, None)
    request, response = asked(seeing)
    assert (request.direction, request.protocol) == (Direction.REQUEST, GatewayProtocol.EXT_PROC)
    assert (response.phase, response.method, response.subject) == (Phase.TOOL_RESULT, "tools/call", "read")


async def test_a_request_without_a_body_is_of_the_transport() -> None:
    seeing = guard("g")
    headers = request_headers(("accept", "text/event-stream"), method="GET", end=True)
    messages = (
        headers,
        response_headers(EVENTS, mode=None),
        *pieces("response", event(b'{"jsonrpc":"2.0","method":"a"}')),
    )
    seen = await exchange(policy(seeing), *messages)
    assert seen.ended
    assert [each.method for each in asked(seeing)] == ["http/get_stream", "a"]
    closed = policy(seeing, transport={TransportKind.GET_STREAM: "deny"})
    assert (await exchange(closed, headers)).denial


async def test_a_request_that_ext_authz_has_judged_is_not_judged_again() -> None:
    seeing = guard("g")
    headers = request_headers()
    headers.metadata_context.filter_metadata[EXT_AUTHZ].fields["token"].string_value = token()
    seen = await exchange(policy(seeing), headers, *pieces("request", call("BAD")), side="request")
    assert (seen.body, asked(seeing)) == (call("BAD"), [])
    seen = await exchange(
        policy(guard("g", judge_words)), headers, *pieces("request", call("BAD")), side="request", peer="ipv4:1.2.3.4:5"
    )
    assert seen.denial


@pytest.mark.parametrize("mode", [0, 1, 3])
async def test_modes_that_do_not_show_the_whole_body_are_refused(mode: int) -> None:
    headers = request_headers()
    headers.protocol_config.request_body_mode = mode  # type: ignore[assignment]
    seen = await exchange(POLICY, headers)
    assert seen.error["error"]["data"]["reason"] == "partial_body"


async def test_a_body_that_is_too_large_is_refused_before_its_end() -> None:
    seen = await exchange(POLICY, request_headers(), *[body("request", b" " * 600_000)] * 3)
    assert (seen.error["error"]["data"]["reason"], seen.at) == ("too_large", [3])


async def test_a_change_that_cannot_be_carried_is_a_refusal() -> None:
    params = {"name": "read", "inputResponses": {"q": {"action": "accept", "content": {"a": "SWAP"}}}}
    data = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).encode()
    changing = guard(
        "g", lambda op: judge_words(op) if op.phase is Phase.INPUT_RESPONSE else judge_words(without_payload(op))
    )
    seen = await exchange(policy(changing), request_headers(), *pieces("request", data), side="request")
    assert seen.error["error"]["data"]["reason"] == "modification_unsupported"


def without_payload(operation: Operation) -> Operation:
    return msgspec.structs.replace(operation, payload={})


async def test_who_calls_and_which_server() -> None:
    seeing = guard("g")
    headers = request_headers()
    fields = headers.attributes[FILTER].fields
    fields["connection.uri_san_peer_certificate"].string_value = "spiffe://acme/agent"
    fields["source.address"].string_value = "10.1.2.3:4567"
    servers: dict[str, Any] = {"servers": {"papers": {"ids": ["files"]}}}
    await exchange(policy(seeing, **servers), headers, *pieces("request", call()))
    await exchange(policy(seeing, **servers), headers, *pieces("request", call()), peer="ipv4:10.0.0.9:1")
    believed, stranger = asked(seeing)
    assert (believed.server, believed.caller.principal, believed.caller.verified) == (
        "papers",
        "spiffe://acme/agent",
        True,
    )
    assert believed.caller.address == "10.1.2.3"
    assert (stranger.server, stranger.caller.principal, stranger.caller.verified) == (None, None, False)
    assert stranger.caller.address == "10.0.0.9"


async def test_a_gateway_that_goes_away_in_between() -> None:
    seen = await exchange(POLICY, request_headers(), body("request", call()))
    assert str(seen.status) == "StatusCode.ABORTED"
    seen = await exchange(POLICY, request_headers(), *pieces("request", call()))
    assert seen.status is None


async def test_in_shadow_mode_nothing_is_kept_from_the_server() -> None:
    shadow = policy(guard("g", judge_words), mode="shadow")
    for data in (call("BAD"), b"no json", b" " * 1_100_000):
        parts = pieces("request", data[:5], data[5:], b"x")
        seen = await exchange(shadow, request_headers(), *parts, side="request")
        assert (seen.body, seen.ended, seen.status) == (data + b"x", True, None)
