"""Check over a socket: every fault is an error status, never an answer that a gateway takes for an allow."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from guardsvc.gateways.ext_authz import ExtAuthz
from guardsvc.gateways.seal import Seal
from guardsvc.model import ALLOW, Caller, Decision, Operation
from guardsvc.observe import Metrics, Recorder
from guardsvc.policy import Policy
from tests.engine.scripted import DENY, asked, guard, hook, policy
from tests.gateways.ext_authz.checks import attributes, check_request
from tests.gateways.posted import request

CHECK = f"/{ExtAuthz.SERVICE}/Check"
SEAL = Seal((b"k" * 32,))
Call = Callable[..., Awaitable[CheckResponse]]


@asynccontextmanager
async def serving(
    get_policy: Callable[[], Policy],
    metrics: Metrics | None = None,
    *,
    address: str = "127.0.0.1:0",
    seal: Seal = SEAL,
) -> AsyncIterator[Call]:
    """A server on a free port of the loopback interface, and how to call it."""
    recorder = Recorder(metrics or Metrics("0"), ["tools/call"])
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((ExtAuthz(get_policy, seal, recorder, {}).handler(),))
    port = server.add_insecure_port(address)
    await server.start()
    target = address if address.startswith("unix:") else f"{address.removesuffix(':0')}:{port}"
    try:
        async with grpc.aio.insecure_channel(target) as channel:
            check: Any = channel.unary_unary(CHECK)

            async def call(data: bytes, seconds: float | None = 30) -> CheckResponse:
                return CheckResponse.FromString(await check(data, timeout=seconds))

            yield call
    finally:
        await server.stop(None)


async def failed(call: Awaitable[Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    code: grpc.StatusCode = error.value.code()
    return code


async def test_an_allowed_and_a_denied_call() -> None:
    chain = policy(guard("g", lambda op: DENY if op.subject == "bad" else ALLOW))
    async with serving(lambda: chain) as call:
        allowed = await call(check_request(attributes(request(name="good"))))
        denied = await call(check_request(attributes(request(name="bad"))))
    assert (allowed.status.code, denied.status.code) == (0, 7)
    assert denied.denied_response.body


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff", b"not protobuf at all", b"\x08"])
async def test_bytes_that_are_no_check_request_are_an_invalid_argument(data: bytes) -> None:
    seeing = guard("g")
    chain = policy(seeing, default="allow")
    async with serving(lambda: chain) as call:
        assert await failed(call(data)) is grpc.StatusCode.INVALID_ARGUMENT
    assert asked(seeing) == []


async def test_an_empty_check_request_is_refused() -> None:
    async with serving(lambda: policy(guard("g"), default="allow", transport={})) as call:
        open_to_all = await call(b"")
    strict = policy(guard("g"))
    closed = policy(guard("g"), transport=dict.fromkeys(strict.transport, "deny"))
    async with serving(lambda: closed) as call:
        answer = await call(b"")
    assert (open_to_all.status.code, answer.status.code) == (0, 7)
    assert dict(answer.dynamic_metadata)["reason"] == "not_mcp"


def faults(metrics: Metrics) -> float:
    line = next(line for line in metrics.exposition().decode().splitlines() if ExtAuthz.SERVICE in line)
    return float(line.split()[-1])


class BrokenSeal(Seal):
    def token(self, decision: Decision) -> str:
        raise RuntimeError(decision.id)


async def test_an_answer_that_cannot_be_written_leaves_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []

    async def keep(_recorder: Recorder, decisions: Any, **_more: Any) -> bool:
        kept.append(decisions)
        return True

    monkeypatch.setattr(Recorder, "keep", keep)
    chain = policy(guard("g"), default="allow")
    async with serving(lambda: chain, seal=BrokenSeal((b"k" * 32,))) as call:
        assert await failed(call(check_request(attributes()))) is grpc.StatusCode.INTERNAL
    assert kept == []


async def test_a_fault_of_the_service_is_an_error_status_not_an_answer() -> None:
    chain, metrics = policy(guard("g"), default="allow"), Metrics("0")
    async with serving(lambda: chain, metrics, seal=BrokenSeal((b"k" * 32,))) as call:
        assert await failed(call(check_request(attributes()))) is grpc.StatusCode.INTERNAL
    assert faults(metrics) == 1


async def test_a_service_without_a_policy_answers_with_an_error_status() -> None:
    def no_policy() -> Policy:
        raise RuntimeError

    async with serving(no_policy) as call:
        assert await failed(call(check_request(attributes()))) is grpc.StatusCode.UNKNOWN


async def test_the_gateways_deadline_bounds_the_decision_and_leaves_time_for_the_answer() -> None:
    chain = replace(policy(hook("slow", after=60, timeout=60.0)), deadline=60.0, reserve=19.5)
    async with serving(lambda: chain) as call:
        started = perf_counter()
        answer = await call(check_request(attributes()), 20)
        took = perf_counter() - started
    assert dict(answer.dynamic_metadata)["reason"] == "deadline_exceeded"
    assert answer.status.code == 7
    assert took < 15


async def test_a_deadline_shorter_than_the_reserve_leaves_no_time_to_ask_guards() -> None:
    seeing = guard("g")
    patient = replace(policy(seeing), reserve=60.0)
    async with serving(lambda: patient) as call:
        answer = await call(check_request(attributes()), 30)
    assert dict(answer.dynamic_metadata)["reason"] == "deadline_exceeded"
    assert asked(seeing) == []


async def test_without_a_deadline_the_policys_own_bounds_the_decision() -> None:
    chain = policy(hook("slow", after=60, timeout=60.0))
    async with serving(lambda: chain) as call:
        started = perf_counter()
        answer = await call(check_request(attributes()), None)
        took = perf_counter() - started
    assert dict(answer.dynamic_metadata)["reason"] == "deadline_exceeded"
    assert 0.4 < took < 30


async def test_a_call_the_gateway_gives_up_cancels_the_guards() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_operation: Operation) -> Any:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    chain = policy(hook("slow", wait, timeout=60.0), default="allow")
    async with serving(lambda: chain) as call:
        task = asyncio.ensure_future(call(check_request(attributes())))
        await started.wait()
        task.cancel()
        await asyncio.wait_for(cancelled.wait(), 30)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "unix:{folder}/grpc.sock"])
async def test_identity_from_this_host_is_believed(address: str, tmp_path: Path) -> None:
    if address.startswith("[::1]") and not has_ipv6():
        pytest.skip("no IPv6 on this machine")
    seeing = guard("g")
    chain = policy(seeing)
    async with serving(lambda: chain, address=address.format(folder=tmp_path)) as call:
        await call(check_request(attributes(principal="spiffe://acme/a")))
    (operation,) = asked(seeing)
    assert (operation.caller.principal, operation.caller.verified) == ("spiffe://acme/a", True)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


async def test_each_check_takes_the_policy_in_force_when_it_arrives() -> None:
    policies = [policy(guard("g")), policy(guard("g", DENY))]
    async with serving(lambda: policies.pop(0)) as call:
        codes = [(await call(check_request(attributes()))).status.code for _ in range(2)]
    assert codes == [0, 7]


class Context:
    """The part of a servicer context that Check uses."""

    def peer(self) -> str:
        return "ipv4:10.0.0.1:1"

    def time_remaining(self) -> None:
        return None

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise grpc.aio.AbortError(code, details)


async def test_identity_from_another_host_is_not_believed() -> None:
    seeing = guard("g")
    chain = policy(seeing)
    service = ExtAuthz(lambda: chain, SEAL, Recorder(Metrics("0"), []), {})
    context: Any = Context()
    await service.check(check_request(attributes(principal="spiffe://acme/a")), context)
    (operation,) = asked(seeing)
    assert operation.caller == Caller(address="10.0.0.1")


DENYING = policy(transport=dict.fromkeys(policy().transport, "deny"))
SERVICE = ExtAuthz(lambda: DENYING, SEAL, Recorder(Metrics("0"), []), {})
VALID = check_request(attributes(principal="p", claims={"sub": "s", "a": 1}, extensions={"mcp_server": "x"}))


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda place, inserted, cut: VALID[:place] + inserted + VALID[place + cut :],
        st.integers(0, len(VALID)),
        st.binary(max_size=6),
        st.integers(0, 6),
    )
)
def test_no_bytes_make_a_policy_that_denies_everything_answer_ok(data: bytes) -> None:
    context: Any = Context()

    async def check() -> bytes:
        return await SERVICE.check(data, context)

    try:
        answer = CheckResponse.FromString(asyncio.run(check()))
    except grpc.aio.AbortError as error:
        assert error.args[0] is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017
        with pytest.raises(Exception, match="rror"):
            CheckRequest.FromString(data)
    else:
        assert answer.status.code == 7
        assert answer.denied_response.body
