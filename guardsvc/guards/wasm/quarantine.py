"""Quarantine: a guard that keeps failing is not asked for a while, longer each time.

Counted for each tenant apart, so that one who can make a guard fail takes it from nobody else; a guard that fails for
all of them, without an answer between, is not asked for any.
"""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from guardsvc.guards.wasm.failures import WasmFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.guards.wasm.settings import QuarantineSettings

__all__ = ["Quarantine"]

log = structlog.get_logger(__name__)

MOST_TENANTS = 1000
FACTOR = 2
"""How many times as many failures in a row it takes for all tenants together."""


class _Record:
    __slots__ = ("ends", "failures", "pause", "probing", "timeouts")

    def __init__(self) -> None:
        self.failures = 0
        self.timeouts = 0
        self.pause = 0.0
        self.ends = 0.0
        self.probing = False


class Quarantine:
    """Whether a guard may be asked. Used in one thread.

    Args:
        guard: its id.
        settings: when it is not.
        changed: is told of how many tenants cannot ask it, all of them counting as one.
        clock: seconds.
    """

    def __init__(
        self,
        guard: str,
        settings: QuarantineSettings,
        changed: Callable[[str, int], None] = lambda _guard, _tenants: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._guard = guard
        self._settings = settings
        self._changed = changed
        self._clock = clock
        self._all = _Record()
        self._tenants: OrderedDict[str | None, _Record] = OrderedDict()
        self._kept_out = 0

    def enter(self, tenant: str | None) -> None:
        """Ask whether the guard may be asked; where its time is over, one call may find out.

        Raises:
            WasmFailure: it may not.
        """
        record = self._tenants.get(tenant)
        records = [self._all] if record is None else [self._all, record]
        now = self._clock()
        for each in records:
            if each.pause and (each.probing or now < each.ends):
                raise WasmFailure("quarantined", f"after {each.failures} failures in a row")
        for each in records:
            each.probing = each.pause > 0

    def succeeded(self, tenant: str | None) -> None:
        """A call has ended with an answer."""
        if not self._all.failures and tenant not in self._tenants:
            return
        before = self._kept_out
        if self._all.failures:
            self._kept_out -= self._all.pause > 0
            self._all = _Record()
        self._forget(tenant)
        if self._kept_out != before:
            log.info("wasm_guard_released", guard=self._guard, tenant=tenant)
            self._changed(self._guard, self._kept_out)

    def is_on(self, tenant: str | None) -> bool:
        """Whether calls that wait already are not to be begun. May be asked in any thread."""
        record = self._tenants.get(tenant)
        now = self._clock()
        return now < self._all.ends or (record is not None and now < record.ends)

    def failed(self, tenant: str | None, *, timeout: bool = False) -> None:
        """A call has ended without an answer, by the guard's own fault.

        Args:
            tenant: whose call it was.
            timeout: whether it took all of its time.
        """
        before = self._kept_out
        record = self._tenants.setdefault(tenant, _Record())
        self._tenants.move_to_end(tenant)
        if len(self._tenants) > MOST_TENANTS:
            self._forget(next(iter(self._tenants)))
        self._count(record, 1, timeout=timeout)
        self._count(self._all, FACTOR, timeout=timeout)
        if self._kept_out != before:
            self._changed(self._guard, self._kept_out)

    def abandoned(self, tenant: str | None) -> None:
        """A call has ended without telling anything about the guard."""
        self._all.probing = False
        if (record := self._tenants.get(tenant)) is not None:
            record.probing = False

    def _count(self, record: _Record, factor: int, *, timeout: bool) -> None:
        record.failures += 1
        record.timeouts = record.timeouts + 1 if timeout else 0
        few = record.failures < self._settings.failures * factor and record.timeouts < self._settings.timeouts * factor
        if (few and not record.pause) or (record.pause and not record.probing):
            return
        record.probing = False
        self._kept_out += not record.pause
        record.pause = min(record.pause * 2 or self._settings.first_s, self._settings.longest_s)
        record.ends = self._clock() + record.pause
        log.warning("wasm_guard_quarantined", guard=self._guard, failures=record.failures, seconds=record.pause)

    def _forget(self, tenant: str | None) -> None:
        record = self._tenants.pop(tenant, None)
        self._kept_out -= record is not None and record.pause > 0
