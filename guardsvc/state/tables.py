"""Tables: named values in named scopes, the one thing that catalogs need of a store; and the memory of the process."""

from __future__ import annotations

import time
from sys import getsizeof
from typing import TYPE_CHECKING, Protocol

from guardsvc.model import ErrorKind, GuardFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["MAX_BYTES", "MemoryTables", "Tables"]

MAX_SCOPES = 4096
"""Scopes in memory; those that were written longest ago are dropped."""
MAX_BYTES = 128 << 20
"""Bytes of memory that names and values take. Scopes that end anyway make room; beyond that nothing new is taken, since
to forget what is pinned would be to trust whatever comes next."""
_VALUE = 96
"""What a value takes beside the objects of its name and its bytes: its place among others, and what is rounded up."""
_SCOPE = 512
"""The same of a scope."""


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
    __slots__ = ("ends", "size", "values")

    def __init__(self) -> None:
        self.ends: float | None = None
        self.size = 0
        self.values: dict[str, bytes] = {}


class MemoryTables:
    """Tables of one process.

    Args:
        clock: seconds that never go back.
        max_bytes: bytes of memory that it takes at most.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._bytes = 0
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
        self._set(scope, made, values)
        made.ends = None if ttl is None else self._clock() + ttl

    async def add(self, scope: str, values: Mapping[str, bytes], seconds: float) -> None:
        """See ``Tables``."""
        del seconds
        made = self._make(scope)
        self._set(scope, made, {field: value for field, value in values.items() if field not in made.values})

    async def drop(self, scope: str, fields: Iterable[str], seconds: float) -> None:
        """See ``Tables``."""
        del seconds
        found = self._find(scope)
        if found is None:
            return
        for field in fields:
            value = found.values.pop(field, None)
            if value is not None:
                self._resize(found, -_weight(field, value))
        if not found.values:
            self._remove(scope)

    async def scopes(self, prefix: str, seconds: float) -> list[str]:
        """See ``Tables``."""
        del seconds
        return sorted(scope for scope in list(self._scopes) if scope.startswith(prefix) and self._find(scope))

    async def close(self) -> None:
        """Forget everything."""
        self._scopes.clear()
        self._bytes = 0

    def _find(self, scope: str) -> _Scope | None:
        found = self._scopes.get(scope)
        if found is not None and found.ends is not None and found.ends <= self._clock():
            self._remove(scope)
            return None
        return found

    def _make(self, scope: str) -> _Scope:
        made = self._find(scope)
        if made is None:
            made = _Scope()
            self._resize(made, _SCOPE + getsizeof(scope))
        self._scopes.pop(scope, None)
        while len(self._scopes) >= MAX_SCOPES:
            self._remove(self._passing() or next(iter(self._scopes)))
        self._scopes[scope] = made
        return made

    def _set(self, name: str, scope: _Scope, values: Mapping[str, bytes]) -> None:
        before = scope.values
        grows = sum(
            len(value) - len(before[field]) if field in before else _weight(field, value)
            for field, value in values.items()
        )
        while self._bytes + grows > self._max_bytes and (passing := self._passing(scope)) is not None:
            self._remove(passing)
        if grows > 0 and self._bytes + grows > self._max_bytes:
            if not before:
                self._remove(name)
            raise GuardFailure(ErrorKind.STATE_UNAVAILABLE, f"memory: more than {self._max_bytes} bytes are kept")
        scope.values.update(values)
        self._resize(scope, grows)

    def _passing(self, but: _Scope | None = None) -> str | None:
        """The scope that was written longest ago among those that end anyway."""
        return next((name for name, each in self._scopes.items() if each.ends is not None and each is not but), None)

    def _remove(self, scope: str) -> None:
        self._bytes -= self._scopes.pop(scope).size

    def _resize(self, scope: _Scope, more: int) -> None:
        scope.size += more
        self._bytes += more


def _weight(field: str, value: bytes) -> int:
    return getsizeof(field) + getsizeof(value) + _VALUE
