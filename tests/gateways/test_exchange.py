"""From an HTTP request to decisions: all its messages pass, or none."""

from __future__ import annotations

from typing import Any

import pytest

from guardsvc.gateways.exchange import Asker
from guardsvc.mcp import BodyState
from guardsvc.mcp.transport import TransportKind
from guardsvc.model import (
    ALLOW,
    Caller,
    Deny,
    Direction,
    FailureMode,
    GatewayProtocol,
    Headers,
    Kind,
    Mode,
    Modify,
    Operation,
    Pending,
    Phase,
)
from guardsvc.policy.settings import ServerSettings
from tests.engine.scripted import DENY, asked, guard, policy, raises
from tests.gateways.posted import ASKER, BATCHES, judged, notification, post, request, result

ALLOWING = policy(guard("g"))


def denies(subject: str) -> Any:
    return lambda operation: DENY if operation.subject == subject else ALLOW


async def test_a_request_is_one_operation_with_everything_about_it() -> None:
    seeing = guard("g")
    servers = {"files": ServerSettings(hosts=("files.example",), tool_prefixes=("f_",))}
    exchange = await judged(
        policy(seeing, servers=servers),
        request(name="f_read", arguments={"a": 1}),
        ("mcp-protocol-version", "2025-06-18"),
        host="files.example:80",
        path="/mcp?x=1",
    )
    (operation,) = asked(seeing)
    assert exchange.leading.operation is operation
    assert operation == Operation(
        protocol=GatewayProtocol.EXT_AUTHZ,
        direction=Direction.REQUEST,
        phase=Phase.TOOL_INVOKE,
        kind=Kind.REQUEST,
        method="tools/call",
        id=1,
        server="files",
        servers=("files",),
        subject="read",
        payload={"name": "f_read", "arguments": {"a": 1}},
        caller=ASKER.caller,
        headers=Headers([("content-type", "application/json"), ("mcp-protocol-version", "2025-06-18")]),
        revision="2025-06-18",
        http_method="POST",
        path="/mcp?x=1",
        host="files.example:80",
    )
    assert (exchange.refusal, exchange.batch, exchange.id_readable) == (None, False, True)


@pytest.mark.parametrize(
    ("http", "code", "kind", "request_id", "readable"),
    [
        (post(b"{"), "invalid_json", Kind.REQUEST, None, False),
        (post(request(), ("content-encoding", "gzip")), "content_encoding", Kind.REQUEST, None, False),
        (post(request(), body_state=BodyState.PARTIAL), "partial_body", Kind.REQUEST, None, False),
        (post(request(), ("mcp-method", "tools/list")), "header_mismatch", Kind.REQUEST, 1, True),
        (post(request(request_id=None)), "bad_id", Kind.REQUEST, None, False),
        (post({**request(), "params": 5}), "bad_params", Kind.REQUEST, 1, True),
        (post(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}'), "duplicate_key", Kind.REQUEST, None, False),
        (post({**notification(), "params": 5}), "bad_params", Kind.NOTIFICATION, None, True),
        (post({**result(), "result": 5}), "invalid_message", Kind.RESULT, 7, True),
        (post([request(), 5]), "batch_not_allowed", Kind.REQUEST, None, False),
    ],
)
async def test_what_cannot_be_read_in_one_way_is_refused_without_asking_guards(
    http: Any, code: str, kind: Kind, request_id: Any, *, readable: bool
) -> None:
    never = guard("never", raises(AssertionError()), failure_mode=FailureMode.FAIL_OPEN)
    exchange = await judged(policy(never, default="allow"), http)
    (decision,) = exchange.decisions
    assert (decision.verdict, decision.code, asked(never)) == ("deny", code, [])
    assert (decision.operation.kind, decision.operation.id) == (kind, request_id)
    assert exchange.id_readable is readable
    assert exchange.refusal is decision


async def test_every_message_of_a_batch_is_judged_by_itself_and_one_refusal_refuses_all() -> None:
    chain = policy(guard("g", denies("bad")), rules=BATCHES)
    good = await judged(chain, [request(), notification(), result(), request(request_id="1")])
    assert [decision.verdict for decision in good.decisions] == ["allow"] * 4
    assert (good.batch, good.refusal) == (True, None)
    bad = await judged(chain, [request(), request(request_id=2, name="bad"), request(request_id=3)])
    assert [decision.verdict for decision in bad.decisions] == ["allow", "deny", "allow"]
    assert bad.refusal is bad.decisions[1]
    assert bad.leading is bad.decisions[1]
    assert len({decision.id for decision in bad.decisions}) == 3


async def test_of_an_unreadable_batch_no_id_is_echoed() -> None:
    """Its other requests wait for an answer too, and a batch of one answer would leave them waiting."""
    exchange = await judged(policy(guard("g"), rules=BATCHES), [request(), {**request(request_id=2), "params": 5}])
    assert exchange.refusal is not None
    assert (exchange.refusal.code, exchange.batch, exchange.id_readable) == ("bad_params", True, False)


async def test_a_retry_with_input_is_two_decisions_under_one_id() -> None:
    seeing = guard("g")
    exchange = await judged(
        policy(seeing), request(name="read", inputResponses={"q": {"action": "accept"}}, requestState="s")
    )
    call, given = asked(seeing)
    assert (call.kind, call.phase) == (Kind.REQUEST, Phase.TOOL_INVOKE)
    assert (given.kind, given.phase) == (Kind.RESULT, Phase.INPUT_RESPONSE)
    assert given.payload == {"inputResponses": {"q": {"action": "accept"}}, "requestState": "s"}
    assert [d.operation.id for d in exchange.decisions] == [1, 1]
    assert not exchange.batch


async def test_input_that_is_refused_refuses_the_retry() -> None:
    chain = policy(guard("g", lambda op: DENY if op.phase is Phase.INPUT_RESPONSE else ALLOW))
    exchange = await judged(chain, request(name="read", requestState="s"))
    assert [decision.verdict for decision in exchange.decisions] == ["allow", "deny"]
    assert exchange.refusal is exchange.decisions[1]


@pytest.mark.parametrize("mode", Mode)
async def test_an_ambiguous_server_is_refused_before_guards_are_asked(mode: Mode) -> None:
    servers = {
        name: ServerSettings(hosts=("h",), tool_prefixes=(prefix,)) for name, prefix in (("a", "x"), ("b", "x_"))
    }
    seeing = guard("g")
    exchange = await judged(policy(seeing, servers=servers, default="allow", mode=mode), request(name="x_read"))
    assert (exchange.leading.code, exchange.leading.verdict, asked(seeing)) == ("ambiguous_server", "deny", [])
    assert exchange.leading.operation.subject == "x_read"
    assert (exchange.refusal is None) is (mode is Mode.SHADOW)


async def test_a_request_without_a_message_is_one_operation_of_the_transport() -> None:
    listening = post(b"", ("accept", "text/event-stream"), method="GET")
    exchange = await judged(policy(guard("g"), transport={TransportKind.GET_STREAM: "deny"}), listening)
    assert (exchange.leading.code, exchange.leading.operation.method) == ("stream_not_allowed", "http/get_stream")
    assert exchange.leading.operation.kind is Kind.TRANSPORT
    assert (await judged(ALLOWING, listening)).refusal is None


@pytest.mark.parametrize(("can_modify", "verdict"), [(True, "modify"), (False, "deny")])
async def test_a_modification_passes_only_where_the_protocol_carries_it(*, can_modify: bool, verdict: str) -> None:
    asker = Asker(protocol=GatewayProtocol.EXT_MCP, can_modify=can_modify)
    chain = policy(guard("g", Modify(payload={"name": "read", "arguments": {}})))
    exchange = await judged(chain, request(), asker=asker)
    assert exchange.leading.verdict == verdict
    assert (exchange.refusal is None) is can_modify


async def test_a_pending_decision_keeps_the_request_from_passing() -> None:
    exchange = await judged(policy(guard("g", Pending(approval="t", message=""))), request())
    assert exchange.refusal is exchange.decisions[0]


async def test_under_policy_mode_shadow_even_what_cannot_be_read_passes() -> None:
    exchange = await judged(policy(mode=Mode.SHADOW), b"{")
    assert (exchange.refusal, exchange.leading.code) == (None, "invalid_json")


async def test_the_caller_is_whom_the_asker_names() -> None:
    caller = Caller(tenant="t", principal="p", verified=False, address="10.0.0.1")
    exchange = await judged(
        policy(guard("g", Deny(code="x", message=""))),
        request(),
        asker=Asker(protocol=GatewayProtocol.CLI, caller=caller),
    )
    assert exchange.leading.operation.caller == caller
    unread = await judged(ALLOWING, b"", asker=Asker(protocol=GatewayProtocol.CLI, caller=caller))
    assert unread.leading.operation.caller == caller
