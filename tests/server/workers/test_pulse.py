"""The pulse of a worker's event loop, and time that counts as silence."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from guardsvc.server.workers.pulse import BEATS, PIPE_BYTES, RAREST, Pulse, beat, interval

if TYPE_CHECKING:
    from collections.abc import Iterator

HANG_S = 0.25


@pytest.fixture
def pipe() -> Iterator[tuple[Pulse, int]]:
    """The supervisor's end, and the worker's."""
    felt, beaten = os.pipe2(os.O_NONBLOCK)
    pulse = Pulse(felt)
    yield pulse, beaten
    pulse.close()
    os.close(beaten)


@pytest.mark.parametrize("hang_s", [0.5, 3.0, 10.0, 3600.0])
def test_several_beats_fall_into_the_limit(hang_s: float) -> None:
    assert interval(hang_s) <= RAREST
    assert interval(hang_s) * BEATS <= hang_s


async def test_it_does_not_stop_while_the_loop_turns(pipe: tuple[Pulse, int]) -> None:
    pulse, beaten = pipe
    beating = asyncio.create_task(beat(beaten, HANG_S))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pulse.stops(HANG_S), 4 * HANG_S)
    beating.cancel()


async def test_it_stops_with_the_loop(pipe: tuple[Pulse, int]) -> None:
    pulse, beaten = pipe
    begun = time.monotonic()
    beating = asyncio.create_task(beat(beaten, HANG_S))
    await asyncio.sleep(HANG_S)
    beating.cancel()
    await asyncio.wait_for(pulse.stops(HANG_S), 30)
    assert time.monotonic() - begun >= 2 * HANG_S


async def test_a_worker_that_never_beats_has_none(pipe: tuple[Pulse, int]) -> None:
    await asyncio.wait_for(pipe[0].stops(HANG_S), 30)


async def test_time_in_which_nobody_looked_does_not_count(pipe: tuple[Pulse, int]) -> None:
    pulse, beaten = pipe
    waiting = asyncio.create_task(pulse.stops(HANG_S))
    await asyncio.sleep(0)
    time.sleep(4 * HANG_S)  # noqa: ASYNC251  the whole process stands still
    await asyncio.sleep(1.5 * interval(HANG_S))
    os.write(beaten, b".")
    await asyncio.sleep(1.5 * interval(HANG_S))
    assert not waiting.done()
    waiting.cancel()


async def test_a_full_pipe_holds_nobody_up(pipe: tuple[Pulse, int]) -> None:
    _, beaten = pipe
    os.write(beaten, bytes(PIPE_BYTES))
    with pytest.raises(BlockingIOError):
        os.write(beaten, b".")
    beating = asyncio.create_task(beat(beaten, HANG_S))
    await asyncio.sleep(HANG_S)
    assert not beating.done()
    beating.cancel()


async def test_closed_it_has_no_pulse(pipe: tuple[Pulse, int]) -> None:
    pulse, _ = pipe
    pulse.close()
    pulse.close()
    await asyncio.wait_for(pulse.stops(HANG_S), 30)
