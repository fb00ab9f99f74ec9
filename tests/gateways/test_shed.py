"""Calls that are shed are on record under the id that their callers get, whichever way they were turned away."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc._proto.guardsvc.v1.guard_service_pb2 import EvaluateBatchResponse, EvaluateResponse
from guardsvc.gateways.admission import Admission, Bounds, OverloadedError
from guardsvc.gateways.entrance import Intake
from guardsvc.gateways.ext_authz import ExtAuthz
from guardsvc.gateways.guard_service import GuardService
from guardsvc.gateways.judging import HERE, Judging
from guardsvc.gateways.seal import Seal
from guardsvc.gateways.unread import Unread
from guardsvc.model import FailureMode, Mode
from guardsvc.observe import Recorder
from guardsvc.observe.audit.verify import verify
from tests.engine.scripted import guard, policy
from tests.gateways.ext_authz.checks import attributes, check_request
from tests.gateways.guard_service.questions import CALL, LIST, RESULT, batch, question
from tests.observe.audits import KEYS, Kept, auditing, records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from guardsvc.policy import Policy

CHECK = f"/{ExtAuthz.SERVICE}/Check"
EVALUATE = f"/{GuardService.SERVICE}/Evaluate"
BATCH = f"/{GuardService.SERVICE}/EvaluateBatch"


class NoRoom:
    """Judges nothing."""

    async def request(self, *_: Any, **__: Any) -> Any:
        raise OverloadedError("large_bodies")

    statement = message = request


class RoomForSmall(NoRoom):
    """Judges what has a small payload."""

    async def statement(self, policy: Any, statement: Any, *args: Any, **more: Any) -> Any:
        if len(statement.payload) > 1000:
            raise OverloadedError("large_bodies")
        return await HERE.statement(policy, statement, *args, **more)


def full_memory() -> Unread:
    unread = Unread(1)
    unread.full = True
    unread.fast = 1000
    return unread


INTAKES = {
    "decisions": lambda: Intake(admission=Admission(Bounds(decisions=0, bytes=1 << 20))),
    "bytes": lambda: Intake(admission=Admission(Bounds(decisions=10, bytes=1))),
    "memory": lambda: Intake(unread=full_memory()),
    "large_bodies": lambda: Intake(judging=cast("Judging", NoRoom())),
}


@asynccontextmanager
async def serving(kept: Kept, intake: Intake, chain: Policy) -> AsyncIterator[grpc.aio.Channel]:
    recorder = Recorder(kept.metrics, ["tools/call"], kept.audit)
    server = grpc.aio.server()
    check = ExtAuthz(lambda: chain, Seal((b"k" * 32,)), recorder, {}, intake=intake)
    evaluate = GuardService(lambda: chain, recorder, {}, intake=intake)
    server.add_generic_rpc_handlers((check.handler(), evaluate.handler()))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)


async def asked(channel: grpc.aio.Channel, method: str, data: bytes) -> bytes:
    call: Any = channel.unary_unary(method)
    answer: bytes = await call(data, timeout=30)
    return answer


def decisions(path: Path) -> list[dict[str, Any]]:
    return [record for record in records(path) if record["type"] == "decision"]


@pytest.mark.parametrize("limit", INTAKES)
@pytest.mark.parametrize("mode", ["best_effort", "required"])
async def test_a_shed_call_is_on_record_whatever_limit_it_is_beyond(tmp_path: Path, limit: str, mode: str) -> None:
    chain = policy(guard("g"), name="shop")
    file = tmp_path / "audit"
    with auditing(file, mode=mode) as kept:
        async with serving(kept, INTAKES[limit](), chain) as channel:
            checked = CheckResponse.FromString(await asked(channel, CHECK, check_request(attributes())))
            evaluated = EvaluateResponse.FromString(
                await asked(channel, EVALUATE, question(CALL).SerializeToString())
            ).decision
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await asked(channel, BATCH, batch(question(CALL)))
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    told = json.loads(checked.denied_response.body)["error"]["data"]
    first, second = decisions(file)
    assert [told["reason"], told["detail"], evaluated.deny.code] == ["overloaded", limit, "overloaded"]
    assert [first["decision_id"], second["decision_id"]] == [told["decision_id"], evaluated.id]
    assert [first["protocol"], second["protocol"]] == ["ext_authz", "guard_service"]
    for record in (first, second):
        assert record["address"] == "127.0.0.1"
        assert (record["verdict"], record["applied"], record["reason"]) == ("deny", "deny", "overloaded")
        assert (record["detail"], record["policy_name"], record["verified"]) == (limit, "shop", False)
        assert "guards" not in record
    report = verify([str(file)], KEYS)
    assert (report.breaks, report.decisions) == ([], 2)


@pytest.mark.parametrize(
    ("mode", "failure_mode"), [(Mode.SHADOW, FailureMode.FAIL_CLOSED), (Mode.ENFORCE, FailureMode.FAIL_OPEN)]
)
async def test_one_that_passes_unread_is_on_record_too(tmp_path: Path, mode: Mode, failure_mode: FailureMode) -> None:
    bounds = Bounds(decisions=0, bytes=1, failure_mode=failure_mode)
    file = tmp_path / "audit"
    with auditing(file) as kept:
        async with serving(kept, Intake(admission=Admission(bounds)), policy(mode=mode)) as channel:
            answer = CheckResponse.FromString(await asked(channel, CHECK, check_request(attributes())))
            assert answer.status.code == 0
    (record,) = decisions(file)
    assert (record["applied"], record["reason"], record["detail"]) == ("allow", "overloaded", "decisions")


@pytest.mark.parametrize("mode", ["best_effort", "required"])
async def test_one_question_of_a_batch_without_room_leaves_the_others_their_answers(tmp_path: Path, mode: str) -> None:
    shed: list[str] = []
    intake = Intake(admission=Admission(tell=shed.append), judging=cast("Judging", RoomForSmall()))
    large = question(payload={"name": "read", "arguments": {"text": "x" * 1000}})
    file = tmp_path / "audit"
    with auditing(file, mode=mode) as kept:
        async with serving(kept, intake, policy(guard("g"), name="shop")) as channel:
            answer = await asked(channel, BATCH, batch(question(CALL), large, question(LIST)))
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await asked(channel, BATCH, batch(large, large))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    first, refused, last = [response.decision for response in EvaluateBatchResponse.FromString(answer).responses]
    assert [each.WhichOneof("verdict") for each in (first, refused, last)] == ["allow", "deny", "allow"]
    assert refused.deny.code == "overloaded"
    assert shed == ["large_bodies", "large_bodies"]

    kept_records = {record["decision_id"]: record for record in decisions(file)}
    assert kept_records.keys() == {first.id, refused.id, last.id}
    record = kept_records[refused.id]
    assert (record["applied"], record["reason"], record["detail"]) == ("deny", "overloaded", "large_bodies")
    assert (record["policy_name"], record["address"]) == ("shop", "127.0.0.1")
    report = verify([str(file)], KEYS)
    assert (report.breaks, report.decisions) == ([], 3)


async def test_where_requests_pass_unjudged_a_response_is_refused(tmp_path: Path) -> None:
    chain, text = policy(guard("g")), "x" * 1000
    request = question(payload={"name": "read", "arguments": {"text": text}})
    response = question(RESULT, payload={"content": [{"type": "text", "text": text}]})

    def intake(calls: int) -> Intake:
        bounds = Bounds(decisions=calls, bytes=1 << 20, failure_mode=FailureMode.FAIL_OPEN)
        return Intake(admission=Admission(bounds), judging=cast("Judging", RoomForSmall()))

    async def evaluated(channel: grpc.aio.Channel, asking: Any) -> str:
        answer = await asked(channel, EVALUATE, asking.SerializeToString())
        return str(EvaluateResponse.FromString(answer).decision.WhichOneof("verdict"))

    with auditing(tmp_path / "audit") as kept:
        async with serving(kept, intake(10), chain) as channel:
            assert [await evaluated(channel, each) for each in (request, response)] == ["allow", "deny"]
            answer = await asked(channel, BATCH, batch(question(CALL), request, response))
        async with serving(kept, intake(0), chain) as channel:
            # What it shows is not known.
            assert await evaluated(channel, response) == "deny"
    responses = EvaluateBatchResponse.FromString(answer).responses
    assert [each.decision.WhichOneof("verdict") for each in responses] == ["allow", "allow", "deny"]
