"""A list that was seen before is known again by one look, whoever asks, and as the list that it is."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from guardsvc.guards.native import list_digest
from guardsvc.guards.native.catalog_anomaly import CatalogAnomaly, CatalogAnomalySettings
from guardsvc.guards.native.digest_cache import MAX_BYTES, DigestCache
from guardsvc.guards.native.list_digest import RECENT_BYTES, Digests, digest_of_list
from guardsvc.guards.native.rug_pull import RugPull, RugPullSettings
from guardsvc.guards.native.tool_poisoning import ToolPoisoning, ToolPoisoningSettings
from guardsvc.guards.native.tool_shadowing import ToolShadowing, ToolShadowingSettings
from guardsvc.model import Caller, Direction, GatewayProtocol, GuardContext, Kind, Operation, Phase
from guardsvc.state.pins import PinKind

TOOLS = [{"name": "read", "description": "Reads a file."}, {"name": "write"}]


def listing(payload: Any, *servers: str, tenant: str = "acme", phase: Phase = Phase.TOOLS_LIST) -> Operation:
    return Operation(
        protocol=GatewayProtocol.EXT_PROC,
        direction=Direction.RESPONSE,
        phase=phase,
        kind=Kind.RESULT,
        method="tools/list",
        server=servers[0] if len(servers) == 1 else None,
        servers=servers,
        payload=json.loads(json.dumps(payload)),
        caller=Caller(tenant=tenant, principal="ann", verified=True),
    )


def test_the_same_list_has_the_same_digest() -> None:
    first = digest_of_list(listing({"tools": TOOLS}, "files"), PinKind.TOOL)
    assert digest_of_list(listing({"tools": TOOLS, "nextCursor": "2"}, "files"), PinKind.TOOL) == first
    other = digest_of_list(listing({"tools": TOOLS[:1]}, "files"), PinKind.TOOL)
    assert other != first
    assert digest_of_list(listing({"tools": TOOLS}, "files"), PinKind.TOOL) == first


def test_lists_of_other_servers_and_kinds_have_others() -> None:
    both = {"tools": TOOLS, "prompts": TOOLS}
    digests = {
        digest_of_list(listing(both, *servers), kind)
        for servers in (("files",), ("mail",), ("files", "mail"), ("mail", "files"), ())
        for kind in (PinKind.TOOL, PinKind.PROMPT)
    }
    assert len(digests) == 10


def test_guards_share_one_look_at_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    context = GuardContext(guard_id="g", servers=frozenset({"files"}))
    guards = (
        ToolPoisoning(ToolPoisoningSettings(), context),
        ToolShadowing(ToolShadowingSettings(), context),
        CatalogAnomaly(CatalogAnomalySettings(), context),
        RugPull(RugPullSettings(storage="memory"), context),
    )
    written: list[Any] = []

    def spy(value: Any) -> bytes:
        written.append(value)
        return msgspec.json.encode(value)

    monkeypatch.setattr(list_digest, "_encode", spy)
    monkeypatch.setattr(DigestCache, "digest", lambda *_: pytest.fail("a guard makes a digest of its own"))
    for _ in range(2):
        written.clear()
        operation = listing({"tools": TOOLS}, "files")
        for guard in guards:
            if not isinstance(guard, ToolPoisoning):
                guard.needs(operation)
            guard.evaluate(operation, {})
    assert written == [TOOLS]


def test_what_is_kept_of_lists_is_bounded() -> None:
    digests = Digests()
    for server in range(3 * RECENT_BYTES // 100_000):
        digests.of(PinKind.TOOL, (f"s{server}",), b"%d" % server + b"x" * 100_000)
    before = digests.size
    assert RECENT_BYTES // 2 < before <= RECENT_BYTES
    digests.of(PinKind.TOOL, ("long",), b"x" * 10_000_000)
    assert digests.size == before


def test_a_cache_is_bounded_by_what_its_values_take() -> None:
    cache: DigestCache[int] = DigestCache(10_000)
    keys = [cache.digest(b"%d" % number) for number in range(100)]
    for number, key in enumerate(keys):
        cache.put(key, number, MAX_BYTES // 10)
    assert [cache.get(key) for key in keys[-9:]] == [*range(91, 100)]
    assert cache.get(keys[90]) is None
    cache.put(keys[0], 0, MAX_BYTES // 2)
    assert cache.get(keys[0]) is None
    cache.put(keys[99], 7)
    assert (cache.get(keys[99]), len(cache)) == (7, 9)
