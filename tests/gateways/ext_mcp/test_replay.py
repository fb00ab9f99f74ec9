"""Every operation through agentgateway as it was seen to be, with one target and with several."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import msgspec
import pytest

from guardsvc.gateways.ext_mcp import ExtMcp
from guardsvc.gateways.ext_mcp.answers import DECISION_ID_HEADER
from guardsvc.gateways.peers import local
from guardsvc.model import ALLOW, REASONS, Deny, Direction, GatewayProtocol, Kind, Modify, Operation, Phase, Reason
from guardsvc.observe import Metrics, Recorder
from guardsvc.policy import Policy
from guardsvc.policy.response_settings import ResponseSettings
from guardsvc.policy.settings import ServerSettings
from tests.engine.scripted import DENY, asked, guard, policy
from tests.gateways.ext_mcp.agentgateway import ERRORS, FAN_OUT, Agentgateway
from tests.gateways.ext_mcp.operations import OPERATIONS
from tests.gateways.ext_mcp.operations import Operation as Case
from tests.gateways.ext_mcp.upstream import Server
from tests.gateways.ext_proc.streams import SEAL, judge_words

SERVERS = {
    "files": ServerSettings(tool_prefixes=("files_",), uri_prefixes=("files+",)),
    "more": ServerSettings(tool_prefixes=("more_",), uri_prefixes=("more+",)),
}
CLAIMS = {"envoy.filters.http.jwt_authn": {"jwt_payload": {"sub": "ann", "tenant": "acme"}}}


@asynccontextmanager
async def gateway(
    chain: Policy,
    *names: str,
    says: str = "fine",
    metrics: Metrics | None = None,
    believes: Any = local,
    sources: Any = None,
    **more: Any,
) -> AsyncIterator[Agentgateway]:
    """A gateway before these servers, asking a service with this policy."""
    server = grpc.aio.server()
    recorder = Recorder(metrics or Metrics("0"), ["tools/call", "tools/list"])
    service = ExtMcp(lambda: chain, SEAL, recorder, sources or {}, believes)
    server.add_generic_rpc_handlers((service.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            targets = {name: Server(says) for name in names or ("files",)}
            yield Agentgateway(channel, targets, **more)
    finally:
        await server.stop(None)


def prefixed(case: Case) -> dict[str, Any]:
    """The params as a client of several targets sends them."""
    params = dict(case.params)
    if case.method in ("tools/call", "prompts/get"):
        params["name"] = f"files_{params['name']}"
    elif case.method == "resources/read":
        params["uri"] = f"files+{params['uri']}"
    return params


@pytest.mark.parametrize("several", [False, True], ids=["one target", "several targets"])
@pytest.mark.parametrize("case", OPERATIONS, ids=str)
async def test_operations(case: Case, several: bool) -> None:
    chain = policy(guard("g", judge_words), servers=SERVERS)
    names = ("files", "more") if several else ("files",)
    async with gateway(chain, *names, says=case.says) as agentgateway:
        told = await agentgateway.send(case.method, prefixed(case) if several else case.params)
    if case.reason is not None:
        assert (told.code, told.data["reason"]) == (case.code or -32001, case.reason)
        assert len(told.data["decision_id"]) == 32
    else:
        assert told.code is None, told
        assert case.finds in json.dumps(told.result)


@pytest.mark.parametrize("several", [False, True], ids=["one target", "several targets"])
@pytest.mark.parametrize(
    ("method", "params", "prefixed_params"),
    [
        ("tools/call", {"name": "read_file"}, {"name": "files_read_file"}),
        ("prompts/get", {"name": "greet"}, {"name": "files_greet"}),
        ("resources/read", {"uri": "note://1"}, {"uri": "files+note://1"}),
    ],
)
async def test_both_phases_are_of_the_server_and_by_its_own_name(
    method: str, params: dict[str, Any], prefixed_params: dict[str, Any], several: bool
) -> None:
    seeing = guard("g")
    names = ("files", "more") if several else ("files",)
    headers = {"mcp-name": next(iter((prefixed_params if several else params).values()))}
    async with gateway(policy(seeing, servers=SERVERS), *names, metadata=CLAIMS) as agentgateway:
        told = await agentgateway.send(method, prefixed_params if several else params, headers)
    assert told.code is None, told
    request, response = asked(seeing)
    assert request.protocol is response.protocol is GatewayProtocol.EXT_MCP
    assert (request.direction, response.direction) == (Direction.REQUEST, Direction.RESPONSE)
    assert (request.kind, response.kind) == (Kind.REQUEST, Kind.RESULT)
    for seen in (request, response):
        assert (seen.method, seen.server, seen.servers) == (method, "files", ("files",))
        assert seen.subject == next(iter(params.values()))
        assert (seen.caller.tenant, seen.caller.principal, seen.caller.verified) == ("acme", "ann", True)
        assert seen.id is None
    assert (request.caller.source, response.caller.source) == ("jwt", "token")
    assert response.learnable
    assert not request.learnable


async def test_a_name_that_begins_as_the_prefix_does_stays_as_the_server_has_it() -> None:
    seeing = guard("g")
    async with gateway(policy(seeing, servers=SERVERS), "files", "more") as agentgateway:
        await agentgateway.send("tools/call", {"name": "files_files_list"})
    assert [operation.subject for operation in asked(seeing)] == ["files_list", "files_list"]


@pytest.mark.parametrize("method", sorted(FAN_OUT - {"subscriptions/listen", "logging/setLevel"}))
async def test_methods_for_several_are_of_all_servers(method: str) -> None:
    seeing = guard("g")
    async with gateway(policy(seeing, servers=SERVERS), "files", "more") as agentgateway:
        told = await agentgateway.send(method)
    assert told.code is None, told
    assert [operation.servers for operation in asked(seeing)] == [("files", "more")] * 2
    assert asked(seeing)[0].payload is None


async def test_a_list_of_several_shows_names_with_prefixes() -> None:
    seeing = guard("g")
    async with gateway(policy(seeing, servers=SERVERS), "files", "more") as agentgateway:
        await agentgateway.send("tools/list")
    tools = asked(seeing)[1].payload["tools"]
    assert [tool["name"] for tool in tools] == ["files_read_file", "more_read_file"]


async def test_tools_taken_out_of_a_list_are_gone() -> None:
    def drop(operation: Operation) -> Any:
        if operation.direction is Direction.REQUEST:
            return ALLOW
        kept = [tool for tool in operation.payload["tools"] if not tool["name"].startswith("more_")]
        return Modify(payload={**operation.payload, "tools": kept})

    async with gateway(policy(guard("g", drop)), "files", "more") as agentgateway:
        told = await agentgateway.send("tools/list")
    assert [tool["name"] for tool in told.result["tools"]] == ["files_read_file"]


@pytest.mark.parametrize("method", sorted(FAN_OUT))
async def test_a_request_for_several_that_would_have_to_be_changed_is_refused(method: str) -> None:
    changing = guard("g", lambda _: Modify(payload={"cursor": "x"}))
    async with gateway(policy(changing), "files", "more") as agentgateway:
        told = await agentgateway.send(method)
    assert (told.code, told.data["reason"]) == (-32001, "modification_unsupported")


async def test_a_request_that_was_changed_reaches_the_server_so_and_keeps_its_token() -> None:
    def redact(operation: Operation) -> Any:
        if operation.direction is Direction.RESPONSE:
            return ALLOW
        return Modify(payload={**operation.payload, "arguments": {"say": "swap"}})

    async with gateway(policy(guard("g", redact))) as agentgateway:
        told = await agentgateway.send("tools/call", {"name": "read_file", "arguments": {"say": "bad"}})
    assert told.result["content"][0]["text"] == "this is SWAP"


async def test_the_decision_goes_with_the_request_over_what_the_client_sent() -> None:
    async with gateway(policy(guard("g"))) as agentgateway:
        await agentgateway.send("tools/call", {"name": "read_file"}, {DECISION_ID_HEADER: "forged"})
    assert len(agentgateway.upstream_headers[DECISION_ID_HEADER]) == 32


async def test_a_benign_call_is_not_touched() -> None:
    async with gateway(policy(guard("g"))) as agentgateway:
        told = await agentgateway.send("tools/call", {"name": "read_file", "arguments": {"n": 2**70, "f": 100.0}})
    assert told.result == Server().answer("tools/call", {"name": "read_file"})
    (request,) = agentgateway.asked
    assert request.mcp_request == b'{"name": "read_file", "arguments": {"n": 1180591620717411303424, "f": 100.0}}'


MALFORMED: dict[str, Any] = {
    "no content": {"content": "x"},
    "text without a text": {"content": [{"type": "text"}]},
    "an empty object": {},
    "content that is none": {"content": [1]},
}


@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED)
async def test_what_a_guard_makes_of_a_result_must_be_one(payload: Any) -> None:
    def spoil(operation: Operation) -> Any:
        return ALLOW if operation.direction is Direction.REQUEST else Modify(payload=payload)

    async with gateway(policy(guard("g", spoil))) as agentgateway:
        told = await agentgateway.send("tools/call", {"name": "read_file"})
    assert (told.code, told.data["reason"]) == (-32603, "guard_bad_answer")


async def test_what_a_guard_makes_of_params_must_be_some() -> None:
    spoiling = guard("g", lambda operation: Modify(payload={**operation.payload, "arguments": {"text": 1}}))
    async with gateway(policy(spoiling)) as agentgateway:
        told = await agentgateway.send("prompts/get", {"name": "greet", "arguments": {"text": "x"}})
    assert (told.code, told.data["reason"]) == (-32603, "guard_bad_answer")


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
async def test_every_reason_reaches_the_client_with_a_code_that_agentgateway_has(reason: Reason) -> None:
    async with gateway(policy(guard("g", Deny(code=reason.code, message="")))) as agentgateway:
        told = await agentgateway.send("tools/call", {"name": "read_file"})
    assert told.code == (reason.jsonrpc if reason.jsonrpc in ERRORS.values() else -32600)
    assert (told.message, told.data["reason"]) == (reason.text, reason.code)


async def test_a_denial_says_how_it_is_told() -> None:
    chain = policy(guard("g", msgspec.structs.replace(DENY, code="rate_limited", details={"retry_after_ms": 50})))
    async with gateway(chain) as agentgateway:
        told = await agentgateway.send("tools/call", {"name": "read_file"})
    assert (told.code, told.message) == (-32003, "No.")
    assert (told.data["reason"], told.data["retry_after_ms"]) == ("rate_limited", 50)


@pytest.mark.parametrize("require", [True, False])
async def test_without_the_metadata_a_response_is_judged_by_its_shape(require: bool) -> None:
    elsewhere = guard("elsewhere", judge_words)
    chain = policy(elsewhere, responses=ResponseSettings(require_context=require))
    metrics = Metrics("0")
    async with gateway(chain, hands_on=False, metrics=metrics) as agentgateway:
        fine = await agentgateway.send("tools/call", {"name": "read_file"})
        bad = await agentgateway.send("tools/call", {"name": "read_file", "arguments": {"say": "bad"}})
    assert fine.code == (-32001 if require else None)
    assert bad.data["reason"] == ("uncorrelated_response" if require else "access_denied")
    assert b'guardsvc_uncorrelated_responses_total{cause="missing"} 2.0' in metrics.exposition()
    if not require:
        seen = asked(elsewhere)[1]
        assert (seen.phase, seen.method, seen.learnable) == (Phase.TOOL_RESULT, "", False)


async def test_a_shadow_policy_applies_nothing() -> None:
    async with gateway(policy(guard("g", DENY), mode="shadow")) as agentgateway:
        told = await agentgateway.send("tools/call", {"name": "read_file"})
    assert told.code is None
