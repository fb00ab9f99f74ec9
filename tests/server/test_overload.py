"""Overload: what there is no room for is answered at once, what there is room for goes on, and memory stays bounded."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc._proto.guardsvc.v1.guard_service_pb2 import EvaluateResponse
from guardsvc.config import ConfigError
from guardsvc.server.configuration import load_configuration
from tests.server.policies import allowing
from tests.server.process import Gateway, call, check_request, gateway, serving, wait_until

if TYPE_CHECKING:
    from tests.server.process import Running

TOO_MANY = 200


def configured(folder: Path, **service: Any) -> tuple[str, str]:
    file = folder / "policy.yaml"
    file.write_text(allowing("echo", **service))
    return "--config", str(file)


def large(size: int) -> bytes:
    message = json.loads(call())
    message["params"]["arguments"] = {"a": "x" * size}
    return json.dumps(message).encode()


def judging(running: Running) -> list[int]:
    """The processes for large bodies."""
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    return [int(pid) for pid in children]


def resident(pid: int, which: str = "VmHWM") -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


def overloaded(answer: CheckResponse) -> bool:
    return bool(answer.dynamic_metadata.fields["reason"].string_value == "overloaded")


def test_what_there_is_no_room_for_is_refused_at_once_and_a_small_call_goes_on(tmp_path: Path) -> None:
    service = {"large_bodies": {"max_waiting": 1}, "log": {"level": "info"}}
    with serving(tmp_path, *configured(tmp_path, **service)) as running, gateway(running.grpc_address) as asking:
        wait_until(lambda: asking.verdict(large(100_000)) == "allow", "a process for large bodies")
        before = running.metric('guardsvc_shed_total{limit="large_bodies"}')
        (pid,) = judging(running)
        os.kill(pid, signal.SIGSTOP)
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(asking.ask, large(100_000)) for _ in range(8)]
            wait_until(lambda: running.metric('guardsvc_shed_total{limit="large_bodies"}') >= before + 6, "shed calls")
            assert asking.verdict(call()) == "allow"
            os.kill(pid, signal.SIGCONT)
            answers = [each.result() for each in asked]
        shed = [answer for answer in answers if overloaded(answer)]
        assert len(shed) == 6
        assert running.metric('guardsvc_shed_total{limit="large_bodies"}') == before + 6
        denied = shed[0].denied_response
        headers = {option.header.key: option.header.value for option in denied.headers}
        body = json.loads(denied.body)
        assert denied.status.code == 503
        assert headers["retry-after"] == "1"
        assert (body["id"], body["error"]["code"]) == (None, -32003)
        assert body["error"]["data"]["reason"] == "overloaded"
        assert body["error"]["data"]["retry_after_ms"] == 1000
        assert body["error"]["data"]["decision_id"] == headers["x-guardsvc-decision-id"]
        assert len(running.logs("overloaded")) <= 2
        assert running.logs("ready")[0]["memory_bound_mib"]["total"] > 0


def test_a_message_beyond_the_bytes_is_refused_unread(tmp_path: Path) -> None:
    service = {"overload": {"max_bytes": 1_048_576, "retry_after_ms": 2500}, "grpc": {"max_message_bytes": 1_048_576}}
    config = configured(tmp_path, **service)
    file = Path(config[1])
    settings = json.loads(file.read_text())
    settings["policy"]["integrity"] = {"max_bytes": 4096}
    file.write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=r"service\.grpc\.max_message_bytes"):
        load_configuration(file)
    settings["service"]["grpc"] = {"max_message_bytes": 2_097_152}
    file.write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match="has no room for one message"):
        load_configuration(file)


def test_guard_service_says_so_too(tmp_path: Path) -> None:
    config = configured(tmp_path, large_bodies={"max_waiting": 0})
    with serving(tmp_path, *config) as running, grpc.insecure_channel(running.grpc_address) as channel:
        wait_until(lambda: judging(running), "a process for large bodies")
        os.kill(judging(running)[0], signal.SIGKILL)
        ask = channel.unary_unary("/guardsvc.v1.GuardService/Evaluate")
        ask_many = channel.unary_unary("/guardsvc.v1.GuardService/EvaluateBatch")
        question = _question(large(100_000))
        answer = EvaluateResponse.FromString(ask(question.SerializeToString(), timeout=60))
        assert answer.decision.deny.code == "overloaded"
        with pytest.raises(grpc.RpcError) as error:
            ask_many(_questions(question, 2), timeout=60)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]


def _question(body: bytes) -> Any:
    from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract  # noqa: PLC0415

    request = contract.EvaluateRequest()
    operation = request.operation
    operation.protocol, operation.direction, operation.phase, operation.kind = 4, 1, 2, 1  # type: ignore[assignment]
    operation.method = "tools/call"
    operation.int_id = 1
    operation.payload = json.dumps(json.loads(body)["params"]).encode()
    return request


def _questions(question: Any, number: int) -> bytes:
    from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract  # noqa: PLC0415

    data: bytes = contract.EvaluateBatchRequest(requests=[question] * number).SerializeToString()
    return data


def test_a_killed_process_for_large_bodies_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, *configured(tmp_path)) as running, gateway(running.grpc_address) as asking:
        wait_until(lambda: asking.verdict(large(100_000)) == "allow", "a process for large bodies")
        (pid,) = judging(running)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: judging(running) not in ([], [pid]), "another process")
        wait_until(lambda: asking.verdict(large(100_000)) == "allow", "a decision of it")
        assert running.metric("guardsvc_judge_restarts_total") >= 1
        assert asking.verdict(call()) == "allow"
        (pid,) = judging(running)
        running.process.kill()
        running.process.wait()
        wait_until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), "the end of the process")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.long
@pytest.mark.parametrize(("count", "size"), [(TOO_MANY, 8 << 20), (TOO_MANY, 15 << 20), (TOO_MANY, 17 << 20)])
def test_a_flood_of_large_messages_stays_under_the_printed_bound(tmp_path: Path, count: int, size: int) -> None:
    with serving(tmp_path, *configured(tmp_path)) as running:
        bound = running.logs("ready")[0]["memory_bound_mib"]["total"] << 20
        data = check_request(large(size)).SerializeToString()
        gateways = [Gateway(running.grpc_address) for _ in range(8)]
        raw = [g.channel.unary_unary("/envoy.service.auth.v3.Authorization/Check") for g in gateways]
        futures = [raw[n % len(raw)].future(data, timeout=120) for n in range(count)]
        with gateway(running.grpc_address) as asking:
            assert asking.verdict(call()) == "allow"
        for future in futures:
            future.exception()
        everything = resident(running.process.pid) + sum(resident(pid) for pid in judging(running))
        for each in gateways:
            each.channel.close()
    assert everything < bound
