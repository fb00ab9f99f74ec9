"""Calls: what the demo sends, and what should come of it."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import httpx2

from deploy.demo.observation import ALLOWED, Expected, Observation
from deploy.demo.sending import ask, body, call, exchange, post
from deploy.demo.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deploy.demo.stack import Stack

__all__ = ["burst", "fail_closed", "modern_client", "name_two_tools", "old_client", "raw_http", "tampered_client"]

DENIED = Expected(code=-32001, reason="access_denied")
LIMITED = Expected(code=-32003, reason="rate_limited")
MISMATCH = Expected(status=400, code=-32020, reason="header_mismatch")
NOT_MCP = Expected(status=403, code=-32001, reason="not_mcp")

BURST = 3
"""How many calls of the tool ``translate`` the policy lets pass at once."""


async def modern_client(stack: Stack) -> AsyncIterator[Observation]:
    """One client of revision 2026-07-28: refusals in between, the connection lives on."""
    async with Wire() as wire, wire.client(stack.url(), "auto") as client:
        for name, arguments, expected in (
            ("read_file", {"path": "notes.txt"}, ALLOWED),
            ("search", {"query": "größer ≠ kleiner", "limit": 2**53 - 1}, ALLOWED),
            ("delete_everything", {"confirm": True}, DENIED),
            ("read_file", {"path": "README.md"}, ALLOWED),
        ):
            yield await call(stack, wire, client, name, arguments, expected)
        for uri, expected in (("demo://documents/readme", ALLOWED), ("demo://secrets/token", DENIED)):
            sent = f"resources/read {uri}"
            yield await ask(stack, wire, sent, client.read_resource(uri), expected)
        prompt = client.get_prompt("summarize", {"path": "notes.txt"})
        yield await ask(stack, wire, "prompts/get summarize", prompt, ALLOWED)


async def old_client(stack: Stack) -> AsyncIterator[Observation]:
    """One client that opens a session, revision 2025-11-25."""
    async with Wire() as wire, wire.client(stack.url(), "legacy") as client:
        yield await ask(stack, wire, "tools/list", client.list_tools(), ALLOWED)
        yield await call(stack, wire, client, "delete_everything", {"confirm": True}, DENIED)
        yield await call(stack, wire, client, "notes.add", {"text": "still here"}, ALLOWED)


async def tampered_client(stack: Stack) -> AsyncIterator[Observation]:
    """A client whose headers name a harmless tool while the body names another, then one whose body names two."""

    def name_a_harmless_tool(request: httpx2.Request) -> None:
        if "mcp-name" in request.headers:
            request.headers["mcp-name"] = "read_file"

    async with Wire(name_a_harmless_tool) as wire, wire.client(stack.url(), "auto") as client:
        yield await call(stack, wire, client, "delete_everything", {"confirm": True}, MISMATCH)
    async with Wire() as wire, wire.client(stack.url(), "auto") as client:
        wire.tamper = name_two_tools
        yield await call(stack, wire, client, "read_file", {"path": "notes.txt"}, _invalid("duplicate_key"))
        wire.tamper = None
        yield await call(stack, wire, client, "read_file", {"path": "notes.txt"}, ALLOWED)


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
        for sent, content, headers, expected in (
            ("a well-formed call", body(1), {}, ALLOWED),
            ("Mcp-Method says tools/list", body(2), {"mcp-method": "tools/list"}, MISMATCH),
            ("a tool named twice", body(3).replace(name, name + other), {}, _invalid("duplicate_key")),
            (
                "a tool named in two cases",
                body(4).replace(name, name + other.replace(b"name", b"Name")),
                {},
                _invalid("case_variant_key"),
            ),
            ("a batch", b"[" + body(5) + b"]", {}, _invalid("batch_not_allowed", status=400)),
            ("half a body", body(6)[:-40], {}, Expected(400, -32700, "invalid_json")),
            (
                "a compressed body",
                gzip.compress(body(7)),
                {"content-encoding": "gzip"},
                _invalid("content_encoding", status=400),
            ),
            ("a body of more than 1 MiB", body(8) + b" " * 2**20, {}, Expected(413)),
        ):
            yield await post(stack, wire, sent, content, expected, headers)
        request = wire.http.build_request("GET", stack.url())
        yield await exchange(stack, wire, "GET that is not for a stream", request, NOT_MCP)


async def burst(stack: Stack) -> AsyncIterator[Observation]:
    """More calls of one tool than its limit lets pass, and one more when the time has come that the client was told."""
    async with Wire() as wire, wire.client(stack.url(), "auto") as client:
        await client.list_tools()  # the SDK would ask in the middle of the first call
        for number in range(5):
            expected = ALLOWED if number < BURST else LIMITED
            yield await call(stack, wire, client, "translate", {"text": f"call {number + 1}"}, expected)
        wait = wire.last_post.retry_after or "0"
        await asyncio.sleep(float(wait))
        yield await call(stack, wire, client, "translate", {"text": f"{wait} s later"}, ALLOWED)


async def fail_closed(stack: Stack) -> AsyncIterator[Observation]:
    """The call that passed, while guardsvc is down and after it is back."""
    async with Wire() as wire:
        stack.guardsvc.stop()
        yield await post(stack, wire, "a well-formed call, guardsvc is down", body(10), Expected(503))
        stack.guardsvc.start()
        stack.guardsvc.wait()
        yield await post(stack, wire, "a well-formed call, guardsvc is back", body(11), ALLOWED)


def _invalid(reason: str, *, status: int = 200) -> Expected:
    return Expected(status, -32600, reason)
