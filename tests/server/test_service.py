"""The listeners: what they answer, where they bind, and what is said where they cannot."""

from __future__ import annotations

import json
import re
import shutil
import socket
from typing import TYPE_CHECKING

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import guardsvc
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from guardsvc._proto.guardsvc.v1.guard_service_pb2 import (
    Direction,
    EvaluateRequest,
    EvaluateResponse,
    GatewayProtocol,
    Kind,
    Operation,
    Phase,
)
from guardsvc.policy.presets import preset_text
from tests.server.policies import small
from tests.server.process import HANG, Running, call, check_request, gateway, launched, refused, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXT_AUTHZ = "envoy.service.auth.v3.Authorization"
HEALTH = "grpc.health.v1.Health"
EXT_MCP = "agentgateway.dev.ext_mcp.ExtMcp"
EXT_PROC = "envoy.service.ext_proc.v3.ExternalProcessor"
GUARD_SERVICE = "guardsvc.v1.GuardService"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service")) as running:
        yield running


def test_probes(service: Running) -> None:
    assert service.get("/livez") == (200, '{"status": "live"}')
    status, body = service.get("/readyz")
    assert (status, json.loads(body)["status"]) == (200, "ready")
    assert re.fullmatch(r"[0-9a-f]{16}", json.loads(body)["policy"])


def test_version_names_the_policy(service: Running) -> None:
    status, body = service.get("/version")

    assert status == 200
    assert json.loads(body) == {
        "version": guardsvc.__version__,
        "policy": {"name": "default", "hash": json.loads(service.get("/readyz")[1])["policy"]},
    }


@pytest.mark.parametrize("path", ["/", "/admin", "/metrics/", "/decisions"])
def test_nothing_else_is_shown(service: Running, path: str) -> None:
    assert service.get(path)[0] == 404


def test_metrics_count_decisions(service: Running) -> None:
    allowed = (
        'guardsvc_decisions_total{method="tools/call",mode="enforce",phase="tool_invoke",'
        'protocol="ext_authz",verdict="allow"}'
    )
    before = service.metric(allowed)
    with gateway(service.grpc_address) as asking:
        assert asking.verdict(call()) == "allow"

    assert service.metric(allowed) == before + 1
    assert service.metric("guardsvc_inflight") == 0


@pytest.mark.parametrize("name", ["", EXT_AUTHZ, EXT_PROC, EXT_MCP, GUARD_SERVICE, HEALTH])
def test_health_of_each_service(service: Running, name: str) -> None:
    with grpc.insecure_channel(service.grpc_address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=HANG)

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_an_unknown_service(service: Running) -> None:
    with grpc.insecure_channel(service.grpc_address) as channel, refused(grpc.StatusCode.NOT_FOUND):
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=HANG)


def test_reflection_lists_the_services(service: Running) -> None:
    with grpc.insecure_channel(service.grpc_address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=HANG
        )

    listed = {each.name for each in answer.list_services_response.service}
    assert listed == {EXT_AUTHZ, EXT_PROC, EXT_MCP, GUARD_SERVICE, HEALTH, REFLECTION}


def test_reflection_describes_check(service: Running) -> None:
    with grpc.insecure_channel(service.grpc_address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(file_containing_symbol=EXT_AUTHZ)]), timeout=HANG
        )

    assert answer.file_descriptor_response.file_descriptor_proto


def test_the_guard_service_answers_on_the_same_listener(service: Running) -> None:
    asked = EvaluateRequest(
        operation=Operation(
            protocol=GatewayProtocol.GATEWAY_PROTOCOL_EXT_PROC,
            direction=Direction.DIRECTION_REQUEST,
            phase=Phase.PHASE_CONNECTION,
            kind=Kind.KIND_REQUEST,
            method="ping",
            int_id=1,
        )
    )
    with grpc.insecure_channel(service.grpc_address) as channel:
        data = channel.unary_unary(f"/{GUARD_SERVICE}/Evaluate")(asked.SerializeToString(), timeout=HANG)

    assert EvaluateResponse.FromString(data).decision.HasField("allow")


def test_what_is_no_check_request_is_refused(service: Running) -> None:
    with gateway(service.grpc_address) as asking, refused(grpc.StatusCode.INVALID_ARGUMENT):
        asking.channel.unary_unary(f"/{EXT_AUTHZ}/Check")(b"\xff\xff\xff", timeout=HANG)


def test_an_empty_check_request_is_denied(service: Running) -> None:
    with gateway(service.grpc_address) as asking:
        answer = asking.check(CheckRequest(), timeout=HANG)

    assert answer.status.code != 0


def test_a_message_above_the_limit_is_an_error_not_an_allow(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "service: {grpc: {max_message_bytes: 2097152}}\n"
        "policy: {guards: [{type: access_list, settings: {unknown_server: allow, default: allow}}]}\n"
    )
    with serving(tmp_path, "--config", str(config)) as running, gateway(running.grpc_address) as asking:
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
            asking.check(check_request(b" " * 2_100_000), timeout=HANG)
        assert asking.verdict(call()) == "allow"


def test_banner_and_log_say_where(service: Running) -> None:
    ready = service.logs("ready")[0]

    assert service.stdout.startswith(f"guardsvc {guardsvc.__version__} is ready\n")
    assert ready["grpc"] in service.stdout
    assert f"http://{ready['metrics']}/metrics" in service.stdout
    command = re.search(r"\| (\S+) check$", service.stdout, re.MULTILINE)
    assert command is not None
    assert shutil.which(command[1])
    assert ready["guards"] == [entry["type"] for entry in yaml.safe_load(preset_text("default"))["guards"]]
    assert not ready["grpc"].endswith(":0")


def test_quiet_prints_no_banner(tmp_path: Path) -> None:
    with serving(tmp_path, "--quiet", *small(tmp_path)) as running:
        assert running.end() == 0
        assert running.stdout == ""


def test_ipv6_loopback(tmp_path: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 loopback here")
    anywhere = ("--grpc-address", "[::1]:0", "--metrics-address", "[::1]:0")
    with launched(tmp_path, *anywhere, *small(tmp_path)) as running:
        ready = running.wait_for_log("ready")
        assert ready["grpc"].startswith("[::1]:")
        assert ready["metrics"].startswith("[::1]:")
        assert running.get("/readyz")[0] == 200
        with gateway(running.grpc_address) as asking:
            assert asking.verdict(call()) == "allow"
        assert running.end() == 0


@pytest.mark.parametrize("listener", ["grpc", "metrics"])
@pytest.mark.parametrize("address", ["taken", "192.0.2.1:0", "no-such-host.invalid:0"])
def test_an_address_that_cannot_be_bound_ends_with_one_line(tmp_path: Path, listener: str, address: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        if address == "taken":
            address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = "metrics" if listener == "grpc" else "grpc"
        args = (f"--{listener}-address", address, f"--{other}-address", "127.0.0.1:0")
        with launched(tmp_path, *args, *small(tmp_path)) as running:
            assert running.wait() == 4

    (line,) = running.stderr.splitlines()
    assert line.startswith("guardsvc: ")
    assert address in line
    assert running.stdout == ""
