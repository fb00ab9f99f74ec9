"""A real MCP server, by the SDK, whose tools return what they are told to."""

from __future__ import annotations

import base64
import socket
import threading
from typing import Any, Self

import uvicorn
from mcp import types
from mcp.server.lowlevel import Server

__all__ = ["EchoingServer"]

TOOLS = [types.Tool(name=name, input_schema={"type": "object"}) for name in ("say", "structure", "embed", "fail")]


async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
    """The tools."""
    return types.ListToolsResult(tools=TOOLS)


async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    """Give back the hexadecimal text of the argument, so that nothing is seen of it on the way in."""
    text = bytes.fromhex((params.arguments or {})["hex"]).decode()
    said = types.TextContent(type="text", text=text)
    if params.name == "structure":
        done = types.TextContent(type="text", text="done")
        return types.CallToolResult(content=[done], structured_content={"rows": [{"note": text}]})
    if params.name == "embed":
        blob = base64.b64encode(text.encode()).decode()
        held = types.BlobResourceContents(uri="file:///notes", mime_type="text/plain", blob=blob)
        return types.CallToolResult(content=[types.EmbeddedResource(type="resource", resource=held)])
    return types.CallToolResult(content=[said], is_error=params.name == "fail")


class EchoingServer:
    """Serves on a free port, in event streams. A context manager."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        server: Server[Any] = Server("echo", on_list_tools=list_tools, on_call_tool=call_tool)
        app = server.streamable_http_app()
        self._uvicorn = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=0))
        self._thread = threading.Thread(target=self._uvicorn.run, kwargs={"sockets": [self._listener]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(timeout=10)
        self._listener.close()
