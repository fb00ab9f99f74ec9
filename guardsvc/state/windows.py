"""Windows: how much of a rate limit's window is used, asked through the strategies of the ``limits`` library."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from limits import RateLimitItem, parse
from limits.aio.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

if TYPE_CHECKING:
    from limits.aio.storage import MovingWindowSupport, SlidingWindowCounterSupport, Storage

__all__ = ["Strategy", "Windows", "parse_window"]

WINDOW = re.compile(r"\s*[0-9]{1,9}\s*(?:/|\bper\b)\s*(?:[0-9]{1,5}\s*)?(?:second|minute|hour|day)s?\s*")
TICK = 0.001
"""Seconds that a wait is rounded up by, so that a client who keeps to it is not refused by a hair's breadth."""


class Strategy(StrEnum):
    """How a window moves on; see https://limits.readthedocs.io/en/stable/strategies.html."""

    FIXED = "fixed_window"
    MOVING = "moving_window"
    SLIDING = "sliding_window"

    @property
    def counts_refusals(self) -> bool:
        """Whether taking from a window without room uses it up further."""
        return self is Strategy.FIXED


_LIMITERS: dict[Strategy, type[RateLimiter]] = {
    Strategy.FIXED: FixedWindowRateLimiter,
    Strategy.MOVING: MovingWindowRateLimiter,
    Strategy.SLIDING: SlidingWindowCounterRateLimiter,
}


def parse_window(text: str) -> RateLimitItem:
    """Read ``10/second``, ``100 per 5 minutes``.

    Raises:
        ValueError: it is not of that form, or allows nothing.
    """
    item = parse(text) if WINDOW.fullmatch(text) else None
    if item is None or item.amount < 1 or (re.search(r"(?:/|per)\s*0+\D", text) is not None):
        raise ValueError(f'"{text[:80]}" is not of the form 10/second, 100/minute or 500/2 hours, up to days')
    return item


class Windows:
    """The windows of one storage.

    Args:
        storage: where they are counted.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._limiters = {strategy: limiter(storage) for strategy, limiter in _LIMITERS.items()}

    async def has_room(self, strategy: Strategy, item: RateLimitItem, key: str, cost: int) -> bool:
        """Whether so much is left; nothing changes."""
        return await self._limiters[strategy].test(item, key, cost=cost)

    async def take(self, strategy: Strategy, item: RateLimitItem, key: str, cost: int) -> bool:
        """Take so much, and say whether it was left; see ``Strategy.counts_refusals``."""
        return await self._limiters[strategy].hit(item, key, cost=cost)

    async def wait(self, strategy: Strategy, item: RateLimitItem, key: str, cost: int, now: float) -> float:
        """Seconds until so much is left if nobody takes any meanwhile.

        Args:
            strategy: how the window moves on.
            item: the window.
            key: whose.
            cost: how much.
            now: the time on the storage's clock.
        """
        name, length = item.key_for(key), item.get_expiry()
        match strategy:
            case Strategy.FIXED:
                seconds = await self._storage.get_expiry(name) - now
            case Strategy.MOVING:
                moving = cast("MovingWindowSupport", self._storage)
                # The newest of those that must leave; with a cost of one it is the oldest of a full window.
                start, count = await moving.get_moving_window(name, item.amount - cost + 1, length)
                seconds = start + length - now if count else 0.0
            case Strategy.SLIDING:
                sliding = cast("SlidingWindowCounterSupport", self._storage)
                seconds = _sliding_wait(await sliding.get_sliding_window(name, length), item, cost)
        return max(seconds, 0.0) + TICK


def _sliding_wait(window: tuple[int, float, int, float], item: RateLimitItem, cost: int) -> float:
    """When the previous window's share has shrunk enough, or the current one has become the previous and shrunk."""
    previous, previous_left, current, current_left = window
    length = item.get_expiry()
    room = item.amount - cost + 1  # the weighted count must get below this
    if current < room:
        return previous_left - (room - current) * length / previous if previous else 0.0
    return current_left - length + length * (1 - room / current)
