"""The operations of ``test_replay`` through a real agentgateway, as the shipped configuration wires it.

It runs where ``AGENTGATEWAY_BIN`` names the program, and is skipped elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import yaml

from guardsvc.gateways.ext_mcp import ExtMcp
from guardsvc.observe import Metrics, Recorder
from tests.engine.scripted import guard, policy
from tests.gateways.ext_mcp.operations import HELLO, OPERATIONS, Operation
from tests.gateways.ext_mcp.test_replay import SERVERS, prefixed
from tests.gateways.ext_proc.streams import SEAL, judge_words

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "deploy" / "agentgateway" / "ext_mcp.yaml"
PROGRAM = os.environ.get("AGENTGATEWAY_BIN")
ACCEPT = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
WITHIN = 20.0

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="AGENTGATEWAY_BIN names no agentgateway")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def configured(guardsvc: int, port: int, names: tuple[str, ...], case: Operation) -> dict[str, Any]:
    """The shipped configuration for these ports and servers."""
    configuration: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    configuration["binds"][0]["port"] = port
    route = configuration["binds"][0]["listeners"][0]["routes"][0]
    route["policies"]["mcpGuardrails"]["processors"][0]["host"] = f"127.0.0.1:{guardsvc}"
    arguments = ["-m", "tests.gateways.ext_mcp.stdio_server", case.method, case.says]
    route["backends"][0]["mcp"]["targets"] = [
        {"name": name, "stdio": {"cmd": sys.executable, "args": arguments}} for name in names
    ]
    return configuration


@asynccontextmanager
async def running(folder: Path, names: tuple[str, ...], case: Operation) -> AsyncIterator[str]:
    """The URL of a gateway that asks a service which judges words."""
    chain = policy(guard("g", judge_words), servers=SERVERS)
    server = grpc.aio.server()
    service = ExtMcp(lambda: chain, SEAL, Recorder(Metrics("0"), ["tools/call"]), {})
    server.add_generic_rpc_handlers((service.handler(),))
    guardsvc, port = server.add_insecure_port("127.0.0.1:0"), free_port()
    await server.start()
    file = folder / "agentgateway.yaml"
    file.write_text(yaml.safe_dump(configured(guardsvc, port, names, case)), encoding="utf-8")
    assert PROGRAM is not None
    with (folder / "agentgateway.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-f", str(file)], cwd=ROOT, stdout=log, stderr=log)  # noqa: ASYNC220
        try:
            await answering(port, process)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()
            process.wait(10)
            await server.stop(None)


async def answering(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the gateway listens."""
    end = time.monotonic() + WITHIN
    while True:
        assert process.poll() is None, "agentgateway has ended"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.monotonic() < end, "agentgateway does not listen"
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


class Client:
    """A client that shows what it gets."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._headers = dict(ACCEPT)

    async def open(self) -> None:
        """The handshake."""
        await self.send("initialize", HELLO)
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def send(self, method: str, params: Any) -> Any:
        """The answer to a request, an error or a result."""
        return await self.post({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})

    async def post(self, message: Any) -> Any:
        async with self._session.post(self._url, json=message, headers=self._headers) as answer:
            if session := answer.headers.get("mcp-session-id"):
                self._headers["mcp-session-id"] = session
            text = await answer.text()
        if answer.status == 202:
            return None
        data = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
        return json.loads("".join(data) or text)


@pytest.mark.parametrize("several", [False, True], ids=["one target", "several targets"])
@pytest.mark.parametrize("case", OPERATIONS, ids=str)
async def test_operations(case: Operation, several: bool, tmp_path: Path) -> None:
    names = ("files", "more") if several else ("files",)
    async with running(tmp_path, names, case) as url, aiohttp.ClientSession() as session:
        client = Client(session, url)
        if case.method != "initialize":
            await client.open()
        told = await client.send(case.method, prefixed(case) if several else case.params)
    if case.reason is None:
        assert case.finds in json.dumps(told["result"])
    else:
        assert told["error"]["code"] == (case.code or -32001)
        assert told["error"]["data"]["reason"] == case.reason
