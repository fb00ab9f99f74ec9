"""Tally: counts of decisions in plain numbers, poured into the metrics several times a second.

A decision moves a dozen series, and a metric's own lock and, with workers, its file cost more for each of them
than most guards do.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from prometheus_client import Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import Counter

__all__ = ["POUR_WITHIN", "PouredHistogram", "Tally"]

POUR_WITHIN = 0.2
"""Seconds after which what was counted is in the metrics, at most."""


class PouredHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def pour(self, counts: Sequence[int], total: float) -> None:
        """Add observations.

        Args:
            counts: of each bucket, those above all bounds last.
            total: sum of the observations.
        """
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class _Observed:
    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0


class Tally:
    """What was counted since it was last poured.

    Args:
        bounds: upper bounds of every histogram's buckets but the last.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counted: dict[tuple[Counter, tuple[str, ...]], int] = {}
        self._observed: dict[tuple[PouredHistogram, tuple[str, ...]], _Observed] = {}
        self._timed: dict[tuple[Counter, PouredHistogram, tuple[str, ...]], _Observed] = {}
        self._timer: asyncio.TimerHandle | None = None

    def count(self, counter: Counter, labels: tuple[str, ...]) -> None:
        """Count one."""
        key = (counter, labels)
        self._counted[key] = self._counted.get(key, 0) + 1

    def observe(self, histogram: PouredHistogram, labels: tuple[str, ...], value: float) -> None:
        """Observe a value."""
        observed = self._observed.get((histogram, labels))
        if observed is None:
            observed = self._observed[histogram, labels] = _Observed(len(self._bounds) + 1)
        observed.counts[bisect_left(self._bounds, value)] += 1
        observed.total += value

    def count_timed(self, counter: Counter, histogram: PouredHistogram, labels: tuple[str, ...], value: float) -> None:
        """Count one, and observe its value under the first of the labels."""
        timed = self._timed.get((counter, histogram, labels))
        if timed is None:
            timed = self._timed[counter, histogram, labels] = _Observed(len(self._bounds) + 1)
        timed.counts[bisect_left(self._bounds, value)] += 1
        timed.total += value

    def pour_soon(self) -> None:
        """See to it that what was counted gets into the metrics: at once where no event loop runs."""
        if self._timer is not None:
            return
        try:
            self._timer = asyncio.get_running_loop().call_later(POUR_WITHIN, self.pour)
        except RuntimeError:
            self.pour()

    def pour(self) -> None:
        """Put what was counted into the metrics."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counted, self._counted = self._counted, {}
        observed, self._observed = self._observed, {}
        timed, self._timed = self._timed, {}
        for (counter, labels), count in counted.items():
            _child(counter, labels).inc(count)
        for (histogram, labels), series in observed.items():
            _child(histogram, labels).pour(series.counts, series.total)
        for (counter, histogram, labels), series in timed.items():
            _child(counter, labels).inc(sum(series.counts))
            _child(histogram, labels[:1]).pour(series.counts, series.total)


def _child(metric: Any, labels: tuple[str, ...]) -> Any:
    return metric.labels(*map(str, labels)) if labels else metric
