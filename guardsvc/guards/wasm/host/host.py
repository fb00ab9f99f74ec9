"""Host: what the functions that a guest may call know and count, in the one call they belong to."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from guardsvc.guards.wasm.failures import WasmFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.guards.wasm.host.kv import TenantMemory
    from guardsvc.guards.wasm.http.calls import HttpCalls
    from guardsvc.guards.wasm.settings import LimitSettings

__all__ = ["HostCalls", "LogBudget", "current"]

log = structlog.get_logger("guardsvc.wasm")

R = TypeVar("R")

LEVELS = ("debug", "debug", "info", "warning", "error")
MOST_RESOURCES = 256
"""Things of the host that a guest may have at a time."""
MAX_LINE = 1024
LINES_A_SECOND = 50


class _Current(threading.local):
    calls: HostCalls | None = None


current = _Current()
"""The call that runs in this thread."""


class LogBudget:
    """How many lines of one guard are logged, over all its calls.

    Args:
        lines: in a second.
    """

    def __init__(self, lines: int = LINES_A_SECOND) -> None:
        self._lines = lines
        self._lock = threading.Lock()
        self._second = 0
        self._left = lines
        self._dropped = 0

    def take(self, wanted: int, dropped: int) -> tuple[int, int]:
        """Take lines of the budget.

        Args:
            wanted: how many there are.
            dropped: how many there are no more.

        Returns:
            How many may be logged, and how many were dropped since this was told last: 0 where it is not to be told.
        """
        with self._lock:
            told = 0
            second = int(monotonic())
            if second != self._second:
                self._second, self._left = second, self._lines
                told, self._dropped = self._dropped, 0
            granted = min(wanted, self._left)
            self._left -= granted
            self._dropped += dropped + wanted - granted
            return granted, told


class HostCalls:
    """What the host functions know and count during one call.

    Args:
        guard: id of the guard, for its log lines.
        limits: of the call.
        now: Unix milliseconds that ``get-time`` tells.
        metadata: what ``get-metadata`` tells.
        config: what ``get-config`` tells, JSON by key.
        memory: what ``kv`` works on, None where it is not granted.
        http: what ``http`` works on, None where it is not granted.
        budget: of the guard's log lines.
    """

    __slots__ = (
        "_budget",
        "_bytes",
        "_config",
        "_dropped",
        "_guard",
        "_http",
        "_left",
        "_limits",
        "_lines",
        "_memory",
        "_metadata",
        "_now",
        "_numbers",
        "_resources",
    )

    def __init__(  # noqa: PLR0913  all that a call needs
        self,
        guard: str,
        limits: LimitSettings,
        *,
        now: int = 0,
        metadata: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
        memory: TenantMemory | None = None,
        http: HttpCalls | None = None,
        budget: LogBudget | None = None,
    ) -> None:
        self._budget = budget or LogBudget()
        self._guard = guard
        self._limits = limits
        self._left = limits.host_calls
        self._now = now
        self._metadata = metadata or {}
        self._config = config or {}
        self._memory = memory
        self._http = http
        self._resources: dict[int, Any] = {}
        self._numbers = 0
        self._lines: list[tuple[int, str]] = []
        self._bytes = 0
        self._dropped = 0

    def count(self) -> None:
        """Count a call.

        Raises:
            WasmFailure: there were too many.
        """
        self._left -= 1
        if self._left < 0:
            raise WasmFailure("host_calls", f"more than {self._limits.host_calls}")

    def log(self, level: int, message: str) -> None:
        """Keep a line, within the bounds."""
        size = len(message.encode())
        if len(self._lines) >= self._limits.log_lines or self._bytes + size > self._limits.log_bytes:
            self._dropped += 1
            return
        self._bytes += size
        self._lines.append((level, message))

    def get_time(self) -> int:
        """When the call began."""
        return self._now

    def get_metadata(self, key: str) -> str | None:
        """A member of the metadata."""
        return self._metadata.get(key)

    def get_config(self, key: str) -> str | None:
        """A member of the settings."""
        return self._config.get(key)

    @property
    def memory(self) -> TenantMemory:
        """What ``kv`` works on."""
        if self._memory is None:
            raise WasmFailure("trap", "kv is not granted")
        return self._memory

    @property
    def http(self) -> HttpCalls:
        """What ``http`` works on."""
        if self._http is None:
            raise WasmFailure("trap", "http is not granted")
        return self._http

    def keep(self, told: object) -> int:
        """The number by which a guest knows a thing that is the host's.

        Raises:
            WasmFailure: it has too many.
        """
        if len(self._resources) >= MOST_RESOURCES:
            raise WasmFailure("host_calls", f"more than {MOST_RESOURCES} resources")
        self._numbers += 1
        self._resources[self._numbers] = told
        return self._numbers

    def resource(self, number: int, kind: type[R]) -> R:
        """The thing of a number.

        Raises:
            TypeError: it is of another kind.
            KeyError: it is no more.
        """
        found = self._resources[number]
        if not isinstance(found, kind):
            raise TypeError(f"{type(found).__name__} is given for another")
        return found

    def taken(self, number: int, kind: type[R]) -> R:
        """The thing of a number that the guest gives back."""
        found = self.resource(number, kind)
        self.drop(number)
        return found

    def drop(self, number: int) -> None:
        """The guest has a thing no more."""
        self._resources.pop(number, None)

    def end(self) -> None:
        """The call is over: nobody waits for its requests, and what it logged is told."""
        if self._http is not None:
            self._http.end()
        self._tell()

    def _tell(self) -> None:
        if not self._lines and not self._dropped:
            return
        granted, dropped = self._budget.take(len(self._lines), self._dropped)
        for level, message in self._lines[:granted]:
            text = "".join(character if character.isprintable() else " " for character in message[:MAX_LINE])
            getattr(log, LEVELS[min(level, len(LEVELS) - 1)])("wasm_guard_says", guard=self._guard, message=text)
        if dropped:
            log.warning("wasm_guard_log_dropped", guard=self._guard, lines=dropped)
