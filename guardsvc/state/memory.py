"""Memory: rate counters of one process, bounded in number.

The ``limits`` library's own memory storage has no bound, and walks over all keys in a task that every hit
starts; this one looks at a few at a time.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

from limits.aio.storage import MovingWindowSupport, SlidingWindowCounterSupport, Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MemoryStorage"]

SWEEP = 8
"""How many counters that ran out are dropped at most whenever one is made, or would be."""


class _Counter:
    """One window of one key; nothing of it counts any more from ``ends`` on."""

    __slots__ = ("count", "ends", "hits", "index", "previous")

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.count = 0
        self.previous = 0
        self.index = 0
        self.hits = array("d")


class MemoryStorage(Storage, MovingWindowSupport, SlidingWindowCounterSupport):
    """A storage for the strategies of ``limits``. Nothing in it waits, so each call is atomic.

    All its times are on its own clock.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._counters: dict[str, _Counter] = {}
        self._ends: list[tuple[float, str]] = []  # a heap with one entry per counter, perhaps of a past end

    def __len__(self) -> int:
        return len(self._counters)

    def fits(self, names: Sequence[str], most: int) -> bool:
        """Whether there are counters of these names, or room for them among ``most``."""
        missing = sum(name not in self._counters for name in names)
        if missing:
            self._sweep()
        return not missing or len(self._counters) + missing <= most

    @property
    def void(self) -> bool:
        """Whether nothing that was counted counts any more."""
        now = self._clock()
        return all(counter.ends <= now for counter in self._counters.values())

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """There are none."""
        return ()

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Fixed window: it begins with the first that is counted."""
        now = self._clock()
        counter = self._made(key, now + expiry)
        if counter.ends <= now:
            counter.count, counter.ends = 0, now + expiry
        counter.count += amount
        return counter.count

    async def get(self, key: str) -> int:
        """Fixed window: the count."""
        counter = self._counters.get(key)
        return counter.count if counter is not None and counter.ends > self._clock() else 0

    async def get_expiry(self, key: str) -> float:
        """Fixed window: its end."""
        counter = self._counters.get(key)
        return self._clock() if counter is None else counter.ends

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Moving window: enter ``amount``, unless there are more than ``limit`` then."""
        now = self._clock()
        counter = self._counters.get(key)
        if counter is not None:
            del counter.hits[: bisect_left(counter.hits, now - expiry)]
        if (0 if counter is None else len(counter.hits)) + amount > limit:
            return False
        if counter is None:
            counter = self._made(key, now + expiry)
        counter.hits.extend([now] * amount)
        counter.ends = now + expiry
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Moving window: the time of the oldest entry and the number of entries, among the ``limit`` newest."""
        now = self._clock()
        counter = self._counters.get(key)
        hits = counter.hits if counter is not None else ()
        first = max(bisect_left(hits, now - expiry), len(hits) - limit)
        return (hits[first], len(hits) - first) if first < len(hits) else (now, 0)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Sliding window: count ``amount``, unless the weighted count is above ``limit`` then."""
        now = self._clock()
        previous, left, current, _ = self._sliding(key, now, expiry)
        if int(previous * left / expiry) + current + amount > limit:
            return False
        counter = self._made(key, 0.0)
        counter.previous, counter.count, counter.index = previous, current + amount, int(now // expiry)
        counter.ends = (counter.index + 2) * expiry
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Sliding window: count and remaining seconds, of the previous window and of the current."""
        return self._sliding(key, self._clock(), expiry)

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget the key."""
        del expiry
        await self.clear(key)

    async def clear(self, key: str) -> None:
        """Forget the key; its place is free once its window has run out."""
        if key in self._counters:
            self._counters[key] = _Counter(0.0)

    async def check(self) -> bool:
        """It is always there."""
        return True

    async def reset(self) -> int:
        """Forget everything."""
        count = len(self._counters)
        self._counters.clear()
        self._ends.clear()
        return count

    def _sliding(self, key: str, now: float, expiry: int) -> tuple[int, float, int, float]:
        left = expiry - now % expiry
        counter = self._counters.get(key)
        passed = -1 if counter is None else int(now // expiry) - counter.index
        if counter is None or passed not in (0, 1):
            return 0, 0.0, 0, left + expiry
        if passed:
            return counter.count, left, 0, left + expiry
        return counter.previous, left if counter.previous else 0.0, counter.count, left + expiry

    def _made(self, key: str, ends: float) -> _Counter:
        counter = self._counters.get(key)
        if counter is None:
            self._sweep()
            counter = self._counters[key] = _Counter(ends)
            heapq.heappush(self._ends, (ends, key))
        return counter

    def _sweep(self) -> None:
        now = self._clock()
        for _ in range(min(SWEEP, len(self._ends))):
            ends, key = self._ends[0]
            if ends > now:
                return
            still = self._counters[key].ends
            if still > now:
                heapq.heapreplace(self._ends, (still, key))
            else:
                heapq.heappop(self._ends)
                del self._counters[key]
