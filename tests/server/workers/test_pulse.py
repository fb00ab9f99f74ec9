"""The pulse of a worker's event loop, and time that counts as silence."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from guardsvc.server.workers import pulse
from guardsvc.server.workers.pulse import BEATS, PIPE_BYTES, RAREST, Pulse, beat, interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HANG_S = 0.25


class Made:
    """Time of the module that passes as it is slept away, and what happens meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[float], None]) -> None:
        self.now = 0.0
        self.sleeps = 0
        self._meanwhile = meanwhile
        monkeypatch.setattr(pulse, "time", self)
        monkeypatch.setattr(pulse, "asyncio", self)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps += 1
        self._meanwhile(self.now)


@pytest.fixture
def pipe() -> Iterator[tuple[Pulse, int]]:
    """The supervisor's end, and the worker's."""
    felt, beaten = os.pipe2(os.O_NONBLOCK)
    end = Pulse(felt)
    yield end, beaten
    end.close()
    os.close(beaten)


@pytest.mark.parametrize("hang_s", [0.5, 3.0, 10.0, 3600.0])
def test_several_beats_fall_into_the_limit(hang_s: float) -> None:
    assert interval(hang_s) <= RAREST
    assert interval(hang_s) * BEATS <= hang_s


async def test_it_stops_with_the_loop_and_not_before(pipe: tuple[Pulse, int], monkeypatch: pytest.MonkeyPatch) -> None:
    ends = 40 * HANG_S

    def turning(now: float) -> None:
        if now < ends:
            os.write(pipe[1], b".")

    made = Made(monkeypatch, turning)
    await pipe[0].stops(HANG_S)
    assert ends + HANG_S <= made.now + interval(HANG_S) <= ends + HANG_S + 3 * interval(HANG_S)


async def test_a_worker_that_never_beats_has_none(pipe: tuple[Pulse, int]) -> None:
    await asyncio.wait_for(pipe[0].stops(HANG_S), 30)


async def test_time_in_which_nobody_looked_does_not_count(
    pipe: tuple[Pulse, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[float] = []

    def standing(now: float) -> None:
        if made.sleeps == 1:
            made.now += 4 * HANG_S
        elif made.sleeps == 3:
            beats.append(now)
            os.write(pipe[1], b".")

    made = Made(monkeypatch, standing)
    await pipe[0].stops(HANG_S)
    assert beats
    assert made.now >= beats[0] + HANG_S - interval(HANG_S) / 2


async def test_it_beats_in_every_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, beaten = os.pipe2(os.O_NONBLOCK)
    felt: list[bytes] = []

    def count(now: float) -> None:
        felt.append(os.read(reading, PIPE_BYTES))
        if now > 4 * HANG_S:
            raise asyncio.CancelledError

    Made(monkeypatch, count)
    with pytest.raises(asyncio.CancelledError):
        await beat(beaten, HANG_S)
    os.close(reading)
    os.close(beaten)
    assert len(felt) >= 4 * BEATS
    assert set(felt) == {b"."}


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
    end, _ = pipe
    end.close()
    end.close()
    await asyncio.wait_for(end.stops(HANG_S), 30)
