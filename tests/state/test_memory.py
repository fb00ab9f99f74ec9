"""Counters in memory: bounded, and gone when they have run out."""

from __future__ import annotations

import pytest
from limits.aio.storage import MemoryStorage as Reference

from guardsvc.state import Strategy, parse_window
from guardsvc.state.memory import SWEEP, MemoryStorage
from guardsvc.state.windows import Windows
from tests.state.drawing import Clock


async def take(storage: MemoryStorage, strategy: Strategy, key: str, window: str = "3/10 seconds") -> bool:
    return await Windows(storage).take(strategy, parse_window(window), key, 1)


@pytest.mark.parametrize("strategy", Strategy)
async def test_it_counts_as_the_librarys_own_does(strategy: Strategy) -> None:
    window = parse_window("3/hour")
    ours, theirs = Windows(MemoryStorage(Clock())), Windows(Reference())
    for cost in (1, 2, 1, 1):
        assert await ours.has_room(strategy, window, "k", cost) == await theirs.has_room(strategy, window, "k", cost)
        assert await ours.take(strategy, window, "k", cost) == await theirs.take(strategy, window, "k", cost)


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_window_has_room_again_once_it_has_passed(strategy: Strategy) -> None:
    clock = Clock()
    storage = MemoryStorage(clock)
    assert [await take(storage, strategy, "a") for _ in range(4)] == [True, True, True, False]
    clock.now += 20.001
    assert storage.void
    assert [await take(storage, strategy, "a") for _ in range(4)] == [True, True, True, False]
    assert not storage.void


@pytest.mark.parametrize("strategy", Strategy)
async def test_what_has_run_out_makes_room_a_few_at_a_time(strategy: Strategy) -> None:
    clock = Clock()
    storage = MemoryStorage(clock)
    for number in range(100):
        await take(storage, strategy, str(number))
    assert len(storage) == 100
    clock.now += 21
    await take(storage, strategy, "new")
    assert len(storage) == 101 - SWEEP
    for number in range(100):
        await take(storage, strategy, f"more {number}")
    assert len(storage) == 101


@pytest.mark.parametrize("strategy", Strategy)
async def test_what_is_used_stays_however_old_it_is(strategy: Strategy) -> None:
    clock = Clock()
    storage = MemoryStorage(clock)
    for number in range(200):
        clock.now += 0.5
        await take(storage, strategy, "old", "1000/10 seconds")
        await take(storage, strategy, str(number), "1/second")
    assert len(storage) < 30
    assert not await Windows(storage).has_room(strategy, parse_window("1000/10 seconds"), "old", 1000)


async def test_names_fit_while_there_is_room_for_them_or_they_are_there() -> None:
    clock = Clock()
    storage = MemoryStorage(clock)
    window = parse_window("3/10 seconds")
    for key in ("a", "b"):
        await take(storage, Strategy.SLIDING, key)
    assert storage.fits([window.key_for("a"), window.key_for("b")], 2)
    assert storage.fits([window.key_for("a"), window.key_for("c")], 3)
    assert not storage.fits([window.key_for("a"), window.key_for("c")], 2)
    clock.now += 21
    assert storage.fits([window.key_for("a"), window.key_for("c")], 2)


async def test_it_can_be_cleared() -> None:
    storage = MemoryStorage(Clock())
    window = parse_window("3/10 seconds")
    for strategy in Strategy:
        for _ in range(3):
            await take(storage, strategy, strategy)
    await storage.clear(window.key_for(Strategy.FIXED))
    await storage.clear_sliding_window(window.key_for(Strategy.SLIDING), 10)
    await storage.clear("nobody")
    rooms = [await Windows(storage).has_room(strategy, window, strategy, 3) for strategy in Strategy]
    assert rooms == [True, False, True]
    assert await storage.check()
    assert await storage.reset() == 3
    assert len(storage) == 0
