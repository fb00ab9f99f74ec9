"""Two workers behind a real Envoy: they share the load, and one that is killed costs no client an answer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.request
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import yaml

from deploy.demo.bootstrap import GUARDSVC, MCP_SERVER, SHIPPED, SHIPPED_WORKERS, Bootstrap
from deploy.demo.services import Envoy, Guardsvc, McpServer, envoy_program
from tests.server.process import HANG, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = Path(__file__).parent / "policies" / "workers.yaml"
CALLS = 400
DENIED = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_everything","arguments":{}}}'
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2025-06-18",
}


class Pair:
    """guardsvc with two workers, and Envoy before it."""

    def __init__(self, guardsvc: Guardsvc, envoy: Envoy) -> None:
        self.guardsvc = guardsvc
        self.url = envoy.url()

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.guardsvc.events() if event.get("event") == name]

    def shares(self) -> list[float]:
        """Decisions of each worker so far."""
        url = f"http://{self.events('ready')[0]['metrics']}/metrics"
        with urllib.request.urlopen(url, timeout=HANG) as page:
            found = re.findall(r'guardsvc_worker_decisions_total\{worker="(\d)"\} (\S+)', page.read().decode())
        counts = dict(found)
        return [float(counts.get(str(number), 0)) for number in range(2)]

    def ask(self, calls: int) -> list[int]:
        """Statuses of calls that the policy denies, one after the other."""
        with httpx2.Client(trust_env=False, timeout=HANG) as client:
            return [client.post(self.url, content=DENIED, headers=HEADERS).status_code for _ in range(calls)]


def _be_patient(bootstrap: Bootstrap) -> None:
    """Give a busy machine more than the second after which Envoy refuses, and calls a worker unhealthy."""
    (manager,) = bootstrap.document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    manager["typed_config"]["http_filters"][0]["typed_config"]["grpc_service"]["timeout"] = "30s"
    bootstrap.document["static_resources"]["clusters"][1]["health_checks"][0]["timeout"] = "30s"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    guardsvc = Guardsvc(POLICY, folder, environment={"GUARDSVC_WORKERS": "2"})
    server = McpServer(folder)
    started: list[Guardsvc | McpServer | Envoy] = []
    try:
        behind: tuple[Guardsvc | McpServer, ...] = (guardsvc, server)
        for service in behind:
            started.append(service)
            service.start()
        for service in behind:
            service.wait()
        bootstrap = Bootstrap(SHIPPED_WORKERS)
        bootstrap.point(MCP_SERVER, server.port)
        (ready,) = (event for event in guardsvc.events() if event.get("event") == "ready")
        bootstrap.point(GUARDSVC, *(int(address.rpartition(":")[2]) for address in ready["grpc"]))
        _be_patient(bootstrap)
        envoy = Envoy(bootstrap, folder)
        started.append(envoy)
        envoy.start()
        envoy.wait()
        yield Pair(guardsvc, envoy)
    finally:
        for process in reversed(started):
            process.stop()


def test_it_differs_from_the_other_in_the_way_to_the_workers_only() -> None:
    other, this = (yaml.safe_load(path.read_text()) for path in (SHIPPED, SHIPPED_WORKERS))
    manager = this["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["http_filters"][0]["typed_config"]["grpc_service"]["retry_policy"]
    cluster = this["static_resources"]["clusters"][1]
    for key in ("lb_policy", "common_lb_config", "health_checks"):
        del cluster[key]
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    ports = [each["endpoint"]["address"]["socket_address"]["port_value"] for each in endpoints]
    del endpoints[1:]
    endpoints[0]["endpoint"]["address"]["socket_address"]["port_value"] = 9191

    assert this == other
    assert ports == [9193, 9194]


def test_it_is_valid_as_it_is() -> None:
    command = [envoy_program(), "--mode", "validate", "--config-path", str(SHIPPED_WORKERS), "--log-level", "warning"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_they_share_the_load(pair: Pair) -> None:
    before = pair.shares()
    assert pair.ask(CALLS) == [200] * CALLS

    def shares() -> list[float]:
        return [after - share for share, after in zip(before, pair.shares(), strict=True)]

    wait_until(lambda: sum(shares()) == CALLS, "all counted")
    assert min(shares()) >= 0.35 * CALLS


def test_a_worker_that_is_killed_costs_no_answer(pair: Pair) -> None:
    """A machine may have no time for the other worker within Envoy's second, and Envoy refuses then."""

    def serves(times: int) -> bool:
        return len(pair.events("worker_serving")) == times

    for replaced in range(3, 6):
        latest = {event["worker"]: event["pid"] for event in pair.events("worker_serving")}
        os.kill(latest[0], signal.SIGKILL)
        statuses = pair.ask(50)
        wait_until(partial(serves, replaced), "replaced")
        assert set(statuses) <= {200, 503}
        if statuses == [200] * 50:
            break
    assert statuses == [200] * 50
    before = pair.shares()

    def both_asked() -> bool:
        pair.ask(10)
        return all(after > share for share, after in zip(before, pair.shares(), strict=True))

    wait_until(both_asked, "Envoy asks both again")
