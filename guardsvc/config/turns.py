"""Turns: building a policy in a thread beside an event loop that must not wait for it.

A thread that computes gives up the interpreter's lock only ``sys.getswitchinterval()``, 5 ms, after another asks, and
grpc's part of a call gives the lock away several times: a build of 10 ms would hold up decisions for all of it. So
what builds works in short turns and sleeps between them.
"""

from __future__ import annotations

import sys
import threading
from time import perf_counter, sleep
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["give_way", "in_turns"]

T = TypeVar("T")

TURN = 0.00025
"""Seconds of work after which ``give_way`` does."""
SWITCH = 0.0001
"""Seconds after which the interpreter's lock is given up, while anything is done in turns."""
PAUSE = 0.004
"""Seconds for the others."""


class _Turn(threading.local):
    ends: float | None = None


_turn = _Turn()


class _Switching:
    """The interpreter's switch interval, short from the first that works in turns to the last.

    It is of the process, while several threads may work in turns at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._working = 0
        self._usual = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._working:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(SWITCH)
            self._working += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._working -= 1
            if not self._working:
                sys.setswitchinterval(self._usual)


_switching = _Switching()


def in_turns(work: Callable[[], T]) -> T:
    """Do work that calls ``give_way`` now and then, in a thread that is not the event loop's."""
    with _switching:
        _turn.ends = perf_counter() + TURN
        try:
            return work()
        finally:
            _turn.ends = None


def give_way() -> None:
    """Let other threads work if the turn of this one is over; of no effect where nothing is done ``in_turns``."""
    if _turn.ends is not None and perf_counter() > _turn.ends:
        sleep(PAUSE)
        _turn.ends = perf_counter() + TURN
