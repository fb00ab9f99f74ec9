"""GuardService over a socket: every phase, batches in order, and faults that are error statuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import perf_counter
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract
from guardsvc.gateways.guard_service import GuardService
from guardsvc.gateways.guard_service.service import MAX_BATCH
from guardsvc.gateways.peers import nobody
from guardsvc.model import ALLOW, Direction, GatewayProtocol, Kind, Modify, Operation, Phase
from guardsvc.observe import Metrics, Recorder
from guardsvc.policy import Policy
from guardsvc.policy.settings import ServerSettings
from tests.engine.scripted import DENY, asked, finding, guard, hook, policy
from tests.gateways.guard_service.questions import CALL, LIST, RESULT, batch, question

Decision = contract.Decision


class Asking:
    """A client of the service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._evaluate: Any = channel.unary_unary(f"/{GuardService.SERVICE}/Evaluate")
        self._batch: Any = channel.unary_unary(f"/{GuardService.SERVICE}/EvaluateBatch")

    async def evaluate(self, data: bytes | contract.EvaluateRequest, seconds: float | None = 30) -> Decision:
        if not isinstance(data, bytes):
            data = data.SerializeToString()
        return contract.EvaluateResponse.FromString(await self._evaluate(data, timeout=seconds)).decision

    async def batch(self, data: bytes, seconds: float | None = 30) -> list[Decision]:
        answer = contract.EvaluateBatchResponse.FromString(await self._batch(data, timeout=seconds))
        return [response.decision for response in answer.responses]


@asynccontextmanager
async def serving(chain: Policy, metrics: Metrics | None = None, **more: Any) -> AsyncIterator[Asking]:
    server = grpc.aio.server()
    recorder = Recorder(metrics or Metrics("0"), ["tools/call", "tools/list"])
    server.add_generic_rpc_handlers((GuardService(lambda: chain, recorder, {}, **more).handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Asking(channel)
    finally:
        await server.stop(None)


async def failed(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), error.value.details() or ""


def verdict(decision: Decision) -> str:
    return str(decision.WhichOneof("verdict"))


async def test_an_operation_is_what_the_caller_says_and_the_payload_confirms() -> None:
    seeing = guard("g")
    chain = policy(seeing, servers={"files": ServerSettings(tool_prefixes=("f_",))})
    async with serving(chain) as asking:
        decision = await asking.evaluate(question(server="files", payload={"name": "f_read"}, revision="2025-06-18"))
    (operation,) = asked(seeing)
    assert verdict(decision) == "allow"
    assert (operation.protocol, operation.direction) == (GatewayProtocol.GUARD_SERVICE, Direction.REQUEST)
    assert (operation.phase, operation.kind, operation.method) == (Phase.TOOL_INVOKE, Kind.REQUEST, "tools/call")
    assert (operation.server, operation.servers, operation.subject) == ("files", ("files",), "read")
    assert (operation.id, operation.payload, operation.revision) == (1, {"name": "f_read"}, "2025-06-18")
    assert (operation.caller.tenant, operation.caller.principal, operation.caller.verified) == ("acme", "ann", True)


RESPONSES = {
    "tools/list": Phase.TOOLS_LIST,
    "tools/call": Phase.TOOL_RESULT,
    "prompts/list": Phase.PROMPTS_LIST,
    "prompts/get": Phase.PROMPT_RESULT,
    "resources/list": Phase.RESOURCES_LIST,
    "resources/read": Phase.RESOURCE_RESULT,
    "initialize": Phase.CONNECTION,
    "completion/complete": Phase.OTHER,
}
REQUESTS = {
    "tools/list": Phase.TOOLS_LIST,
    "tools/call": Phase.TOOL_INVOKE,
    "prompts/list": Phase.PROMPTS_LIST,
    "prompts/get": Phase.PROMPT_GET,
    "resources/list": Phase.RESOURCES_LIST,
    "resources/read": Phase.RESOURCE_READ,
    "initialize": Phase.CONNECTION,
    "completion/complete": Phase.OTHER,
}


@pytest.mark.parametrize("method", RESPONSES)
@pytest.mark.parametrize("base", [CALL, RESULT])
async def test_every_phase_of_both_directions_is_judged(method: str, base: dict[str, Any]) -> None:
    phase = (REQUESTS if base is CALL else RESPONSES)[method]
    seeing = guard("g", lambda op: DENY if op.phase is phase else ALLOW)
    number = contract.Phase.Value(f"PHASE_{phase.name}")
    async with serving(policy(seeing)) as asking:
        decision = await asking.evaluate(question(base, method=method, phase=number, subject=None, payload={}))
    assert (verdict(decision), decision.deny.code, decision.guard) == ("deny", "access_denied", "g")


async def test_questions_of_the_server_and_answers_of_the_client() -> None:
    seeing = guard("g")
    async with serving(policy(seeing)) as asking:
        await asking.evaluate(
            question(
                RESULT,
                kind=contract.Kind.KIND_REQUEST,
                phase=contract.Phase.PHASE_INPUT_REQUEST,
                method="elicitation/create",
                subject=None,
                payload={"message": "Your name?"},
            )
        )
        await asking.evaluate(
            question(
                kind=contract.Kind.KIND_RESULT,
                phase=contract.Phase.PHASE_INPUT_RESPONSE,
                method="",
                payload={"action": "accept"},
            )
        )
        await asking.evaluate(
            question(
                kind=contract.Kind.KIND_RESULT,
                phase=contract.Phase.PHASE_INPUT_RESPONSE,
                payload={"name": "read", "inputResponses": {"q": {"action": "accept"}}},
            )
        )
        await asking.evaluate(
            question(
                RESULT,
                phase=contract.Phase.PHASE_INPUT_REQUEST,
                payload={"resultType": "input_required", "inputRequests": {}},
            )
        )
    assert [(op.direction, op.phase, op.kind, op.method, op.subject) for op in asked(seeing)] == [
        (Direction.RESPONSE, Phase.INPUT_REQUEST, Kind.REQUEST, "elicitation/create", None),
        (Direction.REQUEST, Phase.INPUT_RESPONSE, Kind.RESULT, "", None),
        (Direction.REQUEST, Phase.INPUT_RESPONSE, Kind.RESULT, "tools/call", "read"),
        (Direction.RESPONSE, Phase.INPUT_REQUEST, Kind.RESULT, "tools/call", "read"),
    ]


async def test_a_call_that_answers_questions_is_judged_with_its_answers() -> None:
    refusing = guard("g", lambda op: DENY if op.phase is Phase.INPUT_RESPONSE else ALLOW)
    async with serving(policy(refusing)) as asking:
        decision = await asking.evaluate(question(payload={"name": "read", "requestState": "s"}))
    assert verdict(decision) == "deny"
    assert [operation.phase for operation in asked(refusing)] == [Phase.TOOL_INVOKE, Phase.INPUT_RESPONSE]


async def test_a_transport_request() -> None:
    listening = question(
        kind=contract.Kind.KIND_TRANSPORT,
        phase=contract.Phase.PHASE_CONNECTION,
        method="http/get_stream",
        int_id=None,
        payload=None,
    )
    chain = policy(guard("g"))
    closed = policy(guard("g"), transport=dict.fromkeys(chain.transport, "deny"))
    async with serving(chain) as asking:
        assert verdict(await asking.evaluate(listening)) == "allow"
    async with serving(closed) as asking:
        assert (await asking.evaluate(listening)).deny.code == "stream_not_allowed"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"payload": b"{"}, "invalid_json"),
        ({"payload": b'{"name":"read","name":"x"}'}, "duplicate_key"),
        ({"payload": b'\xef\xbb\xbf{"name":"read"}'}, "byte_order_mark"),
        ({"payload": b'{"name":"read"} {}'}, "trailing_data"),
        ({"payload": b'{"name":"\xff"}'}, "invalid_utf8"),
        ({"payload": b'{"name":"read","Name":"x"}'}, "case_variant_key"),
        ({"payload": b"[]"}, "bad_params"),
        ({"payload": b"null"}, "bad_params"),
        ({"payload": b'{"name":5}'}, "invalid_params"),
        ({"payload": b'{"name":"' + b"x" * 1_100_000 + b'"}'}, "too_large"),
        ({"int_id": 2**53 + 1}, "number_range"),
        ({"subject": "write"}, "statement_mismatch"),
        ({"revision": "2025-06-18", "payload": {"name": "a", "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28"}}}, "statement_mismatch"),
        ({"headers": [contract.Header(name="mcp-name", value=b"write")]}, "header_mismatch"),
        ({"headers": [contract.Header(name="mcp-method", value=b"ping")]}, "header_mismatch"),
        ({"servers": ["a", "b"], "payload": {"name": "x_read"}}, "ambiguous_server"),
        ({"server": "b_id"}, "ambiguous_server"),
    ],
)  # fmt: skip
async def test_what_could_be_read_in_two_ways_is_denied_without_asking_guards(fields: Any, code: str) -> None:
    seeing = guard("g")
    servers = {
        "a": ServerSettings(tool_prefixes=("x",)),
        "b": ServerSettings(ids=("b",), tool_prefixes=("x_",)),
        "c": ServerSettings(ids=("b_id",)),
        "b_id": ServerSettings(ids=("d",)),
    }
    async with serving(policy(seeing, servers=servers, default="allow")) as asking:
        decision = await asking.evaluate(question(**fields))
    assert (verdict(decision), decision.deny.code, asked(seeing)) == ("deny", code, [])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"payload": b'{"tools":[],"Tools":[]}'}, "case_variant_key"),
        ({"payload": b'{"tools":[],"tools":[]}'}, "duplicate_key"),
        ({"payload": b"[]"}, "invalid_message"),
        ({"payload": None}, "invalid_message"),
        ({"kind": contract.Kind.KIND_ERROR, "payload": {"code": "x"}}, "invalid_message"),
    ],
)
async def test_answers_of_servers_are_read_as_strictly(fields: Any, code: str) -> None:
    async with serving(policy(guard("g"), default="allow")) as asking:
        assert (await asking.evaluate(question(LIST, **fields))).deny.code == code


@pytest.mark.parametrize(
    ("fields", "server", "subject"),
    [
        ({"server": "files"}, "files", "read"),
        ({"server": "files-id"}, "files", "read"),
        ({"server": "files", "payload": {"name": "f_read"}}, "files", "read"),
        ({"server": "files", "payload": {"name": "f_read"}, "subject": "read"}, "files", "read"),
        ({"server": "files", "payload": {"name": "f_read"}, "subject": "f_read"}, "files", "read"),
        ({"servers": ["files", "mail"], "payload": {"name": "m_send"}}, "mail", "send"),
        ({"servers": ["files", "unknown"], "payload": {"name": "f_read"}}, None, "f_read"),
        ({"server": "unknown", "payload": {"name": "f_read"}}, None, "f_read"),
        ({"payload": {"name": "f_read"}}, "files", "read"),
        ({"headers": [contract.Header(name="host", value=b"files.example:80")]}, "files", "read"),
        ({}, None, "read"),
    ],
)
async def test_servers_by_name_by_id_and_by_prefix(fields: Any, server: str | None, subject: str) -> None:
    seeing = guard("g")
    servers = {
        "files": ServerSettings(ids=("files-id",), hosts=("files.example",), tool_prefixes=("f_",)),
        "mail": ServerSettings(tool_prefixes=("m_",)),
    }
    async with serving(policy(seeing, servers=servers)) as asking:
        await asking.evaluate(question(**fields))
    (operation,) = asked(seeing)
    assert (operation.server, operation.subject) == (server, subject)


async def test_a_modification_is_carried() -> None:
    chain = policy(guard("g", Modify(payload={"name": "read", "arguments": {}})))
    async with serving(chain) as asking:
        decision = await asking.evaluate(question())
    assert decision.modify.payload == b'{"name":"read","arguments":{}}'


async def test_findings_so_far_are_on_record_and_decide_nothing() -> None:
    before = contract.Finding(rule="before", severity=contract.Severity.SEVERITY_CRITICAL)
    chain = policy(guard("g", lambda _: Modify(payload=CALL["payload"], findings=(finding("own"),))))
    async with serving(chain) as asking:
        decision = await asking.evaluate(question(findings=[before]))
    assert (verdict(decision), [found.rule for found in decision.findings]) == ("allow", ["before", "own"])


async def test_a_batch_is_answered_in_order_each_on_its_own() -> None:
    async def slow_if_first(operation: Operation) -> Any:
        await asyncio.sleep(0.1 if operation.subject == "slow" else 0)
        return DENY if operation.subject == "bad" else ALLOW

    chain = policy(hook("h", slow_if_first))
    requests = [
        question(payload={"name": "slow"}),
        question(payload={"name": "bad"}),
        question(payload=b"{"),
        question(LIST),
        question(payload={"name": "read"}),
    ]
    async with serving(chain) as asking:
        decisions = await asking.batch(batch(*requests))
    assert [(verdict(decision), decision.deny.code) for decision in decisions] == [
        ("allow", ""),
        ("deny", "access_denied"),
        ("deny", "invalid_json"),
        ("allow", ""),
        ("allow", ""),
    ]
    assert len({decision.id for decision in decisions}) == 5


async def test_the_operations_of_a_batch_share_its_deadline_and_do_not_wait_for_each_other() -> None:
    chain = policy(hook("slow", after=0.5, timeout=9.0))
    async with serving(chain) as asking:
        decisions = await asking.batch(batch(*[question()] * 20), 9)
    # One after the other they would take ten seconds.
    assert {verdict(decision) for decision in decisions} == {"allow"}


async def test_the_bounds_of_a_batch() -> None:
    async with serving(policy(guard("g"))) as asking:
        assert await asking.batch(batch()) == []
        assert len(await asking.batch(batch(*[question()] * MAX_BATCH))) == MAX_BATCH
        code, _ = await failed(asking.batch(batch(*[question()] * (MAX_BATCH + 1))))
        assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_of_a_batch_that_contradicts_itself_is_named_and_ends_the_call() -> None:
    seeing = guard("g")
    async with serving(policy(seeing)) as asking:
        code, told = await failed(asking.batch(batch(question(), question(phase=0))))
    assert (code, told) == (grpc.StatusCode.INVALID_ARGUMENT, "requests[1].operation.phase: not given")
    assert asked(seeing) == []


@pytest.mark.parametrize("data", [b"\xff", b"not protobuf at all", b""])
async def test_what_is_no_request_is_an_invalid_argument(data: bytes) -> None:
    async with serving(policy(guard("g"), default="allow")) as asking:
        code, _ = await failed(asking.evaluate(data))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_identity_from_a_peer_that_is_not_believed_is_dropped() -> None:
    seeing = guard("g")
    async with serving(policy(seeing), believes=nobody) as asking:
        await asking.evaluate(question())
    (operation,) = asked(seeing)
    caller = operation.caller
    assert (caller.tenant, caller.principal, caller.verified, caller.address) == (None, None, False, "127.0.0.1")


async def test_the_callers_deadline_bounds_the_decision() -> None:
    chain = replace(policy(hook("slow", after=60, timeout=60.0)), reserve=19.5)
    async with serving(chain) as asking:
        started = perf_counter()
        decision = await asking.evaluate(question(), 20)
        assert perf_counter() - started < 15
        assert decision.deny.code == "deadline_exceeded"
        assert (await asking.evaluate(question(), None)).deny.code == "deadline_exceeded"


async def test_a_fault_is_an_error_status_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr("guardsvc.gateways.guard_service.service.encode", broken)
    metrics = Metrics("0")
    async with serving(policy(guard("g")), metrics) as asking:
        for call in (asking.evaluate(question()), asking.batch(batch(question(), question()))):
            code, _ = await failed(call)
            assert code is grpc.StatusCode.INTERNAL
    exposed = metrics.exposition().decode()
    assert f'guardsvc_gateway_faults_total{{service="{GuardService.SERVICE}"}} 2.0' in exposed


async def test_decisions_are_recorded() -> None:
    metrics = Metrics("0")
    async with serving(policy(guard("g")), metrics) as asking:
        await asking.evaluate(question(LIST))
        await asking.batch(batch(question(), question()))
    exposed = metrics.exposition().decode()
    for method, phase, count in (("tools/list", "tools_list", 1), ("tools/call", "tool_invoke", 2)):
        line = (
            f'guardsvc_decisions_total{{method="{method}",mode="enforce",phase="{phase}",'
            f'protocol="guard_service",verdict="allow"}} {count}.0'
        )
        assert line in exposed


class Context:
    def peer(self) -> str:
        return "unix:"

    def time_remaining(self) -> None:
        return None

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise grpc.aio.AbortError(code, details)


DENYING = GuardService(lambda: policy(guard("g", DENY), default="allow"), Recorder(Metrics("0"), []), {})
VALID = question(server="files", revision="2025-06-18").SerializeToString()


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda place, inserted, cut: VALID[:place] + inserted + VALID[place + cut :],
        st.integers(0, len(VALID)),
        st.binary(max_size=6),
        st.integers(0, 6),
    )
)
def test_no_bytes_make_a_policy_that_denies_everything_allow(data: bytes) -> None:
    context: Any = Context()

    async def evaluate() -> bytes:
        return await DENYING.evaluate(data, context)

    try:
        answer = contract.EvaluateResponse.FromString(asyncio.run(evaluate()))
    except grpc.aio.AbortError as error:
        assert error.args[0] is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017
    else:
        assert verdict(answer.decision) == "deny"
        assert answer.decision.mode == contract.Mode.MODE_ENFORCE
