"""An MCP server that has whatever tool is called, and answers with the names of the arguments it got.

Run as ``python -m tests.e2e.any_tool_server RECORD``, as the demo's server.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from mcp import types
from mcp.server.lowlevel import Server

from deploy.demo.mcp_server import RecordingApp


async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
    """It would be a long list."""
    return types.ListToolsResult(tools=[])


async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    """Say that the call arrived."""
    told = json.dumps([params.name, sorted(params.arguments or {})])
    return types.CallToolResult(content=[types.TextContent(type="text", text=told)])


def main() -> None:
    """Serve on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    server: Server[Any] = Server("anything", on_list_tools=list_tools, on_call_tool=call_tool)
    app = RecordingApp(server.streamable_http_app(), Path(sys.argv[1]))
    uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=0)).run(sockets=[listener])


if __name__ == "__main__":
    main()
