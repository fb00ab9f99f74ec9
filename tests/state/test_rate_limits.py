"""Who draws on what, and what becomes of it; counters in memory."""

from __future__ import annotations

import logging

import pytest

from guardsvc.model import FactUse
from guardsvc.state import Exhausted, RateLimits, Sources, Store, Strategy
from guardsvc.state.rate_limits import RATE_LIMITS
from guardsvc.state.windows import TICK
from tests.state.drawing import Clock, draw, drawn, limit, passes


@pytest.mark.parametrize("strategy", Strategy)
async def test_all_windows_must_have_room_and_a_refusal_takes_of_none(strategy: Strategy) -> None:
    clock = Clock()
    limits = RateLimits(clock)
    calls = draw(limit("1/second", "3/hour", strategy=strategy))
    assert [await passes(limits, calls) for _ in range(5)] == [True, False, False, False, False]
    for _ in range(2):
        clock.now += 2.1
        assert await passes(limits, calls)
    clock.now += 2.1
    assert not await passes(limits, calls)


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_cost_that_does_not_fit_leaves_room_for_one_that_does(strategy: Strategy) -> None:
    limits, calls = RateLimits(Clock()), limit("5/hour", strategy=strategy)
    assert await passes(limits, draw(calls, cost=3))
    assert not await passes(limits, draw(calls, cost=3))
    assert await passes(limits, draw(calls, cost=2))
    assert not await passes(limits, draw(calls, cost=1))


async def test_the_wait_is_that_of_the_window_that_takes_longest() -> None:
    limits = RateLimits(Clock())
    mine = draw(limit("1/second", "1/minute", name="mine", strategy=Strategy.FIXED))
    ours = draw(limit("1/hour", name="ours", strategy=Strategy.FIXED))
    spare = draw(limit("9/second", name="spare"))
    await drawn(limits, mine, ours, spare)
    assert (await drawn(limits, mine, ours, spare)).exhausted == (
        Exhausted(limit="mine", retry_after=60 + TICK),
        Exhausted(limit="ours", retry_after=3600 + TICK),
    )


async def test_keys_limits_guards_and_strategies_are_counted_apart() -> None:
    limits, calls = RateLimits(Clock()), limit("1/hour")
    assert await passes(limits, draw(calls))
    assert not await passes(limits, draw(calls))
    assert await passes(limits, draw(calls, "bob"))
    assert await passes(limits, draw(limit("1/hour", name="others")))
    assert await passes(limits, draw(limit("1/hour", strategy=Strategy.FIXED)))
    assert await passes(limits, draw(calls), guard="another")


async def test_names_with_slashes_are_no_other_names() -> None:
    limits = RateLimits(Clock())
    store = Store(url=None)
    assert await passes(limits, draw(limit("1/hour", name="b/c")), guard="a", store=store)
    assert await passes(limits, draw(limit("1/hour", name="c")), guard="a/b", store=store)


async def test_shadow_counts_for_itself() -> None:
    limits, calls = RateLimits(Clock()), draw(limit("2/hour"))
    shadow = [await passes(limits, calls, use=FactUse.SHADOW) for _ in range(3)]
    assert shadow == [True, True, False]
    assert [await passes(limits, calls) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_dry_look_takes_nothing_and_sees_what_was_taken(strategy: Strategy) -> None:
    limits, calls = RateLimits(Clock()), draw(limit("1/hour", strategy=strategy))
    assert all([await passes(limits, calls, use=FactUse.DRY) for _ in range(5)])
    assert await passes(limits, calls)
    assert not await passes(limits, calls, use=FactUse.DRY)


async def test_keys_that_do_not_fit_are_counted_together(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    limits, calls, store = RateLimits(clock), limit("1/hour"), Store(max_keys=16)
    for number in range(16):
        assert await passes(limits, draw(calls, str(number)), store=store)
    with caplog.at_level(logging.WARNING):
        first = await drawn(limits, draw(calls, "one"), store=store)
        second = await drawn(limits, draw(calls, "two"), store=store)
    assert (first.exhausted, first.crowded) == ((), ("calls",))
    assert (len(second.exhausted), second.crowded) == (1, ("calls",))
    assert [record.getMessage() for record in caplog.records] == [
        "rate limit calls of applied/rate_limit has 16 keys already; further ones are counted together"
    ]
    assert not await passes(limits, draw(calls, "3"), store=store)
    clock.now += 7201
    assert (await drawn(limits, draw(calls, "one"), store=store)).crowded == ()


async def test_keys_with_an_address_do_not_crowd_out_the_others() -> None:
    limits, calls, store = RateLimits(Clock()), limit("1/hour"), Store(max_keys=16)
    for number in range(100):
        await drawn(limits, draw(calls, str(number), by_address=True), store=store)
    assert (await drawn(limits, draw(calls, "new", by_address=True), store=store)).crowded == ("calls",)
    assert (await drawn(limits, draw(calls), store=store)).crowded == ()


async def test_fewer_keys_after_a_reload_forget_nobody() -> None:
    limits, calls = RateLimits(Clock()), limit("1/hour")
    for number in range(32):
        await drawn(limits, draw(calls, str(number)), store=Store(max_keys=64))
    assert not await passes(limits, draw(calls, "31"), store=Store(max_keys=16))


async def test_sources_have_the_rate_limits_and_forget_when_they_are_closed() -> None:
    async with Sources() as sources:
        limits = sources.facts[RATE_LIMITS]
        assert isinstance(limits, RateLimits)
        assert await passes(limits, draw(limit("1/hour")))
        assert not await passes(limits, draw(limit("1/hour")))
    assert await passes(limits, draw(limit("1/hour")))


async def test_what_ran_out_of_a_guard_that_is_gone_is_dropped() -> None:
    clock = Clock()
    limits, calls = RateLimits(clock), draw(limit("1/second"))
    for number in range(50):
        clock.now += 3
        assert await passes(limits, calls, guard=str(number))
    assert len(limits._memory) == 1  # noqa: SLF001  nothing else shows it
