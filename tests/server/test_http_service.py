"""``serves: http`` in a running service: with workers each has its own address, all under one policy."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from guardsvc.gateways.guard_service.http import PATH
from guardsvc.observe import Metrics
from guardsvc.server.evaluate_listener import EvaluateListener
from guardsvc.server.listener import ListenError
from guardsvc.server.listener_settings import ListenerSettings
from tests.server.policies import allowing
from tests.server.process import HANG, Running, launched, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GRPC = {"address": "127.0.0.1:0"}
HTTP = {"serves": "http", "trust": {"peers": "none"}}


class UnixConnection(http.client.HTTPConnection):
    """A connection over a UNIX socket."""

    def __init__(self, path: str) -> None:
        super().__init__("h", timeout=HANG)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def asked(address: str, tool: str) -> tuple[int, Any]:
    """What a service at an address says of a call."""
    connection = (
        UnixConnection(address.removeprefix("unix:"))
        if address.startswith("unix:")
        else http.client.HTTPConnection(address, timeout=HANG)
    )
    body = json.dumps({"operation": "tool_invoke", "payload": {"name": tool}})
    connection.request("POST", PATH, body, {"content-type": "application/json"})
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    return answer.status, told


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    folder = tmp_path_factory.mktemp("http")
    listeners = {
        "tcp": {**HTTP, "address": "127.0.0.1:0"},
        "uds": {**HTTP, "address": f"unix:{folder}/run/http-{{worker}}.sock"},
        "grpc": GRPC,
    }
    config = folder / "config.json"
    config.write_text(allowing("read", listeners=listeners, metrics=GRPC, workers=2))
    with launched(folder, "--config", str(config)) as running:
        running.wait_for_log("ready")
        yield running, folder


def test_each_worker_answers_at_its_own_addresses(service: tuple[Running, Path]) -> None:
    running, _ = service
    told = running.logs("ready")[0]["listeners"]
    addresses = [each[name] for each in told for name in ("tcp", "uds")]
    assert len(set(addresses)) == 4
    for number, each in enumerate(told):
        assert f"{each['tcp']} (HTTP, worker {number})" in running.stdout
        assert f"{each['grpc']} (gRPC, worker {number})" in running.stdout
    assert running.logs("ready")[0]["grpc"] == [each["grpc"] for each in told]
    for address in addresses:
        status, allowed = asked(address, "read")
        assert (status, allowed["decision"]) == (200, "allow")
        status, denied = asked(address, "write")
        assert (status, denied["decision"], denied["reason"]["code"]) == (200, "deny", "access_denied")
        assert denied["policy_hash"] == allowed["policy_hash"]


def test_decisions_are_counted_as_those_of_guard_service(service: tuple[Running, Path]) -> None:
    running, _ = service
    series = (
        'guardsvc_decisions_total{method="tools/call",mode="enforce",phase="tool_invoke",'
        'protocol="guard_service",verdict="allow"}'
    )
    asked(running.logs("ready")[0]["listeners"][0]["tcp"], "read")
    wait_until(lambda: running.metric(series) >= 1, series)


def test_a_reload_counts_there_too(service: tuple[Running, Path]) -> None:
    running, folder = service
    config = folder / "config.json"
    before = config.read_text()
    address = running.logs("ready")[0]["listeners"][1]["tcp"]
    try:
        config.write_text(before.replace('"read"', '"write"'))
        wait_until(lambda: asked(address, "write")[1]["decision"] == "allow", "the new policy")
    finally:
        config.write_text(before)
    wait_until(lambda: asked(address, "read")[1]["decision"] == "allow", "the old policy")


async def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        listener = EvaluateListener("h", ListenerSettings(address=taken, serves="http"), 1, Metrics("0"))
        with pytest.raises(ListenError, match=f"listener h cannot listen on {taken}: Address already in use"):
            listener.bind(web.Application)
        await listener.stop(0)
