"""What was seen is known by digests: the verdict is the same, and none costs more the longer a list is."""

from __future__ import annotations

import pytest

from guardsvc.guards.native.digest_cache import DigestCache
from tests.guards.test_tool_poisoning import ATTACK, DEFAULT, RULES, guard, judge, listing, rules


def test_what_is_hashed_for_each_tool_does_not_grow_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    digest = DigestCache.digest

    def spy(cache: DigestCache[object], text: bytes, extra: bytes = b"") -> bytes:
        hashed.append(len(extra))
        return digest(cache, text, extra)

    monkeypatch.setattr(DigestCache, "digest", spy)
    tools = [{"name": f"r\u0435ad_thing_{number}", "inputSchema": {}} for number in range(500)]
    guard().evaluate(listing({"tools": tools}), {})
    assert len(hashed) >= 500
    assert max(hashed) <= 32


class TestCache:
    def test_same_verdict_again(self) -> None:
        cached = guard()
        tools = [{"name": "add", "description": ATTACK}, {"name": "subtract"}]
        first = judge(tools, cached)
        assert judge(tools, cached) == first
        assert judge(tools, guard(cache_entries=0)) == first

    def test_pointer_of_a_definition_that_moved(self) -> None:
        cached = guard()
        poisoned = {"name": "add", "description": ATTACK}
        judge([poisoned, {"name": "a"}], cached)
        verdict = judge([{"name": "a"}, poisoned], cached)
        assert {finding.where for finding in verdict.findings} == {"/tools/1/description"}

    def test_siblings_are_part_of_what_is_remembered(self) -> None:
        cached = guard()
        hit, miss = RULES["foreign_tool"]["hit"], RULES["foreign_tool"]["miss"]
        assert "foreign_tool" in rules(judge(hit, cached))
        assert "foreign_tool" not in rules(judge(miss, cached))
        assert "foreign_tool" in rules(judge(hit, cached))

    def test_list_of_several_servers_tells_nothing_of_siblings(self) -> None:
        merged = DEFAULT.evaluate(listing({"tools": RULES["foreign_tool"]["hit"]}, server=None), {})
        assert "foreign_tool" not in rules(merged)


def test_cache_is_bounded_and_forgets_the_oldest() -> None:
    cache: DigestCache[int] = DigestCache(2, b"")
    keys = [cache.digest(text) for text in (b"a", b"b", b"c")]
    cache.put(keys[0], 0)
    cache.put(keys[1], 1)
    assert cache.get(keys[0]) == 0
    cache.put(keys[2], 2)
    assert [cache.get(key) for key in keys] == [0, None, 2]
    assert len(cache) == 2


def test_digests_are_keyed() -> None:
    assert DigestCache[int](1, b"").digest(b"a") != DigestCache[int](1, b"").digest(b"a")
