"""The shipped Envoy configuration for a UNIX socket: the other one but for the endpoint, and it carries decisions."""

from __future__ import annotations

import difflib
import stat
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from mcp import MCPError

from deploy.demo.bootstrap import GUARDSVC, MCP_SERVER, SHIPPED, SHIPPED_UDS, Bootstrap
from deploy.demo.services import Envoy, Guardsvc, McpServer, envoy_program
from deploy.demo.stack import POLICY
from deploy.demo.wire import Wire
from tests.e2e.ask import send
from tests.server.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
HEADERS = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]


@pytest.fixture(scope="module")
def over_uds() -> Iterator[tuple[Guardsvc, Envoy, Path]]:
    with TemporaryDirectory(prefix="gs-") as name:
        folder = Path(name)
        path = folder / "run" / "guardsvc.sock"
        guardsvc, server = Guardsvc(POLICY, folder), McpServer(folder)
        guardsvc.address = f"unix:{path}"
        bootstrap = Bootstrap(SHIPPED_UDS)
        started: list[Guardsvc | McpServer | Envoy] = []
        try:
            behind: tuple[Guardsvc | McpServer, ...] = (guardsvc, server)
            for service in behind:
                started.append(service)
                service.start()
                service.wait()
            bootstrap.point(MCP_SERVER, server.port)
            bootstrap.point_to_socket(GUARDSVC, path)
            envoy = Envoy(bootstrap, folder)
            started.append(envoy)
            envoy.start()
            envoy.wait()
            yield guardsvc, envoy, path
        finally:
            for process in reversed(started):
                process.stop()


def test_it_differs_from_the_other_in_the_endpoint_only() -> None:
    one, other = SHIPPED.read_text().splitlines(), SHIPPED_UDS.read_text().splitlines()
    changes = [line for line in difflib.ndiff(one, other) if line[0] in "+-"]
    assert [line for line in changes if not line[1:].lstrip().startswith("#")] == [
        "-               socket_address: { address: 127.0.0.1, port_value: 9191 }",
        "+               pipe: { path: /run/guardsvc/guardsvc.sock }",
    ]


def test_it_is_valid_as_it_is() -> None:
    command = [envoy_program(), "--mode", "validate", "--config-path", str(SHIPPED_UDS), "--log-level", "warning"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


async def test_decisions_come_through_the_socket(over_uds: tuple[Guardsvc, Envoy, Path]) -> None:
    _, envoy, path = over_uds
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    async with Wire() as wire, wire.client(envoy.url(), "auto") as client:
        assert not (await client.call_tool("read_file", {"path": "README.md"})).is_error
        with pytest.raises(MCPError) as caught:
            await client.call_tool("delete_everything", {})
    assert caught.value.error.data["reason"] == "access_denied"


async def test_envoy_finds_the_socket_of_the_next_process(over_uds: tuple[Guardsvc, Envoy, Path]) -> None:
    guardsvc, envoy, path = over_uds
    guardsvc.stop()
    assert not path.exists()
    assert send("POST", envoy.url(), PING, HEADERS).status == 503
    guardsvc.start()
    guardsvc.wait()
    wait_until(lambda: send("POST", envoy.url(), PING, HEADERS).status != 503, "Envoy asks the new process")
    async with Wire() as wire, wire.client(envoy.url(), "auto") as client:
        assert not (await client.call_tool("read_file", {"path": "README.md"})).is_error
