"""Redis or Valkey: tables that replicas share, one hash for each scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.state.redis import RedisCounters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["RedisTables"]

PREFIX = "guardsvc/catalog/"


class RedisTables:
    """Tables behind a URL.

    Args:
        url: see ``RedisCounters``.
    """

    def __init__(self, url: str) -> None:
        self._redis = RedisCounters(url)

    async def read(self, scope: str, fields: Iterable[str] | None, seconds: float) -> dict[str, bytes]:
        """See ``Tables``."""
        client: Any = self._redis.client
        key = PREFIX + scope

        async def ask() -> dict[str, bytes]:
            if fields is None:
                found: dict[Any, Any] = await client.hgetall(key)
                return {_text(name): _bytes(value) for name, value in found.items()}
            names = list(fields)
            values: list[Any] = await client.hmget(key, names) if names else []
            return {name: _bytes(value) for name, value in zip(names, values, strict=True) if value is not None}

        return await self._redis.ask(ask, seconds)

    async def write(self, scope: str, values: Mapping[str, bytes], seconds: float, ttl: float | None = None) -> None:
        """See ``Tables``."""
        key = PREFIX + scope

        async def ask() -> None:
            async with self._redis.client.pipeline(transaction=True) as pipe:
                pipe.hset(key, mapping=dict(values))
                if ttl is not None:
                    pipe.pexpire(key, int(ttl * 1000))
                await pipe.execute()

        await self._redis.ask(ask, seconds)

    async def add(self, scope: str, values: Mapping[str, bytes], seconds: float) -> None:
        """See ``Tables``."""
        key = PREFIX + scope

        async def ask() -> None:
            async with self._redis.client.pipeline(transaction=True) as pipe:
                for name, value in values.items():
                    pipe.hsetnx(key, name, value)  # type: ignore[arg-type]  # bytes are sent as they are
                await pipe.execute()

        await self._redis.ask(ask, seconds)

    async def drop(self, scope: str, fields: Iterable[str], seconds: float) -> None:
        """See ``Tables``."""
        client: Any = self._redis.client
        key, names = PREFIX + scope, list(fields)

        async def ask() -> None:
            if names:
                await client.hdel(key, *names)

        await self._redis.ask(ask, seconds)

    async def scopes(self, prefix: str, seconds: float) -> list[str]:
        """See ``Tables``."""
        pattern = PREFIX + "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in prefix) + "*"

        async def ask() -> list[str]:
            found = [key async for key in self._redis.client.scan_iter(match=pattern, count=1000)]
            return sorted({_text(key).removeprefix(PREFIX) for key in found})

        return await self._redis.ask(ask, seconds)

    async def close(self) -> None:
        """End all connections."""
        await self._redis.close()


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
