"""MCP servers behind the gateway, which say what their caller asks them to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SAYS = {"fine": "fine", "bad": "this is BAD", "swap": "this is SWAP"}
"""What a server says, by a word that no guard of the tests minds."""


@dataclass
class Server:
    """A server with one tool, one prompt and one resource.

    Attributes:
        says: what its lists, instructions and completions say.
        override: the result of any method, where it is to be one of its own.
    """

    says: str = "fine"
    override: Any = None

    def answer(self, method: str, params: Any) -> Any:
        """The result of a request."""
        if self.override is not None:
            return self.override
        given = params or {}
        word = SAYS[(given.get("arguments") or {}).get("say", "fine")]
        text = SAYS[self.says]
        results: dict[str, Any] = {
            "initialize": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "serverInfo": {"name": "s", "version": "1"},
                "instructions": text,
            },
            "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {}, "instructions": text},
            "tools/list": {
                "tools": [{"name": "read_file", "description": text, "inputSchema": {"type": "object"}}],
            },
            "prompts/list": {"prompts": [{"name": "greet", "description": text}]},
            "resources/list": {"resources": [{"uri": "note://1", "name": "one", "description": text}]},
            "resources/templates/list": {
                "resourceTemplates": [{"uriTemplate": "note://{n}", "name": "n", "description": text}]
            },
            "tools/call": {"content": [{"type": "text", "text": word}], "isError": given.get("name") == "fail"},
            "prompts/get": {"messages": [{"role": "user", "content": {"type": "text", "text": word}}]},
            "resources/read": {"contents": [{"uri": "note://1", "text": SAYS[given.get("say", self.says)]}]},
            "completion/complete": {"completion": {"values": [text]}},
        }
        return results.get(method, {})
