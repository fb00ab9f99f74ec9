"""Timing: whether work grows with its size and no faster, told by what the thread takes of a processor."""

from __future__ import annotations

from time import thread_time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["assert_linear"]

TIMES = 8
LENIENT = 2.5
"""How much more than ``TIMES`` the larger may cost: caches hold less of it. Quadratic work costs ``TIMES`` more."""
NOISE_S = 0.005
ROUNDS = 3
ATTEMPTS = 4
"""Of which one must pass, as another process may take the caches at any time."""


def assert_linear(prepared: Callable[[int], Callable[[], object]], size: int) -> None:
    """Fail where work of ``size`` costs far more than ``TIMES`` that of a part of it.

    Args:
        prepared: what does the work of a size when it is called.
        size: of the larger work, which should take a hundredth of a second or more.
    """
    small, large = prepared(size // TIMES), prepared(size)
    told = []
    for _ in range(ATTEMPTS):
        little, much = _least(small), _least(large)
        if much <= LENIENT * TIMES * little + NOISE_S:
            return
        told.append(f"{little * 1e3:.1f} ms and {much * 1e3:.1f} ms")
    raise AssertionError(f"{TIMES} times the size: {'; '.join(told)}")


def _least(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begun = thread_time()
        work()
        best = min(best, thread_time() - begun)
    return best
