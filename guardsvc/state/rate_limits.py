"""Rate limits: the fact ``rate_limits``, whether an operation has room in its windows, taken once where it has."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec
from limits import RateLimitItem

from guardsvc.model import FactRequest, FactUse
from guardsvc.state.memory import MemoryStorage
from guardsvc.state.shared import SharedStores
from guardsvc.state.windows import Strategy, Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

__all__ = ["RATE_LIMITS", "Draw", "Exhausted", "Limit", "RateFact", "RateLimits", "RateNeed", "Store"]

log = logging.getLogger(__name__)

T = TypeVar("T")

RATE_LIMITS = "rate_limits"
"""Name of the fact."""

OVERFLOW = "others"
"""Stands for every key that there is no room for."""
WARN_EVERY = 60.0
"""Seconds between two warnings that keys no longer fit."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit as it is counted.

    Attributes:
        name: unique in its guard.
        strategy: how its windows move on.
        windows: all must have room.
    """

    name: str
    strategy: Strategy
    windows: tuple[RateLimitItem, ...]


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """Where a guard counts.

    Attributes:
        url: of Redis, or None for the memory of the process.
        max_keys: most counters of keys with an address in memory, and most of others.
    """

    url: str | None = None
    max_keys: int = 10_000

    def __repr__(self) -> str:
        """Without the URL, which may hold a password."""
        return f"Store({'memory' if self.url is None else 'redis'}, max_keys={self.max_keys})"


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    """What one operation takes of one limit.

    Attributes:
        limit: the limit.
        key: whose; bounded in length.
        cost: how much; at least one.
        by_address: whether a network address is part of the key. Anybody can come from many addresses, so
            in memory these keys have room of their own.
    """

    limit: Limit
    key: str
    cost: int = 1
    by_address: bool = False


class RateNeed(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard asks for: room in every window of every draw."""

    store: Store
    draws: tuple[Draw, ...]


class Exhausted(msgspec.Struct, frozen=True, kw_only=True):
    """A limit without room.

    Attributes:
        limit: its name.
        retry_after: seconds until it has room again if nobody takes any meanwhile.
    """

    limit: str
    retry_after: float


class RateFact(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it.

    Attributes:
        exhausted: the limits without room, in the order asked; empty where all had, and it was taken.
        crowded: limits whose keys no longer fit in memory, so that this one was counted with others.
    """

    exhausted: tuple[Exhausted, ...] = ()
    crowded: tuple[str, ...] = ()


ROOM = RateFact()


class RateLimits:
    """The source of the fact. Made for one event loop.

    Counters outlive policies: they belong to guard, limit and window, not to the object that asks. What
    nobody uses any more is closed when something else is opened.

    Args:
        clock: seconds that never go back, for counters in memory.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._memory: dict[str, _Memory] = {}
        self._redis = SharedStores(_Redis)

    async def fetch(self, request: FactRequest) -> RateFact:
        """Take what the operation needs of all its limits, or of none.

        Applied verdicts count in one place, recorded ones in another; a dry look takes nothing.

        Raises:
            GuardFailure: with ``state_unavailable`` where Redis does not answer.
        """
        need: RateNeed = request.need
        space = _space(request.guard, shadow=request.use is FactUse.SHADOW)
        consume = request.use is not FactUse.DRY
        if need.store.url is not None:
            redis = await self._redis.get(need.store.url)
            return await redis.take(need.draws, space, consume=consume, seconds=request.seconds)
        memory = self._memory.get(request.guard)
        if memory is None:
            self._memory = {guard: other for guard, other in self._memory.items() if not other.void}
            memory = self._memory[request.guard] = _Memory(self._clock)
        return await memory.take(need.draws, space, consume=consume, most=need.store.max_keys)

    async def close(self) -> None:
        """End all connections; counters in memory are gone."""
        self._memory.clear()
        await self._redis.close()


class _Ask(msgspec.Struct, frozen=True):
    """One window of one draw; ``key`` says everything but the window itself."""

    limit: Limit
    window: RateLimitItem
    key: str
    cost: int


class _Memory:
    """The counters of one guard."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._named = _MemoryPart(clock)
        self._addressed = _MemoryPart(clock)

    @property
    def void(self) -> bool:
        return self._named.storage.void and self._addressed.storage.void

    async def take(self, draws: Sequence[Draw], space: str, *, consume: bool, most: int) -> RateFact:
        crowded: list[str] = []
        asked: list[tuple[Windows, _Ask]] = []
        for draw in draws:
            part = self._addressed if draw.by_address else self._named
            key = _key(space, draw.limit, draw.key)
            if not part.fits(draw.limit, key, most):
                part.warn(space, draw.limit.name, most)
                crowded.append(draw.limit.name)
                key = _key(space, draw.limit, OVERFLOW)
            asked += ((part.windows, ask) for ask in _asks(draw, key))
        # Nothing here waits, so no other decision comes in between.
        lacking: list[tuple[Windows, _Ask]] = []
        if _must_look([ask for _, ask in asked], consume=consume):
            lacking = [(windows, ask) for windows, ask in asked if not await _has_room(windows, ask)]
        if not lacking and consume:
            lacking = [(windows, ask) for windows, ask in asked if not await _take(windows, ask)]
        if not lacking and not crowded:
            return ROOM
        waits = [await _wait(windows, ask, self._clock()) for windows, ask in lacking]
        return _fact([ask for _, ask in lacking], waits, crowded)


class _MemoryPart:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.storage = MemoryStorage(clock)
        self.windows = Windows(self.storage)
        self._warned = -WARN_EVERY

    def fits(self, limit: Limit, key: str, most: int) -> bool:
        if len(self.storage) + len(limit.windows) <= most:
            return True
        return self.storage.fits([window.key_for(key) for window in limit.windows], most)

    def warn(self, space: str, limit: str, most: int) -> None:
        if self._clock() - self._warned >= WARN_EVERY:
            self._warned = self._clock()
            log.warning(
                "rate limit %s of %s has %d keys already; further ones are counted together", limit, space, most
            )


class _Redis:
    """The counters behind one URL, of all guards."""

    def __init__(self, url: str) -> None:
        from guardsvc.state.redis import RedisCounters  # noqa: PLC0415  see guardsvc.state.url

        self._counters = RedisCounters(url)
        self._windows = Windows(self._counters.storage)

    async def take(self, draws: Sequence[Draw], space: str, *, consume: bool, seconds: float) -> RateFact:
        asks = [ask for draw in draws for ask in _asks(draw, _key(space, draw.limit, draw.key))]
        return await self._counters.ask(lambda: self._take(asks, consume=consume), seconds)

    async def close(self) -> None:
        await self._counters.close()

    async def _take(self, asks: Sequence[_Ask], *, consume: bool) -> RateFact:
        """Take of all windows or of none, in one step, so that decisions that race for the last room lose nothing."""
        if consume:
            wanted = [(ask.limit.strategy, ask.window, ask.key, ask.cost) for ask in asks]
            lacking = [asks[index] for index in await self._counters.take_all(wanted)]
        else:
            room = await _at_once([_has_room(self._windows, ask) for ask in asks])
            lacking = [ask for ask, has_room in zip(asks, room, strict=True) if not has_room]
        if not lacking:
            return ROOM
        now = time.time()
        return _fact(lacking, await _at_once([_wait(self._windows, ask, now) for ask in lacking]), ())


@lru_cache(maxsize=256)
def _space(guard: str, *, shadow: bool) -> str:
    return f"{'shadow' if shadow else 'applied'}/{quote(guard, safe='')}"


@lru_cache(maxsize=1024)
def _prefix(space: str, limit: str, strategy: Strategy) -> str:
    return f"{space}/{quote(limit, safe='[]')}/{strategy}/"


def _key(space: str, limit: Limit, key: str) -> str:
    return _prefix(space, limit.name, limit.strategy) + key


def _asks(draw: Draw, key: str) -> list[_Ask]:
    return [_Ask(draw.limit, window, key, draw.cost) for window in draw.limit.windows]


def _must_look(asks: Sequence[_Ask], *, consume: bool) -> bool:
    """Whether to look before taking: not at a single window that a refusal leaves as it is."""
    return not consume or len(asks) > 1 or asks[0].limit.strategy.counts_refusals


def _has_room(windows: Windows, ask: _Ask) -> Coroutine[Any, Any, bool]:
    return windows.has_room(ask.limit.strategy, ask.window, ask.key, ask.cost)


def _take(windows: Windows, ask: _Ask) -> Coroutine[Any, Any, bool]:
    return windows.take(ask.limit.strategy, ask.window, ask.key, ask.cost)


def _wait(windows: Windows, ask: _Ask, now: float) -> Coroutine[Any, Any, float]:
    return windows.wait(ask.limit.strategy, ask.window, ask.key, ask.cost, now)


def _fact(lacking: Sequence[_Ask], waits: Sequence[float], crowded: Sequence[str]) -> RateFact:
    """Per limit the longest wait among its windows."""
    longest: dict[str, float] = {}
    for ask, wait in zip(lacking, waits, strict=True):
        longest[ask.limit.name] = max(wait, longest.get(ask.limit.name, 0.0))
    exhausted = tuple(Exhausted(limit=name, retry_after=wait) for name, wait in longest.items())
    return RateFact(exhausted=exhausted, crowded=tuple(crowded))


async def _at_once(questions: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All answers, or the first error; nothing goes on in the background."""
    if len(questions) == 1:
        return [await questions[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(question) for question in questions]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]
