"""Catalogs that grow and change over time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.guards.native.catalog_anomaly import CatalogAnomaly, CatalogAnomalySettings
from guardsvc.model import (
    Caller,
    Decision,
    Deny,
    Direction,
    FactRequest,
    GatewayProtocol,
    GuardContext,
    Kind,
    Mode,
    Operation,
    Phase,
    ServerNames,
)
from guardsvc.state.listed import ListedNames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardsvc.model.decision import VerdictName

DAY = 86_400.0
CONTEXT = GuardContext(
    guard_id="g",
    servers=frozenset({"files", "mail"}),
    names={"files": ServerNames(tool_prefixes=("files_",)), "mail": ServerNames(tool_prefixes=("mail_",))},
)


class Bench:
    def __init__(self, **settings: Any) -> None:
        self.now = 1e9
        self.settings = CatalogAnomalySettings(**settings)
        self.guard = CatalogAnomaly(self.settings, CONTEXT)
        self.source = ListedNames(lambda: self.now, lambda: self.now)

    async def show(
        self,
        tools: Iterable[str],
        *,
        after: float = 0,
        text: str = "",
        servers: tuple[str, ...] = ("files",),
        learning: bool = True,
    ) -> list[str]:
        """The rules that a list breaks; it is learned unless it is refused."""
        self.now += after
        operation = Operation(
            protocol=GatewayProtocol.EXT_PROC,
            direction=Direction.RESPONSE,
            phase=Phase.TOOLS_LIST,
            kind=Kind.RESULT,
            method="tools/list",
            server=servers[0] if len(servers) == 1 else None,
            servers=servers,
            payload={"tools": [{"name": name, "description": text} for name in tools]},
            caller=Caller(tenant="acme", principal="ann", verified=True),
            learnable=True,
        )
        facts = {
            name: await self.source.fetch(FactRequest(operation=operation, guard="g", need=need))
            for name, need in self.guard.needs(operation).items()
        }
        verdict = self.guard.evaluate(operation, facts)
        stands: VerdictName = "deny" if isinstance(verdict, Deny) else "allow"
        decision = Decision(id="", operation=operation, verdict=stands, mode=Mode.ENFORCE)
        for need in self.guard.learns(decision, facts).values() if learning else ():
            await self.source.fetch(FactRequest(operation=operation, guard="g", need=need))
        return [finding.rule for finding in verdict.findings]


def names(count: int, start: int = 0) -> list[str]:
    return [f"tool_{index}" for index in range(start, start + count)]


async def test_a_catalog_that_doubles_in_a_day_is_told() -> None:
    bench = Bench()
    assert await bench.show(names(12)) == []
    assert await bench.show(names(12), after=10 * DAY) == []
    assert await bench.show(names(40), after=60) == ["count_spike", "churn"]
    assert (await bench.show(names(40), after=60))[0] == "count_spike"
    assert await bench.show(names(40), after=2 * DAY) == []


async def test_pages_of_the_first_minute_are_the_catalog() -> None:
    bench = Bench()
    for page in range(4):
        assert await bench.show(names(20, 20 * page), after=5) == []
    assert await bench.show(names(80), after=DAY) == []


@pytest.mark.parametrize("count", [9, 10])
async def test_few_new_tools_are_no_spike(count: int) -> None:
    bench = Bench()
    await bench.show(names(5))
    rules = await bench.show(names(5 + count), after=3 * DAY)
    assert rules == (["count_spike", "churn"] if count == 10 else [])


async def test_small_steps_add_up_in_the_window() -> None:
    bench = Bench()
    await bench.show(names(10))
    found = [await bench.show(names(10 + 3 * step), after=3600) for step in range(1, 6)]
    assert found[0] == []
    assert "count_spike" in found[-1]


async def test_changed_definitions_are_churn() -> None:
    bench = Bench(churn_min=5)
    await bench.show(names(12))
    assert await bench.show(names(12), after=DAY, text="other") == ["churn"]
    assert await bench.show(names(12), after=5, text="other") == ["churn"]
    assert await bench.show(names(12), after=2 * DAY, text="other") == []


async def test_what_is_refused_is_not_learned() -> None:
    bench = Bench(action="deny")
    await bench.show(names(5))
    for _ in range(3):
        assert await bench.show(names(50), after=2 * DAY) == ["count_spike", "churn"]
    assert await bench.show(names(5), after=1) == []


async def test_a_merged_list_is_of_each_server() -> None:
    bench = Bench()
    both = ("files", "mail")
    first = [*(f"files_{name}" for name in names(10)), "mail_send"]
    await bench.show(first, servers=both)
    assert await bench.show(names(10), after=DAY) == []  # what files shows by itself
    assert await bench.show([*first, *(f"mail_{name}" for name in names(15))], after=DAY, servers=both) == [
        "count_spike",
        "churn",
    ]


@pytest.mark.parametrize("seed", range(8))
async def test_what_is_remembered_of_a_list_is_what_a_guard_that_remembers_nothing_says(seed: int) -> None:
    chance = Random(seed)
    bench = Bench(churn_min=3, spike_min=3, spike_factor=1.2, window_s=600)
    found: set[str] = set()
    for _ in range(60):
        shown, text = names(chance.randrange(1, 4) * 4), chance.choice("ab")
        bench.now += chance.choice((0, 1, 30, 60, 300, 900))
        remembering, bench.guard = bench.guard, CatalogAnomaly(bench.settings, CONTEXT)
        expected = await bench.show(shown, text=text, learning=False)
        bench.guard = remembering
        assert await bench.show(shown, text=text, learning=chance.random() < 0.5) == expected
        found.update(expected)
    assert "churn" in found
