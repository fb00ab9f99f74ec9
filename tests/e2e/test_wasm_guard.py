"""A WASM guard between the SDK's client and a real server, through Envoy as shipped, and swapped while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mcp import MCPError
from mcp.types import CallToolResult, TextContent, Tool

from deploy.demo.wire import Wire
from tests.e2e.responding import EXT_AUTHZ, POISON, Responding, filters
from tests.e2e.telling_server import AS_JSON, TellingServer
from tests.e2e.test_request_guards import written
from tests.guards.wasm.test_service import denying, put
from tests.server.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.demo.bootstrap import Bootstrap

POLICY = Path(__file__).parent / "policies" / "wasm.yaml"
GUARD = Path(__file__).parents[2] / "wasm-guards" / "rust" / "forbidden_text.wasm"
READ = Tool(name="read", description="Reads a file.", input_schema={"type": "object"})
POISONED = READ.model_copy(update={"name": "add", "description": POISON})
ANSWER = TextContent(type="text", text="read")
POLICY_DENIAL = -32001
COUNTS = (
    'guardsvc_guard_evaluations_total{guard="forbidden",outcome="deny",tier="wasm"}',
    'guardsvc_denials_total{reason="_other"}',
)


def ask_patiently(bootstrap: Bootstrap) -> None:
    """A busy machine does not decide."""
    filters(bootstrap)[EXT_AUTHZ]["typed_config"]["grpc_service"]["timeout"] = "10s"


class Guarded(Responding):
    """Envoy, guardsvc with the component, and a real server."""

    def __init__(self, folder: Path) -> None:
        self.module = folder / "guard.wasm"
        put(self.module, GUARD.read_bytes())
        policy = folder / "policy.yaml"
        policy.write_text(POLICY.read_text().replace("{folder}", str(folder)))
        super().__init__(folder, policy, ask_patiently)
        self.telling = TellingServer()
        self.telling.tools = [READ]
        self.telling.answer = CallToolResult(content=[ANSWER])
        self.server = self.telling  # type: ignore[assignment]

    def swap(self, content: bytes) -> None:
        """Put another component in place, and wait until it is in force."""
        loaded = self._loaded()
        put(self.module, content)
        wait_until(lambda: self._loaded() > loaded, "the component is in force")

    def _loaded(self) -> int:
        return [event.get("event") for event in self.guardsvc.events()].count("policy_loaded")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with Guarded(tmp_path_factory.mktemp("wasm")) as started:
        yield started


async def refused(asked: Any) -> dict[str, Any]:
    """What the client is told of a refusal: its code, and the data of the error."""
    with pytest.raises(MCPError) as caught:
        await asked
    assert caught.value.code == POLICY_DENIAL
    data: dict[str, Any] = caught.value.error.data
    return data


async def test_a_call_is_refused_and_everybody_is_told(running: Guarded) -> None:
    counted = [running.metric(series) for series in COUNTS]
    async with Wire() as wire, wire.client(running.envoy.url(), "auto") as client:
        assert (await client.call_tool("read", {"path": "notes"})).content == [ANSWER]
        told = await refused(client.call_tool("read", {"path": "/etc/passwd"}))
        decision_id = wire.last_post.decision_id
    assert running.telling.called == ["read"]
    assert (told["reason"], told["decision_id"]) == ("forbidden_text", decision_id)

    record = written(running.folder / "audit.jsonl", decision_id)
    assert (record["verdict"], record["reason"], record["guard"]) == ("deny", "forbidden_text", "forbidden")
    (part,) = record["guards"]
    assert [finding["rule"] for finding in part["findings"]] == ["forbidden_text"]
    more = [number + 1 for number in counted]
    wait_until(lambda: [running.metric(series) for series in COUNTS] == more, "both are counted")


@pytest.mark.parametrize("path", ["", AS_JSON], ids=["events", "json"])
async def test_a_poisoned_list_is_refused(running: Guarded, path: str) -> None:
    async with Wire() as wire, wire.client(running.envoy.url() + path, "auto") as client:
        assert (await client.list_tools()).tools == [READ]
        running.telling.tools = [READ, POISONED]
        try:
            told = await refused(client.list_tools())
        finally:
            running.telling.tools = [READ]
    assert told["reason"] == "forbidden_text"
    assert "id_rsa" not in repr(told)


async def test_a_version_that_takes_the_place_of_another_decides_from_then_on(running: Guarded) -> None:
    process = running.guardsvc.pid
    async with Wire() as wire, wire.client(running.envoy.url(), "auto") as client:
        for _ in range(2):
            running.swap(denying("second_version"))
            told = await refused(client.call_tool("read", {"path": "notes"}))
            assert told["reason"] == "second_version"
            running.swap(GUARD.read_bytes())
            assert not (await client.call_tool("read", {"path": "notes"})).is_error
            told = await refused(client.call_tool("read", {"path": "/etc/passwd"}))
            assert told["reason"] == "forbidden_text"
    assert running.guardsvc.pid == process
    assert running.metric("guardsvc_policy_stale") == 0
