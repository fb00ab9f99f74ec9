"""Shedding: counts calls that there is no room for, and says so once in a while: a line for each is a load too."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.observe.metrics import Metrics

__all__ = ["Shedding"]

log = structlog.get_logger(__name__)

SAY_EVERY = 10.0
"""Seconds between two lines of the log."""


class Shedding:
    """Is told of every call that is not read.

    Args:
        metrics: where to count.
        clock: seconds that never go back.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._untold: Counter[str] = Counter()
        self._told_at = -SAY_EVERY

    def __call__(self, limit: str) -> None:
        """Count a call that is beyond this limit."""
        self._metrics.shed.labels(limit).inc()
        self._untold[limit] += 1
        if self._clock() - self._told_at >= SAY_EVERY:
            self.say()

    def say_rest(self) -> None:
        """Say what has not been said, if there is anything and the last line is old enough."""
        if self._untold and self._clock() - self._told_at >= SAY_EVERY:
            self.say()

    def say(self) -> None:
        """Say how many calls were shed since the last line, by limit."""
        log.warning("overloaded", shed=dict(self._untold))
        self._untold.clear()
        self._told_at = self._clock()
