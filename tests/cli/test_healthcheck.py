"""``guardsvc healthcheck``: what a container's probe asks."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import yaml

from guardsvc.cli.exit_codes import ExitCode
from tests.cli.command import Command, run_process
from tests.packages.installed import environment
from tests.server.policies import small
from tests.server.process import Running, serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    with serving(folder, *small(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers that nobody disturbs."""
    folder = tmp_path_factory.mktemp("pair")
    with serving(folder, "--workers", "2", *small(folder)) as running:
        yield running


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of something that gives one answer to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def metrics(running: Running) -> str:
    return str(running.logs("ready")[0]["metrics"])


@pytest.mark.parametrize("name", ["", "envoy.service.auth.v3.Authorization", "grpc.health.v1.Health"])
def test_serving(guardsvc: Command, service: Running, name: str) -> None:
    answer = guardsvc("healthcheck", "--address", service.grpc_address, "--service", name)

    assert (answer.code, answer.out, answer.err) == (0, "serving\n", "")


def test_the_address_of_the_environment(guardsvc: Command, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDSVC_GRPC_ADDRESS", service.grpc_address)

    assert guardsvc("healthcheck").code == 0


def test_no_proxy_stands_between(service: Running) -> None:
    env = environment(http_proxy="http://127.0.0.1:1", grpc_proxy="http://127.0.0.1:1")

    assert run_process("healthcheck", "--address", service.grpc_address, env=env).code == 0


def test_an_unknown_service(guardsvc: Command, service: Running) -> None:
    answer = guardsvc("healthcheck", "--address", service.grpc_address, "--service", "nobody")

    assert (answer.code, answer.out) == (ExitCode.UNAVAILABLE, "")
    assert answer.err == f'guardsvc: {service.grpc_address} has no service "nobody"\n'


def test_nothing_is_there(guardsvc: Command) -> None:
    answer = guardsvc("healthcheck", "--address", "127.0.0.1:1", "--timeout", "5")

    assert (answer.code, answer.out) == (ExitCode.UNAVAILABLE, "")
    assert answer.err == "guardsvc: 127.0.0.1:1 does not answer: UNAVAILABLE\n"


def test_what_is_there_is_no_grpc(guardsvc: Command, service: Running) -> None:
    answer = guardsvc("healthcheck", "--address", service.logs("ready")[0]["metrics"], "--timeout", "0.3")

    assert (answer.code, answer.out) == (ExitCode.UNAVAILABLE, "")
    assert answer.err.count("\n") == 1


def test_several_workers_are_healthy_when_all_are_ready(guardsvc: Command, pair: Running) -> None:
    answer = guardsvc("healthcheck", "--workers", "2", "--metrics-address", metrics(pair))

    assert (answer.code, answer.out, answer.err) == (0, "serving\n", "")


def test_the_environment_that_the_service_has_says_enough(pair: Running) -> None:
    env = environment(GUARDSVC_WORKERS="2", GUARDSVC_METRICS_ADDRESS=metrics(pair), http_proxy="http://127.0.0.1:1")

    assert run_process("healthcheck", env=env).code == 0


def test_the_configuration_that_the_service_has_says_enough(
    guardsvc: Command, pair: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"service": {"workers": 2, "metrics": {"address": metrics(pair)}}, "policy": {}}))

    assert guardsvc("healthcheck", "--config", config).code == 0
    monkeypatch.setenv("GUARDSVC_CONFIG", str(config))
    assert guardsvc("healthcheck").code == 0


@pytest.mark.parametrize("name", ["default", "inside"])
def test_the_listener_of_the_configuration(guardsvc: Command, service: Running, tmp_path: Path, name: str) -> None:
    config = tmp_path / "config.yaml"
    listeners = {name: {"address": service.grpc_address}, "other": {"address": "127.0.0.1:1"}}
    config.write_text(yaml.safe_dump({"service": {"listeners": listeners}, "policy": {}}, sort_keys=False))

    assert guardsvc("healthcheck", "--config", config).code == 0
    assert guardsvc("healthcheck", "--config", config, "--address", "127.0.0.1:1").code == ExitCode.UNAVAILABLE


@pytest.mark.parametrize("content", ["service: [1]", "service: {workers: two, metrics: 3, listeners: {a: []}}"])
def test_what_the_configuration_has_wrong_counts_as_not_there(guardsvc: Command, tmp_path: Path, content: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(content)
    answer = guardsvc("healthcheck", "--config", config)

    assert (answer.code, answer.out) == (ExitCode.UNAVAILABLE, "")
    assert answer.err == "guardsvc: 127.0.0.1:9191 does not answer: UNAVAILABLE\n"


@pytest.mark.parametrize("content", [None, "policy: ["])
def test_a_configuration_that_cannot_be_read(guardsvc: Command, tmp_path: Path, content: str | None) -> None:
    config = tmp_path / "config.yaml"
    if content is not None:
        config.write_text(content)
    answer = guardsvc("healthcheck", "--config", config)

    assert (answer.code, answer.out) == (ExitCode.CONFIGURATION, "")
    assert answer.err.startswith(f"guardsvc: {config}")


def test_one_of_several_workers_that_does_not_serve(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", *small(tmp_path)) as running:
        child = running.logs("worker_serving")[0]["pid"]
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: running.get("/readyz")[0] != 200, "not ready")
        answer = run_process("healthcheck", "--workers", "2", "--metrics-address", metrics(running))
        if answer.code == 0:  # it may have been replaced already
            assert running.get("/readyz")[0] == 200
        else:
            assert (answer.code, answer.out) == (ExitCode.UNAVAILABLE, "not_serving\n")
            assert answer.err == "guardsvc: 1 of 2 workers serve\n"
        assert running.end() == 0


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"status":"not ready","workers":{"serving":1,"of":2}}', "guardsvc: 1 of 2 workers serve"),
        (b'{"status":"not ready","workers":{"serving":2,"of":2}}', "guardsvc: the workers do not serve one policy yet"),
    ],
)
def test_workers_that_are_not_ready(guardsvc: Command, body: bytes, told: str) -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: %d\r\n\r\n" % len(body)
    with answering(head + body) as address:
        answer = guardsvc("healthcheck", "--workers", "2", "--metrics-address", address)

    assert (answer.code, answer.out, answer.err) == (ExitCode.UNAVAILABLE, "not_serving\n", told + "\n")


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{"status":"ready"}',
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
    ids=["one process", "a list", "something else", "no HTTP", "nothing"],
)
def test_what_is_there_is_no_supervisor(guardsvc: Command, answer: bytes) -> None:
    with answering(answer) as address:
        outcome = guardsvc("healthcheck", "--workers", "2", "--metrics-address", address)

    assert (outcome.code, outcome.out) == (ExitCode.UNAVAILABLE, "")
    assert outcome.err.startswith(f"guardsvc: {address} ")
    assert outcome.err.count("\n") == 1


def test_no_supervisor_is_there(guardsvc: Command) -> None:
    answer = guardsvc("healthcheck", "--workers", "2", "--metrics-address", "127.0.0.1:1")

    assert (answer.code, answer.out) == (ExitCode.UNAVAILABLE, "")
    assert "Connection refused" in answer.err
