"""ExtMcp over a socket: bytes that are no message, peers, tokens of others, deadlines, overload, audit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from time import perf_counter
from typing import Any

import grpc
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardsvc._proto.agentgateway.dev.ext_mcp import ext_mcp_pb2 as contract
from guardsvc.gateways.admission import Admission, Bounds
from guardsvc.gateways.entrance import Intake
from guardsvc.gateways.ext_mcp import ExtMcp
from guardsvc.gateways.peers import local, nobody
from guardsvc.gateways.seal import Seal
from guardsvc.model import FailureMode, Mode
from guardsvc.observe import Metrics, Recorder
from guardsvc.policy import Policy
from guardsvc.policy.identity_settings import IdentitySettings
from guardsvc.policy.response_settings import ResponseSettings
from guardsvc.policy.settings import ServerSettings
from tests.engine.scripted import asked, guard, hook, policy
from tests.gateways.ext_proc.streams import SEAL, token

SERVERS = {"files": ServerSettings(), "mail": ServerSettings()}
CALL = b'{"name":"read","arguments":{}}'
RESULT = b'{"content":[{"type":"text","text":"hello"}]}'


class Asking:
    """A client of the service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._request: Any = channel.unary_unary(f"/{ExtMcp.SERVICE}/CheckRequest")
        self._response: Any = channel.unary_unary(f"/{ExtMcp.SERVICE}/CheckResponse")

    async def request(self, data: bytes | None = None, /, **fields: Any) -> contract.McpRequestResult:
        message = _message(contract.McpRequest, fields, mcp_request=CALL)
        return contract.McpRequestResult.FromString(await self._request(data if data is not None else message))

    async def response(self, data: bytes | None = None, /, **fields: Any) -> contract.McpResponseResult:
        message = _message(contract.McpResponse, fields, mcp_response=RESULT)
        return contract.McpResponseResult.FromString(await self._response(data if data is not None else message))


def _message(cls: Any, fields: dict[str, Any], **default: Any) -> bytes:
    message = cls(**{"service_names": ["files"], "method": "tools/call", **default, **without(fields, "metadata")})
    message.metadata_context.update(fields.get("metadata", {}))
    data: bytes = message.SerializeToString()
    return data


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


@asynccontextmanager
async def serving(
    chain: Policy, believes: Any = local, *, metrics: Metrics | None = None, **more: Any
) -> AsyncIterator[Asking]:
    server = grpc.aio.server()
    recorder = Recorder(metrics or Metrics("0"), ["tools/call"])
    server.add_generic_rpc_handlers((ExtMcp(lambda: chain, SEAL, recorder, {}, believes, **more).handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Asking(channel)
    finally:
        await server.stop(None)


def outcome(answer: Any) -> str:
    """``pass``, ``mutated`` or the reason of the error."""
    which = answer.WhichOneof("result")
    if which != "error":
        return str(which)
    reason: str = msgspec.json.decode(answer.error.mcp_error)["reason"]
    return reason


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "pass"),
        (b"{", "invalid_json"),
        (b"[]", "bad_params"),
        (b'{"name":"a","name":"b"}', "duplicate_key"),
        (b'{"Name":"a","name":"b"}', "case_variant_key"),
        (b'{"name":1}', "invalid_params"),
        (b'{"name":"\xff"}', "invalid_utf8"),
        (b'{"name":"x","arguments":' + b"[" * 90 + b"]" * 90 + b"}", "too_deep"),
        (b'{"name":"x","arguments":{"n":NaN}}', "not_a_number"),
    ],
)
async def test_params_are_read_strictly(payload: bytes, reason: str) -> None:
    async with serving(policy(guard("g"))) as asking:
        answer = await asking.request(mcp_request=payload)
    assert outcome(answer) == reason


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_message"),
        (b"null", "invalid_message"),
        (b'"x"', "invalid_message"),
        (b'{"content":[],"content":[]}', "duplicate_key"),
        (b'{"Content":[]}', "case_variant_key"),
        (RESULT + b" ", "pass"),
    ],
)
async def test_results_are_read_strictly(payload: bytes, reason: str) -> None:
    async with serving(policy(guard("g"))) as asking:
        known = (await asking.request()).metadata["corr"]
        answer = await asking.response(mcp_response=payload, metadata={"corr": known})
    assert outcome(answer) == reason


async def test_bytes_that_are_no_message_are_an_error_status() -> None:
    async with serving(policy(guard("g"))) as asking:
        for ask in (asking.request, asking.response):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await ask(b"\xff")
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"mcp-name": b"read", "mcp-method": b"tools/call"}, "pass"),
        ({"mcp-name": b"files_read"}, "pass"),
        ({"mcp-name": b"files_write"}, "header_mismatch"),
        ({"mcp-name": b"\xff"}, "header_mismatch"),
        ({"mcp-method": b"tools/list"}, "header_mismatch"),
        ({"mcp-protocol-version": b"a b"}, "header_mismatch"),
    ],
)
async def test_headers_mirror_the_message_but_for_a_prefix(fields: dict[str, bytes], reason: str) -> None:
    headers = [contract.McpHeader(key=key, value=value) for key, value in fields.items()]
    async with serving(policy(guard("g"))) as asking:
        answer = await asking.request(headers=headers)
    assert outcome(answer) == reason


@pytest.mark.parametrize("method", ["", "http/get_stream"])
async def test_what_is_no_method_is_an_error_status(method: str) -> None:
    async with serving(policy(guard("g"))) as asking:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await asking.request(method=method)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=60), st.booleans())
def test_no_bytes_get_an_answer_without_an_outcome(data: bytes, is_request: bool) -> None:
    chain = policy(guard("g"))
    service = ExtMcp(lambda: chain, SEAL, Recorder(Metrics("0"), []), {})

    class Context:
        def peer(self) -> str:
            return "unix:"

        def time_remaining(self) -> None:
            return None

        async def abort(self, code: grpc.StatusCode, details: str) -> None:
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            raise grpc.aio.AbortError(code, details)

    async def ask() -> Any:
        context: Any = Context()
        if is_request:
            return contract.McpRequestResult.FromString(await service.check_request(data, context))
        return contract.McpResponseResult.FromString(await service.check_response(data, context))

    with suppress(grpc.aio.AbortError):
        assert asyncio.run(ask()).WhichOneof("result") is not None


async def test_of_a_peer_that_is_not_believed_only_the_message_counts() -> None:
    seeing = guard("g")
    chain = policy(seeing, servers=SERVERS, responses=ResponseSettings(require_context=False))
    claims = {"envoy.filters.http.jwt_authn": {"jwt_payload": {"sub": "ann", "tenant": "acme"}}, "tenant": "acme"}
    metrics = Metrics("0")
    async with serving(chain, nobody, metrics=metrics) as asking:
        answer = await asking.request(metadata=claims)
        await asking.response(metadata={**claims, "corr": answer.metadata["corr"]})
    for operation in asked(seeing):
        caller = operation.caller
        assert (caller.tenant, caller.principal, caller.verified, caller.address) == (None, None, False, "127.0.0.1")
        assert (operation.servers, operation.learnable) == ((), False)
    assert b'guardsvc_uncorrelated_responses_total{cause="missing"} 1.0' in metrics.exposition()


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"tenant": "acme"}, ("acme", None, False, "context_extensions")),
        ({"source.principal": "spiffe://a/b"}, (None, "spiffe://a/b", True, "certificate")),
        ({"tenant": 7.0}, ("7", None, False, "context_extensions")),
        ({"subject": "ann", "session": "s"}, (None, None, False, None)),
    ],
)
async def test_metadata_names_the_caller(metadata: dict[str, Any], told: Any) -> None:
    seeing = guard("g")
    async with serving(policy(seeing)) as asking:
        await asking.request(metadata=metadata)
    caller = asked(seeing)[0].caller
    assert (caller.tenant, caller.principal, caller.verified, caller.source) == told


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"tenant": ["acme"]}, "identity_invalid"),
        ({"source.principal": True}, "identity_invalid"),
        ({"envoy.filters.http.jwt_authn": {"jwt_payload": "x"}}, "identity_invalid"),
        ({"tenant": "a", "envoy.filters.http.jwt_authn": {"jwt_payload": {"tenant": "b"}}}, "identity_conflict"),
    ],
)
async def test_metadata_that_cannot_be_read_refuses_both_phases(metadata: dict[str, Any], reason: str) -> None:
    async with serving(policy(guard("g"))) as asking:
        assert outcome(await asking.request(metadata=metadata)) == reason
        assert outcome(await asking.response(metadata=metadata)) == reason


async def test_proof_is_asked_for_as_by_other_protocols() -> None:
    async with serving(policy(guard("g"), identity=IdentitySettings(require_verified=True))) as asking:
        assert outcome(await asking.request(metadata={"tenant": "acme"})) == "unverified_caller"
        assert outcome(await asking.request(metadata={"source.principal": "ann"})) == "pass"


async def test_a_server_that_cannot_be_told_is_refused() -> None:
    servers = {"files": ServerSettings(ids=("x",)), "x": ServerSettings()}
    async with serving(policy(guard("g"), servers=servers)) as asking:
        assert outcome(await asking.request(service_names=["x"])) == "ambiguous_server"
        assert outcome(await asking.response(service_names=["x"])) == "ambiguous_server"


TOKENS = {
    "missing": {},
    "not a text": {"corr": 7},
    "invalid": {"corr": "g1.x.y"},
    "another key": {"corr": token(Seal((b"z" * 32,)))},
    "another method": {"corr": token(method="prompts/get")},
    "another server": {"corr": token(server="mail")},
}


@pytest.mark.parametrize("name", TOKENS)
async def test_a_response_without_a_token_of_its_own_belongs_to_nothing(name: str) -> None:
    metrics = Metrics("0")
    async with serving(policy(guard("g"), servers=SERVERS), metrics=metrics) as asking:
        answer = await asking.response(metadata=TOKENS[name])
    cause = {"not a text": "missing", "another key": "invalid"}.get(name, name)
    cause = "other_request" if cause.startswith("another") else cause
    assert outcome(answer) == "uncorrelated_response"
    assert f'guardsvc_uncorrelated_responses_total{{cause="{cause}"}} 1.0'.encode() in metrics.exposition()


@pytest.mark.parametrize("key", ["corr", "token"])
async def test_a_token_of_ext_authz_serves_as_well(key: str) -> None:
    seeing = guard("g")
    async with serving(policy(seeing, servers=SERVERS)) as asking:
        answer = await asking.response(metadata={key: token(server="files", subject="read")})
    assert outcome(answer) == "pass"
    (operation,) = asked(seeing)
    assert (operation.subject, operation.server, operation.learnable) == ("read", "files", True)


async def test_questions_in_a_result_are_judged_as_questions() -> None:
    seeing = guard("g")
    payload = b'{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}},"requestState":"s"}'
    async with serving(policy(seeing)) as asking:
        known = (await asking.request()).metadata["corr"]
        answer = await asking.response(mcp_response=payload, metadata={"corr": known})
    assert outcome(answer) == "pass"
    assert [operation.phase.value for operation in asked(seeing)] == ["tool_invoke", "tool_result", "input_request"]


async def test_answers_to_questions_are_judged_with_their_call() -> None:
    seeing = guard("g")
    async with serving(policy(seeing)) as asking:
        answer = await asking.request(mcp_request=b'{"name":"read","inputResponses":{},"requestState":"s"}')
    assert outcome(answer) == "pass"
    assert [operation.phase.value for operation in asked(seeing)] == ["tool_invoke", "input_response"]


async def test_without_a_deadline_of_the_gateway_the_policy_has_one() -> None:
    slow = hook("slow", after=60.0, timeout=60.0)
    chain = replace(policy(slow, responses=ResponseSettings(deadline_ms=100, require_context=False)), deadline=0.1)
    began = perf_counter()
    async with serving(chain) as asking:
        answers = await asyncio.gather(asking.request(), asking.response())
    assert perf_counter() - began < 30
    assert [outcome(answer) for answer in answers] == ["deadline_exceeded", "deadline_exceeded"]


@pytest.mark.parametrize("failure_mode", FailureMode)
async def test_without_room_a_response_is_refused_whatever_the_failure_mode(failure_mode: FailureMode) -> None:
    full = Admission(Bounds(decisions=0, bytes=1 << 20, failure_mode=failure_mode))
    async with serving(policy(guard("g")), intake=Intake(admission=full)) as asking:
        request, response = await asking.request(), await asking.response()
    assert outcome(request) == ("overloaded" if failure_mode is FailureMode.FAIL_CLOSED else "pass")
    assert "corr" not in request.metadata
    assert outcome(response) == "overloaded"
    assert response.error.code == contract.AuthorizationError.RESOURCE_EXHAUSTED


async def test_a_fault_is_an_error_status_and_counted() -> None:
    chain = policy(guard("g"), mode=Mode.ENFORCE)
    metrics = Metrics("0")
    async with serving(chain, metrics=metrics, intake=Intake(judging=None)) as asking:  # type: ignore[arg-type]
        for ask in (asking.request, asking.response):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await ask()
            assert error.value.code() is grpc.StatusCode.INTERNAL
    assert f'guardsvc_gateway_faults_total{{service="{ExtMcp.SERVICE}"}} 2.0'.encode() in metrics.exposition()
