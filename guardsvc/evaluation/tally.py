"""Tally: how many of each slice were flagged, with the interval that the number of rows allows to claim."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardsvc.evaluation.court import Flag

__all__ = ["REVIEW", "Miss", "Rate", "Tally", "wilson"]

_ORDER = ("all", "level", "kind", "tier", "servers", "hard", "not hard", "strong", "weak", "lines", "every", "attack")

Z = 1.959963984540054
"""Standard score of a two-sided interval of 95 %."""

REVIEW = ", review"
"""Ends the name of a slice in which any finding counts, not only a refusal."""


@dataclass(frozen=True)
class Rate:
    """How much of a slice was flagged.

    Attributes:
        low, high: ends of the 95 % Wilson interval.
    """

    file: str
    slice: str
    n: int
    flagged: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Miss:
    """A row that was judged wrongly.

    Attributes:
        line: of the file.
        wrong: ``missed`` where an attack was not refused; ``refused`` or ``noticed`` where harmless data was.
        what: the row in a few words.
        rules: that fired, as ``guard/rule``.
    """

    file: str
    line: int
    wrong: str
    what: str
    rules: tuple[str, ...]


class Tally:
    """Counts the rows of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._counts: dict[str, list[int]] = {}

    def count(self, slices: Iterable[str], flag: Flag) -> None:
        """Count one row in its slices, by refusal and by review."""
        for name in slices:
            for level, flagged in ((name, flag.denied), (name + REVIEW, flag.reviewed)):
                counts = self._counts.setdefault(level, [0, 0])
                counts[0] += 1
                counts[1] += flagged

    def rates(self) -> list[Rate]:
        """The slices, those by refusal first, of each kind by name."""
        return [self._rate(name, *self._counts[name]) for name in sorted(self._counts, key=_order)]

    def _rate(self, name: str, n: int, flagged: int) -> Rate:
        low, high = wilson(flagged, n)
        return Rate(self.file, name, n, flagged, flagged / n, low, high)


def _order(name: str) -> tuple[bool, int, str]:
    rank = next((rank for rank, start in enumerate(_ORDER) if name.startswith(start)), len(_ORDER))
    return name.endswith(REVIEW), rank, name


def wilson(flagged: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927)."""
    if not n:
        return 0.0, 1.0
    rate = flagged / n
    centre = rate + Z * Z / (2 * n)
    margin = Z * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    low = 0.0 if flagged == 0 else (centre - margin) / scale
    high = 1.0 if flagged == n else (centre + margin) / scale
    return low, high
