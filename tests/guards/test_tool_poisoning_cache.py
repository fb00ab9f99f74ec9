"""What was seen is known by digests, which cost no more for each tool the longer a list is."""

from __future__ import annotations

import pytest

from guardsvc.guards.native.digest_cache import DigestCache
from guardsvc.guards.native.tool_poisoning.guard import ToolPoisoning
from guardsvc.guards.native.tool_poisoning.settings import ToolPoisoningSettings
from guardsvc.model import Direction, GatewayProtocol, GuardContext, Kind, Operation, Phase


def test_what_is_hashed_for_each_tool_does_not_grow_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    digest = DigestCache.digest

    def spy(cache: DigestCache[object], text: bytes, extra: bytes = b"") -> bytes:
        hashed.append(len(extra))
        return digest(cache, text, extra)

    monkeypatch.setattr(DigestCache, "digest", spy)
    guard = ToolPoisoning(ToolPoisoningSettings(), GuardContext(guard_id="g"))
    tools = [{"name": f"r\u0435ad_thing_{number}", "inputSchema": {}} for number in range(500)]
    listed = Operation(
        protocol=GatewayProtocol.CLI,
        direction=Direction.RESPONSE,
        phase=Phase.TOOLS_LIST,
        kind=Kind.RESULT,
        method="tools/list",
        payload={"tools": tools},
    )
    guard.evaluate(listed, {})
    assert len(hashed) >= 500
    assert max(hashed) <= 32
