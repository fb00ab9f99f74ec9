"""Sessions of harmless calls through Envoy and preset ``default``: none is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from mcp import MCPError

from deploy.demo.bootstrap import GUARDSVC
from deploy.demo.process import Process
from deploy.demo.services import McpServer
from deploy.demo.stack import Stack
from deploy.demo.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CALLS = 200
"""Calls of one session with a corpus."""

Call = tuple[str, dict[str, Any]]


class AnyToolServer(McpServer):
    """In place of the demo's server."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        command = ["-m", "tests.e2e.any_tool_server", *self._command[3:]]
        Process.__init__(self, "mcp_server", [self._command[0], *command], folder, {"PYTHONPATH": str(HERE.parents[1])})


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The shipped Envoy, preset ``default``, and a server that has any tool."""
    folder = tmp_path_factory.mktemp("usual")
    policy = folder / "policy.yaml"
    policy.write_text((HERE / "policies" / "default.yaml").read_text().replace("{folder}", str(folder)))
    stack = Stack({GUARDSVC: policy})
    stack.mcp_server = AnyToolServer(stack.folder)
    with stack:
        yield stack


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_everyday_calls_pass(usual: Stack, mode: str) -> None:
    calls: list[Call] = [(tool, arguments) for tool, arguments in yaml.safe_load((HERE / "harmless.yaml").read_text())]
    assert await refused(usual, calls, mode) == []


@pytest.mark.skipif("GUARDSVC_CORPUS" not in os.environ, reason="there is no corpus")
async def test_calls_of_real_agents_pass(usual: Stack) -> None:
    lines = (Path(os.environ["GUARDSVC_CORPUS"]) / "benign_args.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    # Evenly over the whole file, which is sorted by source.
    chosen = [rows[index * len(rows) // CALLS] for index in range(CALLS)] if len(rows) >= CALLS else rows
    assert await refused(usual, [(row["tool"], row["arguments"]) for row in chosen], "auto") == []


async def refused(stack: Stack, calls: list[Call], mode: str) -> list[str]:
    """The calls of one session that did not reach the server, with their reasons."""
    missing: list[str] = []
    async with Wire() as wire, wire.client(stack.url(), mode) as client:
        for tool, arguments in calls:
            try:
                result = await client.call_tool(tool, arguments)
            except MCPError as error:
                missing.append(f"{tool} {json.dumps(arguments)[:80]}: {error.error.data['reason']}")
                continue
            (content,) = result.content
            assert json.loads(content.text) == [tool, sorted(arguments)]  # type: ignore[union-attr]
    return missing
