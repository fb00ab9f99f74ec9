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
PAUSE = 0.001
"""Seconds for the others."""


class _Turn(threading.local):
    ends: float | None = None


_turn = _Turn()


def in_turns(work: Callable[[], T]) -> T:
    """Do work that calls ``give_way`` now and then, in a thread that is not the event loop's."""
    _turn.ends = perf_counter() + TURN
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        return work()
    finally:
        sys.setswitchinterval(before)
        _turn.ends = None


def give_way() -> None:
    """Let other threads work if the turn of this one is over; of no effect where nothing is done ``in_turns``."""
    if _turn.ends is not None and perf_counter() > _turn.ends:
        sleep(PAUSE)
        _turn.ends = perf_counter() + TURN
