"""Calls: what the demo sends, and what should come of it."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import httpx2
from mcp import MCPError

from deploy.demo.observation import ALLOWED, Expected, Observation, Seen, observe
from deploy.demo.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping

    from mcp import Client

    from deploy.demo.stack import Stack

__all__ = ["burst", "fail_closed", "modern_client", "name_two_tools", "old_client", "raw_http", "tampered_client"]

REVISION = "2026-07-28"
DENIED = Expected(code=-32001, reason="access_denied")
LIMITED = Expected(code=-32003, reason="rate_limited")
MISMATCH = Expected(status=400, code=-32020, reason="header_mismatch")
NOT_MCP = Expected(status=403, code=-32001, reason="not_mcp")

BURST = 3
"""How many calls of the tool ``translate`` the policy lets pass at once."""

HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": REVISION,
    "mcp-method": "tools/call",
    "mcp-name": "read_file",
}


def _body(request_id: int) -> bytes:
    """A well-formed call of a tool that is allowed."""
    message = {
        "jsonrpc": "2.0",
        "id": request_id,
        "method": "tools/call",
        "params": {
            "name": "read_file",
            "arguments": {"path": "notes.txt"},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": REVISION,
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }
    return json.dumps(message).encode()


async def modern_client(stack: Stack) -> AsyncIterator[Observation]:
    """One client of revision 2026-07-28: refusals in between, the connection lives on."""
    async with Wire() as wire, wire.client(stack.url(), "auto") as client:
        for name, arguments, expected in (
            ("read_file", {"path": "notes.txt"}, ALLOWED),
            ("search", {"query": "größer ≠ kleiner", "limit": 2**53 - 1}, ALLOWED),
            ("delete_everything", {"confirm": True}, DENIED),
            ("read_file", {"path": "README.md"}, ALLOWED),
        ):
            yield await _call(stack, wire, client, name, arguments, expected)
        for uri, expected in (("demo://documents/readme", ALLOWED), ("demo://secrets/token", DENIED)):
            sent = f"resources/read {uri}"
            yield await _ask(stack, wire, sent, client.read_resource(uri), expected)
        prompt = client.get_prompt("summarize", {"path": "notes.txt"})
        yield await _ask(stack, wire, "prompts/get summarize", prompt, ALLOWED)


async def old_client(stack: Stack) -> AsyncIterator[Observation]:
    """One client that opens a session, revision 2025-11-25."""
    async with Wire() as wire, wire.client(stack.url(), "legacy") as client:
        yield await _ask(stack, wire, "tools/list", client.list_tools(), ALLOWED)
        yield await _call(stack, wire, client, "delete_everything", {"confirm": True}, DENIED)
        yield await _call(stack, wire, client, "notes.add", {"text": "still here"}, ALLOWED)


async def tampered_client(stack: Stack) -> AsyncIterator[Observation]:
    """A client whose headers name a harmless tool while the body names another, then one whose body names two."""

    def name_a_harmless_tool(request: httpx2.Request) -> None:
        if "mcp-name" in request.headers:
            request.headers["mcp-name"] = "read_file"

    async with Wire(name_a_harmless_tool) as wire, wire.client(stack.url(), "auto") as client:
        yield await _call(stack, wire, client, "delete_everything", {"confirm": True}, MISMATCH)
    async with Wire() as wire, wire.client(stack.url(), "auto") as client:
        wire.tamper = name_two_tools
        yield await _call(stack, wire, client, "read_file", {"path": "notes.txt"}, _invalid("duplicate_key"))
        wire.tamper = None
        yield await _call(stack, wire, client, "read_file", {"path": "notes.txt"}, ALLOWED)


def name_two_tools(request: httpx2.Request) -> None:
    """Name another tool after the first, as a ``tamper`` of ``Wire``."""
    first = b'"name":"read_file"'
    body = request.content.replace(first, first + b',"name":"delete_everything"')
    request.headers["content-length"] = str(len(body))
    request.stream = httpx2.ByteStream(body)


async def raw_http(stack: Stack) -> AsyncIterator[Observation]:
    """Requests that no SDK would send."""
    name = b'"name": "read_file"'
    other = b', "name": "delete_everything"'
    async with Wire() as wire:
        for sent, body, headers, expected in (
            ("a well-formed call", _body(1), {}, ALLOWED),
            ("Mcp-Method says tools/list", _body(2), {"mcp-method": "tools/list"}, MISMATCH),
            ("a tool named twice", _body(3).replace(name, name + other), {}, _invalid("duplicate_key")),
            (
                "a tool named in two cases",
                _body(4).replace(name, name + other.replace(b"name", b"Name")),
                {},
                _invalid("case_variant_key"),
            ),
            ("a batch", b"[" + _body(5) + b"]", {}, _invalid("batch_not_allowed", status=400)),
            ("half a body", _body(6)[:-40], {}, Expected(400, -32700, "invalid_json")),
            (
                "a compressed body",
                gzip.compress(_body(7)),
                {"content-encoding": "gzip"},
                _invalid("content_encoding", status=400),
            ),
            ("a body of more than 1 MiB", _body(8) + b" " * 2**20, {}, Expected(413)),
        ):
            yield await _post(stack, wire, sent, body, expected, headers)
        request = wire.http.build_request("GET", stack.url())
        yield await _exchange(stack, wire, "GET that is not for a stream", request, NOT_MCP)


async def burst(stack: Stack) -> AsyncIterator[Observation]:
    """More calls of one tool than its limit lets pass, and one more when the time has come that the client was told."""
    async with Wire() as wire, wire.client(stack.url(), "auto") as client:
        await client.list_tools()  # the SDK would ask in the middle of the first call
        for number in range(5):
            expected = ALLOWED if number < BURST else LIMITED
            yield await _call(stack, wire, client, "translate", {"text": f"call {number + 1}"}, expected)
        wait = wire.last_post.retry_after or "0"
        await asyncio.sleep(float(wait))
        yield await _call(stack, wire, client, "translate", {"text": f"{wait} s later"}, ALLOWED)


async def fail_closed(stack: Stack) -> AsyncIterator[Observation]:
    """The call that passed, while guardsvc is down and after it is back."""
    async with Wire() as wire:
        stack.guardsvc.stop()
        yield await _post(stack, wire, "a well-formed call, guardsvc is down", _body(10), Expected(503))
        stack.guardsvc.start()
        stack.guardsvc.wait()
        yield await _post(stack, wire, "a well-formed call, guardsvc is back", _body(11), ALLOWED)


def _invalid(reason: str, *, status: int = 200) -> Expected:
    return Expected(status, -32600, reason)


async def _post(
    stack: Stack,
    wire: Wire,
    sent: str,
    body: bytes,
    expected: Expected,
    headers: Mapping[str, str] | None = None,
) -> Observation:
    request = wire.http.build_request("POST", stack.url(), content=body, headers={**HEADERS, **(headers or {})})
    return await _exchange(stack, wire, sent, request, expected)


async def _call(
    stack: Stack, wire: Wire, client: Client, name: str, arguments: dict[str, Any], expected: Expected
) -> Observation:
    sent = f"tools/call {name} {json.dumps(arguments, ensure_ascii=False)}"
    return await _ask(stack, wire, sent, client.call_tool(name, arguments), expected)


async def _ask(stack: Stack, wire: Wire, sent: str, answer: Awaitable[Any], expected: Expected) -> Observation:
    """Await the SDK's answer and note what came of it."""
    try:
        seen = Seen(f"result {_summary(await answer)}")
    except MCPError as error:
        data = error.error.data or {}
        seen = Seen(f"MCPError {error.code}: {error.error.message}", error.code, data.get("reason"))
    return observe(stack, sent, wire.last_post, seen, expected)


async def _exchange(stack: Stack, wire: Wire, sent: str, request: httpx2.Request, expected: Expected) -> Observation:
    """Send one plain HTTP request and note what came of it."""
    response = await wire.http.send(request)
    error = {}
    if response.headers.get("content-type") == "application/json":
        error = response.json().get("error", {})
    seen = Seen(" ".join(response.text.split())[:100], error.get("code"), error.get("data", {}).get("reason"))
    return observe(stack, sent, wire.exchanges[-1], seen, expected)


def _summary(result: Any) -> str:
    """The first of whatever a result holds."""
    for name in ("content", "contents", "messages", "tools"):
        items = getattr(result, name, None)
        if items is not None:
            return f"with {len(items)} {name}: " + ", ".join(_text(item) for item in items)[:80]
    return type(result).__name__


def _text(item: Any) -> str:
    item = getattr(item, "content", item)
    return repr(getattr(item, "text", None) or getattr(item, "name", ""))
