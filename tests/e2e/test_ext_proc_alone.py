"""ext_proc without ext_authz, through a real Envoy: requests are judged, changed, and account for responses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mcp import MCPError

from deploy.demo.bootstrap import GUARDSVC, MCP_SERVER, Bootstrap
from deploy.demo.services import Envoy, Guardsvc, McpServer, envoy_program
from deploy.demo.wire import Wire
from tests.e2e.responding import EVENTS, POISON, Responding, call, event, filters, listed, reason
from tests.e2e.scripted_server import Script
from tests.e2e.test_request_guards import github_token

if TYPE_CHECKING:
    from collections.abc import Iterator

SHIPPED = Path(__file__).parents[2] / "deploy" / "envoy" / "ext_proc_alone.yaml"
POLICY = Path(__file__).parent / "policies" / "redacting.yaml"
MODES = ("FULL_DUPLEX_STREAMED", "BUFFERED")


@pytest.fixture(scope="module", params=MODES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Responding]:
    def buffer(bootstrap: Bootstrap) -> None:
        settings = filters(bootstrap)[0]["typed_config"]
        settings["processing_mode"]["request_body_mode"] = request.param
        settings["message_timeout"] = "5s"

    with Responding(tmp_path_factory.mktemp("alone"), POLICY, buffer, shipped=SHIPPED) as started:
        yield started


def result(text: str = "fine") -> bytes:
    value = {"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": text}]}}
    return json.dumps(value, indent=1).encode()


def test_it_is_valid_as_it_is() -> None:
    command = [envoy_program(), "--mode", "validate", "--config-path", str(SHIPPED), "--log-level", "warning"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_request_reaches_the_server_byte_for_byte(running: Responding) -> None:
    message = call("tools/call", name="add", arguments={"text": "x" * 300_000})
    answer = running.ask(Script([result()]), message)
    assert (answer.status, answer.body) == (200, result())
    fields, body = running.server.requests[-1]
    assert body == json.dumps(message).encode()
    assert len(fields["x-guardsvc-decision-id"]) == 32
    assert "accept-encoding" not in fields


def test_a_refused_request_does_not(running: Responding) -> None:
    before = len(running.server.requests)
    answer = running.ask(Script([result()]), call("tools/call", name="forbidden", arguments={}))
    assert (answer.status, reason(answer), json.loads(answer.body)["id"]) == (200, "access_denied", 7)
    assert answer.headers["content-type"] == "application/json"
    assert len(running.server.requests) == before


def test_a_changed_request_reaches_the_server_as_it_was_judged(running: Responding) -> None:
    arguments = {"text": f"the token is {github_token()}, keep it", "number": 12345678901234567890}
    answer = running.ask(Script([result()]), call("tools/call", name="add", arguments=arguments))
    assert answer.body == result()
    fields, body = running.server.requests[-1]
    assert "ghp_" not in body.decode()
    received = json.loads(body)
    assert (received["id"], received["params"]["name"]) == (7, "add")
    assert received["params"]["arguments"]["number"] == 12345678901234567890
    assert int(fields.get("content-length", len(body))) == len(body)


@pytest.mark.parametrize("headers", [(("content-type", "application/json"),), EVENTS])
def test_the_response_is_judged_too(running: Responding, headers: Any) -> None:
    for description in ("Adds two numbers.", POISON):
        body = listed(description)
        came = event(body) if headers is EVENTS else body
        answer = running.ask(Script([came], headers=headers, chunked=True), call())
        if description == POISON:
            assert reason(answer) == "tool_poisoning_detected"
        else:
            assert answer.body == came


def test_a_client_that_listens(running: Responding) -> None:
    note = event(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}}).encode())
    answer = running.ask(Script([note, 0.3, note], headers=EVENTS, chunked=True), method="GET")
    assert (answer.body, len(answer.pieces)) == (note * 2, 2)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_session_of_the_sdk(tmp_path: Path, mode: str) -> None:
    server, guardsvc = McpServer(tmp_path), Guardsvc(POLICY, tmp_path)
    envoy = None
    try:
        for process in (server, guardsvc):
            process.start()
        for process in (server, guardsvc):
            process.wait()
        bootstrap = Bootstrap(SHIPPED)
        bootstrap.point(MCP_SERVER, server.port)
        bootstrap.point(GUARDSVC, guardsvc.port)
        envoy = Envoy(bootstrap, tmp_path)
        envoy.start()
        envoy.wait()
        async with Wire() as wire, wire.client(envoy.url(), mode) as client:
            tools = await client.list_tools()
            assert "read_file" in {tool.name for tool in tools.tools}
            read = await client.call_tool("read_file", {"path": "README.md"})
            assert "Nothing to see here" in str(read.content)
            assert (await client.list_prompts()).prompts
            assert (await client.read_resource("demo://documents/readme")).contents
            with pytest.raises(MCPError) as caught:
                await client.call_tool("forbidden", {})
            assert caught.value.error.data["reason"] == "access_denied"
            kept = await client.call_tool("notes.add", {"text": f"the token is {github_token()}"})
            assert not kept.is_error
    finally:
        for started in (envoy, guardsvc, server):
            if started is not None:
                started.stop()
    assert "ghp_" not in "".join(request.body.decode() for request in server.received())
