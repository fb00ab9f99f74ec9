"""What agentgateway leaves out of requests is nothing that the guards of the presets hold against a client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guardsvc.server.configuration import load_configuration
from guardsvc.state import Sources
from tests.gateways.ext_mcp.operations import HELLO
from tests.gateways.ext_mcp.test_replay import gateway

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
ASKED: dict[str, dict[str, Any]] = {
    "initialize": HELLO,
    "server/discover": {},
    "tools/list": {},
    "tools/call": {"name": "read_file", "arguments": {"q": "x"}},
    "prompts/list": {},
    "prompts/get": {"name": "greet"},
    "resources/list": {},
    "resources/read": {"uri": "note://1"},
    "ping": {},
}
SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
FIELDS = {"accept": "application/json, text/event-stream", "authorization": "Bearer 5f2c6d0e9a"}
ONLY = {"2025-11-25": {"server/discover"}, "2026-07-28": {"initialize", "ping"}}
"""Methods that a revision has not."""


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("preset", ["default", "strict"])
async def test_a_benign_session(preset: str, revision: str, tmp_path: Path) -> None:
    access = {
        "type": "access_list",
        "settings": {
            "unknown_server": "allow",
            "default": "deny",
            "rules": [{"action": "allow", "methods": [method]} for method in ASKED],
        },
    }
    settings = {
        "preset": preset,
        "responses": {"default": "allow"},
        "servers": {"files": {"tools": {"read_file": {"input_schema": SCHEMA}}}},
        "identity": {"require_verified": False},
        # Which URIs a server may be asked for is not what this is about.
        "guards": [access, {"type": "sandbox_escape", "enabled": False}],
    }
    file = tmp_path / "guardsvc.json"
    file.write_text(json.dumps({"policy": settings}))
    chain = load_configuration(file).policy
    told: dict[str, Any] = {}
    sources = Sources()
    async with gateway(chain, metadata={"source.principal": "ann"}, sources=sources.facts) as agentgateway:
        for method, given in ASKED.items():
            params, headers = given, {"mcp-protocol-version": revision, **FIELDS}
            if revision == "2026-07-28":
                params = {**given, "_meta": META}
                headers["mcp-method"] = method
                if name := params.get("name", params.get("uri")):
                    headers["mcp-name"] = name
            answer = await agentgateway.send(method, params, headers)
            told[method] = answer.data["reason"] if answer.data else answer.message or "passes"
    await sources.close()
    wanted = {method: "method_not_allowed" if method in ONLY[revision] else "passes" for method in ASKED}
    assert told == wanted
