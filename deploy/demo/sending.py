"""Sending: one call or request through Envoy, and what came of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcp import MCPError

from deploy.demo.observation import Expected, Observation, Seen, observe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    import httpx2
    from mcp import Client

    from deploy.demo.stack import Stack
    from deploy.demo.wire import Wire

__all__ = ["ask", "body", "call", "exchange", "headers_of", "post"]

REVISION = "2026-07-28"
SHOWN = 100
"""Characters of an answer that are shown."""


def body(request_id: int, tool: str = "read_file", **arguments: Any) -> bytes:
    """A well-formed call; without arguments it is of a file that is there."""
    message = {
        "jsonrpc": "2.0",
        "id": request_id,
        "method": "tools/call",
        "params": {
            "name": tool,
            "arguments": arguments or {"path": "notes.txt"},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": REVISION,
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }
    return json.dumps(message).encode()


def headers_of(tool: str) -> dict[str, str]:
    """The headers of a call of a tool."""
    return {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": REVISION,
        "mcp-method": "tools/call",
        "mcp-name": tool,
    }


async def call(
    stack: Stack, wire: Wire, client: Client, name: str, arguments: dict[str, Any], expected: Expected
) -> Observation:
    """Call a tool as the SDK does."""
    sent = f"tools/call {name} {json.dumps(arguments, ensure_ascii=False)}"
    return await ask(stack, wire, sent, client.call_tool(name, arguments), expected)


async def ask(stack: Stack, wire: Wire, sent: str, answer: Awaitable[Any], expected: Expected) -> Observation:
    """Await the SDK's answer and note what came of it."""
    try:
        seen = Seen(f"result {_summary(await answer)}")
    except MCPError as error:
        data = error.error.data or {}
        seen = Seen(f"MCPError {error.code}: {error.error.message}", error.code, data.get("reason"))
    return observe(stack, sent, wire.last_post, seen, expected)


async def post(
    stack: Stack,
    wire: Wire,
    sent: str,
    content: bytes,
    expected: Expected,
    headers: Mapping[str, str] | None = None,
) -> Observation:
    """Post a body with the headers of a call of ``read_file``, and others over them, as plain HTTP."""
    fields = {**headers_of("read_file"), **(headers or {})}
    request = wire.http.build_request("POST", stack.url(), content=content, headers=fields)
    return await exchange(stack, wire, sent, request, expected)


async def exchange(stack: Stack, wire: Wire, sent: str, request: httpx2.Request, expected: Expected) -> Observation:
    """Send one plain HTTP request and note what came of it."""
    response = await wire.http.send(request)
    error = {}
    if response.headers.get("content-type") == "application/json":
        error = response.json().get("error", {})
    seen = Seen(" ".join(response.text.split())[:SHOWN], error.get("code"), error.get("data", {}).get("reason"))
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
