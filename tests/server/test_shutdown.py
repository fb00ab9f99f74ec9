"""The end of a process: decisions under way finish, new ones are refused, and everyone is told."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
from typing import TYPE_CHECKING, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse
from guardsvc.gateways.ext_proc import ExtProc
from tests.gateways.ext_proc.streams import EVENTS, body, event, notification, response_headers
from tests.packages.installed import environment, install_handmade
from tests.server.policies import small
from tests.server.process import (
    ANYWHERE,
    COMMAND,
    HANG,
    call,
    check_request,
    gateway,
    launched,
    refused,
    serving,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def write_gated_policy(
    folder: Path, *, delay: float = 0, grace: float = 60, timeout_ms: int = 60_000
) -> tuple[Path, Path]:
    """A policy whose one guard holds every decision until the gate is open: its file, and the gate's folder."""
    gate = folder / "gate"
    gate.mkdir()
    config = folder / "config.yaml"
    config.write_text(
        json.dumps(
            {
                "service": {"shutdown_delay_s": delay, "shutdown_grace_s": grace},
                "policy": {"guards": [{"type": "gate", "timeout_ms": timeout_ms, "settings": {"folder": str(gate)}}]},
            }
        )
    )
    return config, gate


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_service_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path, *small(tmp_path)) as running:
        running.signal(number)
        assert running.wait() == 0

        lines = [json.loads(line) for line in running.stderr.splitlines()]
        assert [(line["event"], line["level"]) for line in lines] == [
            ("ready", "info"),
            ("stopping", "info"),
            ("stopped", "info"),
        ]


def test_a_decision_under_way_finishes_and_new_ones_are_refused(tmp_path: Path) -> None:
    install_handmade(tmp_path)
    config, gate = write_gated_policy(tmp_path)
    with (
        serving(tmp_path, "--config", str(config), env=environment(tmp_path)) as running,
        gateway(running.grpc_address) as asking,
        gateway(running.grpc_address) as late,
    ):
        under_way = asking.check.future(check_request(call(number=1)), timeout=HANG)
        wait_until((gate / "came-1").exists, "the decision has begun")
        assert running.metric("guardsvc_inflight") == 1
        watching = health_pb2_grpc.HealthStub(late.channel).Watch(
            health_pb2.HealthCheckRequest(service=""), timeout=HANG
        )
        assert next(watching).status == SERVING

        running.signal(signal.SIGTERM)
        assert next(watching).status == NOT_SERVING
        wait_until(lambda: running.get("/readyz")[0] == 503, "not ready")
        assert running.get("/livez")[0] == 200
        with refused(grpc.StatusCode.UNAVAILABLE):
            late.ask(call(number=2))
        assert running.process.poll() is None

        (gate / "open").touch()
        assert under_way.result().status.code == 0
        assert running.wait() == 0
    assert not (gate / "came-2").exists()


def test_calls_are_taken_until_the_delay_is_over(tmp_path: Path) -> None:
    install_handmade(tmp_path)
    config, gate = write_gated_policy(tmp_path, delay=300)
    (gate / "open").touch()
    with (
        serving(tmp_path, "--config", str(config), env=environment(tmp_path)) as running,
        gateway(running.grpc_address) as asking,
    ):
        health = health_pb2_grpc.HealthStub(asking.channel)
        running.signal(signal.SIGTERM)
        running.wait_for_log("stopping")
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=HANG).status == NOT_SERVING
        assert running.get("/readyz")[0] == 503
        assert asking.ask(call()).status.code == 0
        running.process.kill()
        running.wait()


def test_a_decision_beyond_the_grace_is_ended_as_an_error_not_an_allow(tmp_path: Path) -> None:
    install_handmade(tmp_path)
    config, gate = write_gated_policy(tmp_path, delay=0.1, grace=0.2)
    with (
        serving(tmp_path, "--config", str(config), env=environment(tmp_path)) as running,
        gateway(running.grpc_address) as asking,
    ):
        under_way = asking.check.future(check_request(call()), timeout=HANG)
        wait_until((gate / "came-1").exists, "the decision has begun")
        assert running.end() == 0

        assert under_way.exception() is not None
        assert under_way.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert "Traceback" not in running.stderr


def test_a_client_that_watches_health_does_not_hold_the_end_up(tmp_path: Path) -> None:
    config, gate = write_gated_policy(tmp_path, grace=300)
    install_handmade(tmp_path)
    with (
        serving(tmp_path, "--config", str(config), env=environment(tmp_path)) as running,
        gateway(running.grpc_address) as watcher,
    ):
        watching = health_pb2_grpc.HealthStub(watcher.channel).Watch(health_pb2.HealthCheckRequest(service=""))
        assert next(watching).status == SERVING
        running.signal(signal.SIGTERM)

        assert next(watching).status == NOT_SERVING
        assert running.wait() == 0
    assert gate.exists()


def test_a_second_signal_changes_nothing(tmp_path: Path) -> None:
    with launched(tmp_path, *ANYWHERE, *small(tmp_path)) as running:
        running.wait_for_log("ready")
        running.signal(signal.SIGTERM)
        running.signal(signal.SIGTERM)
        assert running.wait() == 0


def test_the_reader_of_the_banner_may_leave(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    log = tmp_path / "stderr"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "serve", *ANYWHERE, *small(tmp_path)], stdout=write, stderr=stderr, env=environment()
        )
    os.close(write)
    try:
        wait_until(lambda: b'"ready"' in log.read_bytes() or process.poll() is not None, "ready")
        process.terminate()
        assert process.wait(HANG) == 0
    finally:
        process.kill()
        process.wait()
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["ready", "stopping", "stopped"]


def test_an_event_stream_gets_the_grace_and_then_ends_as_a_failure(tmp_path: Path) -> None:
    """Never with OK, which lets a gateway go on without asking."""
    config = tmp_path / "config.yaml"
    policy = {"default": "allow", "responses": {"require_context": False}}
    config.write_text(json.dumps({"service": {"shutdown_grace_s": 1}, "policy": policy}))
    said = event(notification())
    messages: queue.Queue[ProcessingRequest | None] = queue.Queue()
    with (
        serving(tmp_path, "--config", str(config)) as running,
        grpc.insecure_channel(running.grpc_address) as channel,
    ):
        answers = channel.stream_stream(
            f"/{ExtProc.SERVICE}/Process", ProcessingRequest.SerializeToString, ProcessingResponse.FromString
        )(iter(messages.get, None), timeout=HANG)
        messages.put(response_headers(EVENTS))
        assert next(answers).WhichOneof("response") == "response_headers"
        messages.put(body("response", said))
        assert next(answers).response_body.response.body_mutation.streamed_response.body == said
        running.wait_for_metric("guardsvc_ext_proc_streams", 1)

        running.signal(signal.SIGTERM)
        wait_until(lambda: running.get("/readyz")[0] == 503, "not ready")
        messages.put(body("response", said + said[:20]))
        assert next(answers).response_body.response.body_mutation.streamed_response.body == said
        with pytest.raises(grpc.RpcError) as ended:
            next(answers)
        assert cast("grpc.Call", ended.value).code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
        assert running.wait() == 0
        messages.put(None)
