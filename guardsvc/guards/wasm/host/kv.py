"""kv: what a guard remembers between calls where it is granted, bounded, and apart for each tenant."""

from __future__ import annotations

import threading
from collections import OrderedDict
from time import time
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.guards.wasm.settings import KvSettings

__all__ = ["KvError", "Memory", "TenantMemory"]

MAX_KEY = 1024
LOWEST, HIGHEST = -(2**63), 2**63 - 1


class KvError(Exception):
    """Refused; the text is the name of the error in the interface."""

    def __init__(self, name: Literal["too-large", "not-a-number"]) -> None:
        super().__init__(name)
        self.name = name


class _Entry(NamedTuple):
    value: str
    size: int
    ends: float


class TenantMemory:
    """What a guard remembers of one tenant.

    Args:
        settings: its bounds.
        clock: seconds since the epoch.
    """

    def __init__(self, settings: KvSettings, clock: Callable[[], float] = time) -> None:
        self._settings = settings
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        """The value of a key."""
        with self._lock:
            entry = self._standing(key)
            return None if entry is None else entry.value

    def set(self, key: str, value: str, ttl_ms: int) -> None:
        """Remember a value; the entries longest untouched make room.

        Raises:
            KvError: it fits no room.
        """
        with self._lock:
            self._put(key, value, self._clock() + ttl_ms / 1000 if ttl_ms else float("inf"))

    def delete(self, key: str) -> None:
        """Forget a key."""
        with self._lock:
            self._drop(key)

    def increment(self, key: str, by: int, ttl_ms: int) -> int:
        """Add to a number, which begins at 0.

        Raises:
            KvError: the value is no number of 64 bits.
        """
        with self._lock:
            entry = self._standing(key)
            try:
                total = int(entry.value if entry else "0") + by
            except ValueError:
                raise KvError("not-a-number") from None
            if not LOWEST <= total <= HIGHEST:
                raise KvError("not-a-number")
            fresh = self._clock() + ttl_ms / 1000 if ttl_ms else float("inf")
            self._put(key, str(total), entry.ends if entry else fresh)
            return total

    def _standing(self, key: str) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.ends <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def _put(self, key: str, value: str, ends: float) -> None:
        size = len(key.encode()) + len(value.encode())
        if len(key) > MAX_KEY or size > self._settings.bytes:
            raise KvError("too-large")
        self._drop(key)
        while self._entries and (
            len(self._entries) >= self._settings.entries or self._bytes + size > self._settings.bytes
        ):
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.size
        self._entries[key] = _Entry(value, size, ends)
        self._bytes += size

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size


class Memory:
    """What one guard remembers, of each tenant apart.

    Args:
        settings: its bounds.
    """

    def __init__(self, settings: KvSettings) -> None:
        self._settings = settings
        self._tenants: OrderedDict[str | None, TenantMemory] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, tenant: str | None) -> TenantMemory:
        """What is remembered of a tenant; None is whoever has no tenant."""
        with self._lock:
            memory = self._tenants.get(tenant)
            if memory is None:
                if len(self._tenants) >= self._settings.tenants:
                    self._tenants.popitem(last=False)
                memory = self._tenants[tenant] = TenantMemory(self._settings)
            self._tenants.move_to_end(tenant)
            return memory
