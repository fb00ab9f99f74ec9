"""``guardsvc healthcheck``: what a container's probe asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from guardsvc.cli.exit_codes import ExitCode
from tests.cli.command import run_process
from tests.packages.installed import environment
from tests.server.process import Running, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.mark.parametrize("name", ["", "envoy.service.auth.v3.Authorization", "grpc.health.v1.Health"])
def test_serving(service: Running, name: str) -> None:
    answer = run_process("healthcheck", "--address", service.grpc_address, "--service", name)

    assert (answer.code, answer.out, answer.err) == (0, "serving\n", "")


def test_the_address_of_the_environment(service: Running) -> None:
    env = environment(GUARDSVC_GRPC_ADDRESS=service.grpc_address)

    assert run_process("healthcheck", env=env).code == 0


def test_no_proxy_stands_between(service: Running) -> None:
    env = environment(http_proxy="http://127.0.0.1:1", grpc_proxy="http://127.0.0.1:1")

    assert run_process("healthcheck", "--address", service.grpc_address, env=env).code == 0


def test_an_unknown_service(service: Running) -> None:
    answer = run_process("healthcheck", "--address", service.grpc_address, "--service", "nobody")

    assert (answer.code, answer.out) == (ExitCode.UNAVAILABLE, "")
    assert answer.err == f'guardsvc: {service.grpc_address} has no service "nobody"\n'


def test_nothing_is_there() -> None:
    answer = run_process("healthcheck", "--address", "127.0.0.1:1", "--timeout", "5")

    assert (answer.code, answer.out) == (ExitCode.UNAVAILABLE, "")
    assert answer.err == "guardsvc: 127.0.0.1:1 does not answer: UNAVAILABLE\n"


def test_what_is_there_is_no_grpc(service: Running) -> None:
    answer = run_process("healthcheck", "--address", service.logs("ready")[0]["metrics"], "--timeout", "0.3")

    assert (answer.code, answer.out) == (ExitCode.UNAVAILABLE, "")
    assert answer.err.count("\n") == 1
