"""Work in turns: it sleeps between them, and only where somebody asked for it."""

from __future__ import annotations

import sys
import threading

import pytest

from guardsvc.config import turns
from guardsvc.config.turns import PAUSE, SWITCH, TURN, give_way, in_turns


class Clock:
    """A clock that only tests and sleeps move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(turns, "perf_counter", lambda: made.now)
    monkeypatch.setattr(turns, "sleep", made.sleep)
    return made


def steps(clock: Clock, count: int) -> int:
    for _ in range(count):
        clock.now += TURN / 3
        give_way()
    return count


def test_it_sleeps_whenever_a_turn_is_over(clock: Clock) -> None:
    assert in_turns(lambda: steps(clock, 12)) == 12
    assert clock.slept == [PAUSE] * 3


def test_nothing_sleeps_that_was_not_asked_to(clock: Clock) -> None:
    steps(clock, 12)
    assert clock.slept == []


def test_it_is_over_after_a_failure(clock: Clock) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_turns(fail)
    steps(clock, 12)
    assert clock.slept == []


def test_the_switch_interval_is_as_before_once_the_last_of_several_is_done() -> None:
    usual = sys.getswitchinterval()
    begun, may_end = threading.Event(), threading.Event()

    def longer() -> None:
        begun.set()
        may_end.wait()

    def shorter() -> float:
        thread.start()
        begun.wait()
        return sys.getswitchinterval()

    thread = threading.Thread(target=in_turns, args=(longer,))
    # The longer one begins within the shorter: what it met is no interval to go back to.
    assert in_turns(shorter) == pytest.approx(SWITCH)
    assert sys.getswitchinterval() == pytest.approx(SWITCH)
    may_end.set()
    thread.join()
    assert sys.getswitchinterval() == pytest.approx(usual)
