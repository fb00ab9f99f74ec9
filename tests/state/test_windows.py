"""How windows are written, and how long to wait for room in them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.state import Strategy, parse_window
from guardsvc.state.memory import MemoryStorage
from guardsvc.state.windows import TICK, Windows
from tests.state.drawing import Clock


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [
        ("10/second", 10, 1),
        ("100/minute", 100, 60),
        ("100 per minute", 100, 60),
        ("7/2 hours", 7, 7200),
        ("7/10seconds", 7, 10),
        ("5000/day", 5000, 86_400),
    ],
)
def test_window(text: str, amount: int, seconds: int) -> None:
    item = parse_window(text)
    assert (item.amount, item.get_expiry()) == (amount, seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "/second",
        "0/second",
        "10/0 seconds",
        "-1/second",
        "1.5/second",
        "10/fortnight",
        "10/month",
        "10/second;5/minute",
        "10/second, 5/minute",
        "10 second",
        "10/Second",
        "1" * 10 + "/second",
    ],
)
def test_no_window(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form 10/second"):
        parse_window(text)


@given(
    strategy=st.sampled_from(Strategy),
    amount=st.integers(1, 6),
    history=st.lists(st.tuples(st.floats(0, 12), st.integers(1, 6)), max_size=12),
    cost=st.integers(1, 6),
)
def test_the_wait_is_right_to_the_millisecond(
    strategy: Strategy, amount: int, history: list[tuple[float, int]], cost: int
) -> None:
    asyncio.run(_check_wait(strategy, amount, history, min(cost, amount)))


async def _check_wait(strategy: Strategy, amount: int, history: list[tuple[float, int]], cost: int) -> None:
    clock, window = Clock(), parse_window(f"{amount}/10 seconds")
    windows = Windows(MemoryStorage(clock))
    for pause, taken in history:
        clock.now += pause
        if await windows.has_room(strategy, window, "key", taken):
            assert await windows.take(strategy, window, "key", taken)
    if await windows.has_room(strategy, window, "key", cost):
        return
    wait = await windows.wait(strategy, window, "key", cost, clock())
    assert 0 < wait <= 2 * window.get_expiry() + TICK
    now = clock.now
    clock.now = now + max(wait - 2 * TICK, 0)
    if wait > 2 * TICK:
        assert not await windows.has_room(strategy, window, "key", cost)
    clock.now = now + wait
    assert await windows.has_room(strategy, window, "key", cost)


@given(
    strategy=st.sampled_from([Strategy.MOVING, Strategy.FIXED, Strategy.SLIDING]),
    amount=st.integers(1, 8),
    pauses=st.lists(st.floats(0, 3), max_size=60),
)
def test_no_window_lets_pass_more_than_its_strategy_says(strategy: Strategy, amount: int, pauses: list[float]) -> None:
    asyncio.run(_check_rate(strategy, amount, pauses))


async def _check_rate(strategy: Strategy, amount: int, pauses: list[float]) -> None:
    clock, window = Clock(), parse_window(f"{amount}/10 seconds")
    windows = Windows(MemoryStorage(clock))
    passed: list[float] = []
    for pause in pauses:
        clock.now += pause
        if await windows.has_room(strategy, window, "key", 1):
            assert await windows.take(strategy, window, "key", 1)
            passed.append(clock.now)
    most = amount if strategy is Strategy.MOVING else 2 * amount
    for start in passed:
        assert sum(start <= moment < start + 10 for moment in passed) <= most
