"""The MCP SDK's own client, of both eras, through Envoy with the shipped configuration."""

from __future__ import annotations

import asyncio
import json
import warnings
from typing import TYPE_CHECKING

import pytest
from mcp import Client, MCPError
from mcp.shared.exceptions import MCPDeprecationWarning

from deploy.demo.calls import name_two_tools
from deploy.demo.stack import Stack
from deploy.demo.wire import DECISION_ID, Wire
from tests.e2e.ask import at_the_server, send

if TYPE_CHECKING:
    import httpx2

REVISIONS = {"auto": "2026-07-28", "2026-07-28": "2026-07-28", "legacy": "2025-11-25"}
HEADERS = [
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
]
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
STREAM = ("accept", "text/event-stream")
PREFLIGHT = [("origin", "http://localhost"), ("access-control-request-method", "POST")]

every_mode = pytest.mark.parametrize("mode", REVISIONS)


@every_mode
async def test_what_is_allowed_passes_untouched(stack: Stack, mode: str) -> None:
    direct = f"http://127.0.0.1:{stack.mcp_server.port}/mcp"
    async with Wire() as wire, wire.client(stack.url(), mode) as client, Client(direct, mode=mode) as unguarded:
        assert client.protocol_version == REVISIONS[mode]
        tools = await client.list_tools()
        assert tools.tools == (await unguarded.list_tools()).tools
        result = await client.call_tool("search", {"query": "größer \U0001f600", "limit": 2**53 - 1})
        assert result == await unguarded.call_tool("search", {"query": "größer \U0001f600", "limit": 2**53 - 1})
        sent = wire.last_post
        (received,) = at_the_server(stack, sent.decision_id)
        assert received.body == sent.body
        document = await client.read_resource("demo://documents/readme")
        assert document == await unguarded.read_resource("demo://documents/readme")
        prompt = await client.get_prompt("summarize", {"path": "notes.txt"})
        assert prompt == await unguarded.get_prompt("summarize", {"path": "notes.txt"})


@every_mode
async def test_a_refusal_is_an_mcp_error_and_the_client_goes_on(stack: Stack, mode: str) -> None:
    async with Wire() as wire, wire.client(stack.url(), mode) as client:
        for _ in range(3):
            with pytest.raises(MCPError) as caught:
                await client.call_tool("delete_everything", {"confirm": True})
            assert caught.value.code == -32001
            data = caught.value.error.data
            assert data["reason"] == "access_denied"
            assert wire.last_post.decision_id == data["decision_id"]
            assert not at_the_server(stack, data["decision_id"])
            result = await client.call_tool("read_file", {"path": "README.md"})
            assert not result.is_error


@every_mode
async def test_calls_at_the_same_time_get_their_own_answers(stack: Stack, mode: str) -> None:
    outcomes: dict[int, str | None] = {}
    async with Wire() as wire, wire.client(stack.url(), mode) as client:

        async def call(number: int) -> None:
            try:
                await client.call_tool("notes.add" if number % 2 else "delete_everything", {"text": str(number)})
                outcomes[number] = None
            except MCPError as error:
                outcomes[number] = error.error.data["reason"]

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(call(number))
    assert outcomes == {number: None if number % 2 else "access_denied" for number in range(20)}


async def test_a_refused_notification_does_not_end_a_session(stack: Stack) -> None:
    async with Wire() as wire, wire.client(stack.url(), "legacy") as client:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            await client.session.send_roots_list_changed()
        await client.list_tools()
        statuses = [exchange.status for exchange in wire.exchanges if b"roots/list_changed" in exchange.body]
    assert statuses == [403]


async def test_a_header_changed_on_the_way_is_refused(stack: Stack) -> None:
    def name_another(request: httpx2.Request) -> None:
        if "mcp-name" in request.headers:
            request.headers["mcp-name"] = "read_file"

    async with Wire(name_another) as wire, wire.client(stack.url(), "auto") as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("search", {"query": "x"})
        assert caught.value.code == -32020
        assert wire.last_post.status == 400
        await client.list_tools()


@every_mode
async def test_a_tool_named_twice_is_an_mcp_error_and_the_client_goes_on(stack: Stack, mode: str) -> None:
    async with Wire() as wire, wire.client(stack.url(), mode) as client:
        wire.tamper = name_two_tools
        with pytest.raises(MCPError) as caught:
            await client.call_tool("read_file", {"path": "README.md"})
        assert (caught.value.code, caught.value.error.data["reason"]) == (-32600, "duplicate_key")
        assert not at_the_server(stack, caught.value.error.data["decision_id"])
        wire.tamper = None
        assert not (await client.call_tool("read_file", {"path": "README.md"})).is_error


@pytest.mark.parametrize("tool", ["read_file", "delete_everything"])
def test_a_forged_decision_id_is_replaced(stack: Stack, tool: str) -> None:
    forged = [("X-Guardsvc-Decision-Id", "forged"), ("x-GUARDSVC-decision-id", "forged too")]
    answer = send("POST", stack.url(), _call(tool), [*HEADERS, ("mcp-name", tool), *forged])
    assert answer.decision_id
    assert "forged" not in answer.decision_id
    everywhere = [request.all(DECISION_ID) for request in stack.mcp_server.received()]
    assert not any("forged" in value for values in everywhere for value in values)
    if tool == "read_file":
        assert [answer.decision_id] in everywhere
    else:
        assert json.loads(answer.body)["error"]["data"]["decision_id"] == answer.decision_id


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/mcp", [STREAM], 400),
        ("DELETE", "/mcp", [], 400),
        ("GET", "/.well-known/oauth-protected-resource/mcp", [], 404),
        ("OPTIONS", "/mcp", PREFLIGHT, 403),
        ("GET", "/mcp", [], 403),
        ("PUT", "/mcp", [], 403),
    ],
    ids=["get_stream", "session_end", "well_known", "preflight", "plain GET", "PUT"],
)
def test_requests_without_a_message_under_the_demo_policy(
    stack: Stack, method: str, path: str, headers: list[tuple[str, str]], status: int
) -> None:
    allowed = status == 400  # the server's own word: there is no session
    answer = send(method, stack.url().replace("/mcp", path), headers=headers)
    assert answer.status == status
    assert bool(at_the_server(stack, answer.decision_id)) is allowed
    if not allowed:
        assert "id" not in json.loads(answer.body)


@pytest.mark.parametrize(
    ("method", "path", "headers", "reason"),
    [
        ("GET", "/mcp", [STREAM], "stream_not_allowed"),
        ("DELETE", "/mcp", [], "session_end_not_allowed"),
        ("GET", "/.well-known/oauth-protected-resource/mcp", [], None),
        ("OPTIONS", "/mcp", PREFLIGHT, None),
        ("PUT", "/mcp", [], None),
    ],
    ids=["get_stream", "session_end", "well_known", "preflight", "other"],
)
def test_requests_without_a_message_under_the_opposite_policy(
    readings: Stack, method: str, path: str, headers: list[tuple[str, str]], reason: str | None
) -> None:
    answer = send(method, readings.url().replace("/mcp", path), headers=headers)
    assert len(at_the_server(readings, answer.decision_id)) == (reason is None)
    if reason is not None:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert json.loads(answer.body)["error"]["data"]["reason"] == reason


async def test_an_old_client_works_where_streams_and_session_ends_are_refused(readings: Stack) -> None:
    async with Wire() as wire, wire.client(readings.url(), "legacy") as client:
        await client.call_tool("read_file", {"path": "README.md"})
    assert {exchange.method: exchange.status for exchange in wire.exchanges} == {"POST": 200, "GET": 405, "DELETE": 405}


@pytest.mark.parametrize("path", ["/mcp%2f..%2fadmin", "/mcp%5cadmin"])
def test_a_path_that_can_be_read_in_two_ways_is_refused_by_envoy(stack: Stack, path: str) -> None:
    answer = send("POST", stack.url().replace("/mcp", path), _call("read_file"), HEADERS)
    assert answer.status == 400
    assert answer.decision_id is None


async def test_without_guardsvc_nothing_passes() -> None:
    with Stack() as stack:
        async with Wire() as wire, wire.client(stack.url(), "auto") as client:
            await client.call_tool("read_file", {"path": "README.md"})
            seen = len(stack.mcp_server.received())
            stack.guardsvc.stop()
            for call in (client.call_tool("read_file", {"path": "README.md"}), client.list_tools()):
                with pytest.raises(MCPError):
                    await call
                assert wire.last_post.status == 503
            assert len(stack.mcp_server.received()) == seen
            stack.guardsvc.start()
            stack.guardsvc.wait()
            await client.call_tool("read_file", {"path": "README.md"})


def _call(tool: str) -> bytes:
    params = {"name": tool, "arguments": {"path": "README.md"}, "_meta": META}
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).encode()
