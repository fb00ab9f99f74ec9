from __future__ import annotations

import pytest

from guardsvc.guards.wasm.host.kv import KvError, Memory, TenantMemory
from guardsvc.guards.wasm.settings import KvSettings

SETTINGS = KvSettings(entries=3, bytes=1024, tenants=2)


def test_entries_and_bytes_are_bounded_and_the_oldest_gives_way() -> None:
    memory = TenantMemory(SETTINGS)
    for key in "abc":
        memory.set(key, "1", 0)
    assert memory.get("a") == "1"
    memory.set("d", "1", 0)
    assert [memory.get(key) for key in "abcd"] == ["1", None, "1", "1"]

    memory.set("large", "x" * 1000, 0)
    assert [memory.get(key) for key in ("a", "c", "d")].count("1") == 2 or memory.get("large") is not None
    with pytest.raises(KvError, match="too-large"):
        memory.set("larger", "x" * 1024, 0)
    with pytest.raises(KvError, match="too-large"):
        memory.set("k" * 1025, "", 0)
    memory.delete("large")
    assert memory.get("large") is None


def test_time_to_live() -> None:
    now = [0.0]
    memory = TenantMemory(SETTINGS, lambda: now[0])
    memory.set("a", "1", 500)
    assert memory.increment("n", 2, 500) == 2
    now[0] = 0.4
    assert memory.increment("n", 2, 500) == 4
    now[0] = 0.6
    assert memory.get("a") is None
    assert memory.increment("n", 1, 500) == 1


@pytest.mark.parametrize(("value", "by"), [("x", 1), (str(2**63 - 1), 1), (str(-(2**63)), -1)])
def test_what_is_no_number(value: str, by: int) -> None:
    memory = TenantMemory(SETTINGS)
    memory.set("n", value, 0)

    with pytest.raises(KvError, match="not-a-number"):
        memory.increment("n", by, 0)


def test_tenants_are_apart_and_bounded() -> None:
    memory = Memory(SETTINGS)
    memory.of("a").set("k", "1", 0)

    assert memory.of("b").get("k") is None
    assert memory.of("a").get("k") == "1"
    memory.of("c")
    assert memory.of("b").get("k") is None
    memory.of("d")
    assert memory.of("a").get("k") is None
