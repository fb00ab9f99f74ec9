"""A real MCP server, by the SDK, that shows the tools and gives the answers that a test puts into it."""

from __future__ import annotations

import socket
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from mcp import types
from mcp.server.lowlevel import Server
from starlette.applications import Starlette

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["AS_JSON", "DROPPING", "TellingServer"]

AS_JSON = "/json"
"""Path below ``/mcp`` where it answers in JSON; at ``/mcp`` itself in event streams."""
DROPPING = "/dropping"
"""Path of the same for a route of its own."""


class TellingServer:
    """Serves on a free port. A context manager.

    Attributes:
        tools: its list.
        answer: what every call is answered with.
        called: names of the tools that were called.
    """

    def __init__(self) -> None:
        self.tools: list[types.Tool] = []
        self.answer: types.CallToolResult | types.InputRequiredResult = types.CallToolResult(content=[])
        self.called: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        apps = [
            self._server().streamable_http_app(),
            self._server().streamable_http_app(streamable_http_path=f"/mcp{AS_JSON}", json_response=True),
            self._server().streamable_http_app(streamable_http_path=f"/mcp{DROPPING}"),
        ]

        @asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            async with AsyncExitStack() as running:
                for app in apps:
                    await running.enter_async_context(app.router.lifespan_context(app))
                yield

        both = Starlette(routes=[route for app in apps for route in app.routes], lifespan=lifespan)
        self._uvicorn = uvicorn.Server(uvicorn.Config(both, log_level="warning", timeout_graceful_shutdown=0))
        self._thread = threading.Thread(target=self._uvicorn.run, kwargs={"sockets": [self._listener]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(timeout=10)
        self._listener.close()

    def _server(self) -> Server[Any]:
        async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
            return types.ListToolsResult(tools=self.tools)

        async def call_tool(
            _context: Any, params: types.CallToolRequestParams
        ) -> types.CallToolResult | types.InputRequiredResult:
            self.called.append(params.name)
            return self.answer

        return Server("telling", on_list_tools=list_tools, on_call_tool=call_tool)
