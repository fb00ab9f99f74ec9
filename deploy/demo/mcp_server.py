"""A small MCP server over streamable HTTP that notes down every request as it came in.

Run as ``python -m deploy.demo.mcp_server RECORD``: RECORD gets one JSON object per request, and the first
line of standard output says where the server listens.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from mcp.server.mcpserver import MCPServer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RecordingApp", "mcp_server"]

FILES = {"README.md": "# Demo\nNothing to see here.", "notes.txt": "Envoy asks, guardsvc answers."}


def mcp_server() -> MCPServer:
    """The server: harmless tools, some that are not for everyone, a prompt and two resources."""
    server = MCPServer("demo", instructions="Read and search the files of the demo.", log_level="WARNING")

    @server.tool()
    def read_file(path: str) -> str:
        """Read a file."""
        return FILES.get(path, "no such file")

    @server.tool()
    def search(query: str, limit: int = 10) -> list[str]:
        """Search all files for a text."""
        return [name for name, text in FILES.items() if query.casefold() in text.casefold()][:limit]

    @server.tool(name="notes.add")
    def add_note(text: str) -> str:
        """Keep a note."""
        return f"kept {len(text)} characters"

    @server.tool()
    def translate(text: str) -> str:
        """Translate a text, which takes an expensive model."""
        return text[::-1]

    @server.tool()
    def delete_everything(confirm: bool = False) -> str:
        """Delete all files."""
        return f"deleted {len(FILES)} files" if confirm else "not confirmed"

    @server.prompt()
    def summarize(path: str) -> str:
        """Ask for a summary of a file."""
        return f"Summarize {path}."

    @server.resource("demo://documents/readme")
    def readme() -> str:
        """The README."""
        return FILES["README.md"]

    @server.resource("demo://secrets/token")
    def token() -> str:
        """What no agent should read."""
        return "demo-token"

    _add_tools_for_tenants(server)
    return server


def _add_tools_for_tenants(server: MCPServer) -> None:
    @server.tool()
    def refund(order: str) -> str:
        """Pay back what an order has cost."""
        return f"paid back {order}"

    @server.tool()
    def export_orders(order: str) -> str:
        """Write an order and all before it to a file."""
        return f"wrote everything up to {order}"


class RecordingApp:
    """An ASGI application around another that first writes each request down.

    Args:
        app: the application that answers.
        record: file to append to.
    """

    def __init__(self, app: ASGIApp, record: Path) -> None:
        self._app = app
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the request down, then hand it on with the same body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        self._write(scope, body)
        left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return left.pop() if left else await receive()

        await self._app(scope, replay, send)

    def _write(self, scope: Scope, body: bytes) -> None:
        request = {
            "method": scope["method"],
            "path": scope["raw_path"].decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            "body": base64.b64encode(body).decode(),
        }
        with self._record.open("a") as file:
            file.write(json.dumps(request) + "\n")


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    app = RecordingApp(mcp_server().streamable_http_app(), Path(sys.argv[1]))
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=0)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    _main()
