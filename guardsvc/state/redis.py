"""Redis or Valkey: rate counters and sessions that several workers and replicas share."""

from __future__ import annotations

import asyncio
import time
from importlib.resources import files
from typing import TYPE_CHECKING, TypeVar

from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from guardsvc.model import ErrorKind, GuardFailure
from guardsvc.state.url import UrlError
from guardsvc.state.windows import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from limits import RateLimitItem

__all__ = ["RedisCounters", "connection_pool"]

T = TypeVar("T")

MAX_CONNECTIONS = 32
PREFIX = "guardsvc"
SHARE = 0.8
"""Part of the guard's time that the answer may take, so that the guard can still say what is missing."""
FAILURES = 3
"""After so many failures in a row nothing is asked for a while but one probe."""
PAUSE = 0.5
"""Seconds until the next probe."""
SCHEMES = {
    "redis://": "redis://",
    "rediss://": "rediss://",
    "valkey://": "redis://",
    "valkeys://": "rediss://",
    "unix://": "unix://",
}


class RedisCounters:
    """The counters behind one URL. Connections are made when they are needed.

    Args:
        url: ``redis://``, ``rediss://`` (TLS), ``valkey://``, ``valkeys://`` or ``unix://``.

    Attributes:
        storage: for the strategies of ``limits``.
        client: for everything else.

    Raises:
        UrlError: the URL cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._pool = connection_pool(url)
        self.storage = _Storage(self._pool)
        self.client = Redis(connection_pool=self._pool)
        self._take_all = self.client.register_script(files("guardsvc.state").joinpath("take_all.lua").read_text())
        self._failures = 0
        self._rests_until = 0.0

    async def ask(self, question: Callable[[], Coroutine[object, object, T]], seconds: float) -> T:
        """The answer to a question that uses the storage.

        Args:
            question: starts it.
            seconds: how long the guard may take.

        Raises:
            GuardFailure: ``state_unavailable``: there was no answer in time, or an error.
        """
        self._check_rest()
        try:
            async with asyncio.timeout(seconds * SHARE):
                answer = await question()
        except TimeoutError:
            raise self._failed(f"no answer within {seconds * SHARE * 1000:.0f} ms") from None
        except (StorageError, RedisError, OSError) as error:
            raise self._failed(str(getattr(error, "storage_error", error))) from error
        self._failures = 0
        return answer

    async def take_all(self, windows: Sequence[tuple[Strategy, RateLimitItem, str, int]]) -> list[int]:
        """Take of all windows, or of none where one has no room, in one step.

        Args:
            windows: of each its strategy, itself, whose it is, and how much is taken.

        Returns:
            The indexes of those without room.
        """
        keys: list[str] = []
        values: list[str | float] = [time.time()]
        for strategy, item, key, cost in windows:
            keys += self.storage.keys(strategy, item.key_for(key))
            values += (strategy.value, item.amount, item.get_expiry(), cost)
        lacking: list[int] = await self._take_all(keys, values)
        return [number - 1 for number in lacking]

    async def close(self) -> None:
        """End all connections."""
        await self._pool.disconnect()

    def _check_rest(self) -> None:
        if self._failures < FAILURES:
            return
        now = time.monotonic()
        if now < self._rests_until:
            raise GuardFailure(ErrorKind.STATE_UNAVAILABLE, "it failed a moment ago and is not asked yet")
        self._rests_until = now + PAUSE  # whoever gets here is the probe

    def _failed(self, why: str) -> GuardFailure:
        self._failures += 1
        self._rests_until = time.monotonic() + PAUSE
        return GuardFailure(ErrorKind.STATE_UNAVAILABLE, why[:200])


def connection_pool(url: str) -> BlockingConnectionPool:
    """The connections behind a URL, none of which is made yet.

    Raises:
        UrlError: the URL cannot be used.
    """
    scheme = next((known for known in SCHEMES if url.startswith(known)), None)
    if scheme is None:
        raise UrlError(f"the URL begins with none of {', '.join(SCHEMES)}")
    try:
        return BlockingConnectionPool.from_url(
            SCHEMES[scheme] + url.removeprefix(scheme),
            max_connections=MAX_CONNECTIONS,
            timeout=None,
            # Redis ends its connections when it restarts; one that was found dead is replaced at once.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            driver_info=None,  # telling Redis the name of the library costs a round trip
        )
    except (ValueError, TypeError) as error:
        raise UrlError("the URL has a part that cannot be read") from error


class _Storage(RedisStorage):
    """Knows the end of a window to the millisecond, where the library's rounds to a second."""

    def __init__(self, pool: BlockingConnectionPool) -> None:
        super().__init__(
            "async+redis://",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=PREFIX,
            connection_pool=pool,  # type: ignore[arg-type]  # passed on to redis.asyncio.Redis
        )
        self._client = Redis(connection_pool=pool)

    def keys(self, strategy: Strategy, key: str) -> tuple[str, str]:
        """The keys of a window: its own, and that of the window before it."""
        own, before = key, key
        if strategy is Strategy.SLIDING:
            own, before = self._current_window_key(key), self._previous_window_key(key)
        return self.bridge.prefixed_key(own), self.bridge.prefixed_key(before)

    async def get_expiry(self, key: str) -> float:
        """When the window ends, on the clock of ``time.time``."""
        left: int = await self._client.pttl(self.bridge.prefixed_key(key))
        return time.time() + max(left, 0) / 1000
