"""The threads of WASM guards, and the line before them."""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.pool import Job, Pool

if TYPE_CHECKING:
    from collections.abc import Callable


def job(guard: str, work: Callable[[], Any], *, tenant: str | None = None, seconds: float = 5.0) -> Job:
    return Job(guard, tenant, work, perf_counter() + seconds, lambda _job, _error: None)


async def begun(each: Job) -> None:
    while not each.started:  # noqa: ASYNC110  a thread begins it
        await asyncio.sleep(0.001)


async def test_results_and_what_is_raised_come_back() -> None:
    pool = Pool(threads=2, queue=8, nice=0)

    def fails() -> None:
        raise WasmFailure("trap")

    good, bad = job("g", lambda: threading.current_thread().name), job("g", fails)
    pool.submit(good)
    pool.submit(bad)

    assert (await good.future).startswith("wasm-")
    with pytest.raises(WasmFailure):
        await bad.future
    assert good.started
    assert good.waited >= 0


async def test_a_full_line_is_busy_and_nobody_takes_all_of_it() -> None:
    pool = Pool(threads=1, queue=8, nice=0)
    go = threading.Event()
    waiting = [job("running", go.wait)]
    pool.submit(waiting[0])
    await begun(waiting[0])

    def fill(guard: str) -> int:
        for number in range(20):
            each = job(guard, lambda: None)
            try:
                pool.submit(each)
            except WasmFailure as failure:
                return number if failure.name == "busy" else -1
            waiting.append(each)
        return 20

    assert [fill("a"), fill("b"), fill("c"), fill("d")] == [4, 2, 1, 1]
    assert fill("e") == 0
    go.set()
    await asyncio.gather(*(each.future for each in waiting))


async def test_guards_and_tenants_take_turns() -> None:
    pool = Pool(threads=1, queue=100, nice=0)
    go, order = threading.Event(), []
    jobs = [job("first", go.wait)]
    pool.submit(jobs[0])
    await begun(jobs[0])
    for guard, tenant in [("a", "x")] * 3 + [("a", "y")] + [("b", "x")] * 2:
        each = job(guard, lambda name=guard + tenant: order.append(name), tenant=tenant)  # type: ignore[misc]
        pool.submit(each)
        jobs.append(each)

    go.set()
    await asyncio.gather(*(each.future for each in jobs))

    assert order == ["ax", "bx", "ay", "bx", "ax", "ax"]


async def test_the_last_thread_is_for_those_that_have_none() -> None:
    pool = Pool(threads=2, queue=100, nice=0)
    go = threading.Event()
    slow = [job("slow", go.wait) for _ in range(4)]
    for each in slow:
        pool.submit(each)
    quick = job("quick", lambda: sum(each.started for each in slow))
    pool.submit(quick)

    assert await quick.future == 1
    go.set()
    await asyncio.gather(*(each.future for each in slow))


async def test_all_threads_are_used() -> None:
    pool = Pool(threads=4, queue=100, nice=0)
    together = threading.Barrier(4, timeout=10)
    jobs = [job(guard, together.wait) for guard in "abcd"]
    for each in jobs:
        pool.submit(each)
    assert sorted(await asyncio.gather(*(each.future for each in jobs))) == [0, 1, 2, 3]

    again = [job(guard, together.wait) for guard in "abcd"]
    for each in again:
        pool.submit(each)
    assert sorted(await asyncio.gather(*(each.future for each in again))) == [0, 1, 2, 3]


async def test_what_waited_too_long_or_was_given_up_is_not_begun() -> None:
    pool = Pool(threads=1, queue=100, nice=0)
    go = threading.Event()
    first, late, given_up, last = (
        job("g", go.wait),
        job("g", lambda: 1, seconds=0.0),
        job("g", lambda: 2),
        job("g", lambda: 3),
    )
    for each in (first, late, given_up, last):
        pool.submit(each)
    pool.cancel(given_up)
    go.set()

    assert await last.future == 3
    with pytest.raises(WasmFailure, match="queue"):
        await late.future
    assert not late.started
    assert not given_up.started
