"""Shared: the stores that one fact has open, by URL."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SharedStores"]

IDLE = 60.0
"""Seconds after which a store that nobody asks is closed, when another one is opened."""


class Store(Protocol):
    """A store behind a URL."""

    async def close(self) -> None:
        """End its connections."""


S = TypeVar("S", bound=Store)


class SharedStores(Generic[S]):
    """Opens stores where they are asked for, and closes those that no policy uses any more.

    Args:
        make: a store of a URL, not connected yet.
    """

    def __init__(self, make: Callable[[str], S]) -> None:
        self._make = make
        self._stores: dict[str, S] = {}
        self._used: dict[str, float] = {}

    async def get(self, url: str) -> S:
        """The store of a URL."""
        now = self._used[url] = time.monotonic()
        store = self._stores.get(url)
        if store is not None:
            return store
        store = self._stores[url] = self._make(url)
        for other in [other for other, used in self._used.items() if now - used > IDLE]:
            del self._used[other]
            await self._stores.pop(other).close()
        return store

    async def close(self) -> None:
        """Close all."""
        stores, self._stores = self._stores, {}
        self._used.clear()
        for store in stores.values():
            await store.close()
