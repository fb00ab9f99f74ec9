"""Tables: named values in named scopes, the one thing that catalogs need of a store; and the memory of the process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["MemoryTables", "Tables"]

MAX_SCOPES = 4096
"""Scopes in memory; those that were written longest ago are dropped."""


class Tables(Protocol):
    """A store. A scope is a path of names; it lives until ``ttl`` after its last write, or for good.

    Every method raises GuardFailure with ``state_unavailable`` where the store does not answer in ``seconds``.
    """

    async def read(self, scope: str, fields: Iterable[str] | None, seconds: float) -> dict[str, bytes]:
        """The values of these fields that there are; of all fields where none are named."""

    async def write(self, scope: str, values: Mapping[str, bytes], seconds: float, ttl: float | None = None) -> None:
        """Set values."""

    async def add(self, scope: str, values: Mapping[str, bytes], seconds: float) -> None:
        """Set those that there are not yet; who comes first wins."""

    async def drop(self, scope: str, fields: Iterable[str], seconds: float) -> None:
        """Remove values."""

    async def scopes(self, prefix: str, seconds: float) -> list[str]:
        """The scopes that begin so, in order."""

    async def close(self) -> None:
        """End all connections."""


class _Scope:
    __slots__ = ("ends", "values")

    def __init__(self) -> None:
        self.ends: float | None = None
        self.values: dict[str, bytes] = {}


class MemoryTables:
    """Tables of one process.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._scopes: dict[str, _Scope] = {}

    async def read(self, scope: str, fields: Iterable[str] | None, seconds: float) -> dict[str, bytes]:
        """See ``Tables``."""
        del seconds
        found = self._find(scope)
        if found is None:
            return {}
        if fields is None:
            return dict(found.values)
        return {field: found.values[field] for field in fields if field in found.values}

    async def write(self, scope: str, values: Mapping[str, bytes], seconds: float, ttl: float | None = None) -> None:
        """See ``Tables``."""
        del seconds
        made = self._make(scope)
        made.values.update(values)
        made.ends = None if ttl is None else self._clock() + ttl

    async def add(self, scope: str, values: Mapping[str, bytes], seconds: float) -> None:
        """See ``Tables``."""
        del seconds
        made = self._make(scope)
        made.values = {**values, **made.values}

    async def drop(self, scope: str, fields: Iterable[str], seconds: float) -> None:
        """See ``Tables``."""
        del seconds
        found = self._find(scope)
        if found is None:
            return
        for field in fields:
            found.values.pop(field, None)
        if not found.values:
            del self._scopes[scope]

    async def scopes(self, prefix: str, seconds: float) -> list[str]:
        """See ``Tables``."""
        del seconds
        return sorted(scope for scope in list(self._scopes) if scope.startswith(prefix) and self._find(scope))

    async def close(self) -> None:
        """Forget everything."""
        self._scopes.clear()

    def _find(self, scope: str) -> _Scope | None:
        found = self._scopes.get(scope)
        if found is not None and found.ends is not None and found.ends <= self._clock():
            del self._scopes[scope]
            return None
        return found

    def _make(self, scope: str) -> _Scope:
        made = self._find(scope) or _Scope()
        self._scopes.pop(scope, None)
        while len(self._scopes) >= MAX_SCOPES:
            passing = (name for name, each in self._scopes.items() if each.ends is not None)
            del self._scopes[next(passing, next(iter(self._scopes)))]
        self._scopes[scope] = made
        return made
