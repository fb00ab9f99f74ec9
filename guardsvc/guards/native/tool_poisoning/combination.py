"""Combinations: signals that must stand together, by name or by weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from guardsvc.model import Severity

if TYPE_CHECKING:
    from guardsvc.guards.native.tool_poisoning.reading import Reading

__all__ = ["Combination", "Weighing"]


_ROUNDING = 1e-6


class Combination(msgspec.Struct, frozen=True):
    """Signals that must stand together.

    Attributes:
        severity: of the finding.
        groups: masks; of each at least one bit must be set.
        absent: mask of bits that must not be set.
        span: over how many neighbouring sentences.
        needed: all bits that play a part.
        of_names: whether a name alone can have it.
    """

    severity: Severity
    groups: tuple[int, ...]
    absent: int
    span: int
    needed: int
    of_names: bool

    @property
    def gate(self) -> int:
        """Bits of which one must be there, those that are rarest in harmless texts."""
        return self.groups[0]

    def possible(self, mask: int) -> bool:
        """Whether a text with these signals can have the combination somewhere."""
        for group in self.groups:  # noqa: SIM110  a generator would cost more than what it yields
            if not mask & group:
                return False
        return True

    def holds(self, mask: int) -> bool:
        """Whether a window with these signals has the combination."""
        return not mask & self.absent and self.possible(mask)

    def is_in(self, reading: Reading) -> bool:
        """Whether a text has all that the combination needs, somewhere."""
        for group in self.groups:  # noqa: SIM110  as above
            if not reading.has(group):
                return False
        return True


class Weighing(msgspec.Struct, frozen=True):
    """Signals with weights, which together must reach a sum; of an aspect only the heaviest counts.

    It stands beside ``Combination`` and answers the same questions.

    Attributes:
        severity: of the finding.
        sum: to be reached.
        aspects: for each, its bits, and its signals with their weights, the heaviest first.
        against: signals that take from the sum, with what they take.
        span: over how many neighbouring sentences.
        needed: all bits that play a part.
        gate: bits of which one must be there, the heavy ones.
    """

    severity: Severity
    sum: float
    aspects: tuple[tuple[int, tuple[tuple[int, float], ...]], ...]
    against: tuple[tuple[int, float], ...]
    span: int
    needed: int
    gate: int
    absent: int
    of_names: bool = False

    def possible(self, mask: int) -> bool:
        """Whether a text with these signals can reach the sum somewhere."""
        return bool(mask & self.gate) and self._weigh(mask) >= self.sum

    def holds(self, mask: int) -> bool:
        """Whether a window with these signals reaches the sum."""
        if not mask & self.gate:
            return False
        weight = self._weigh(mask)
        return weight >= self.sum and weight - sum(less for bit, less in self.against if mask & bit) >= self.sum

    def is_in(self, reading: Reading) -> bool:
        """Whether a text has enough of the signals, somewhere."""
        open_sum = self._weigh(reading.upper)
        for bits, aspect in self.aspects:
            expected = 0.0
            if not bits & reading.upper:
                continue
            for bit, weight in aspect:
                if not bit & reading.upper:
                    continue
                expected = expected or weight
                if reading.has(bit):
                    open_sum += weight - expected
                    break
            else:
                open_sum -= expected
            if open_sum < self.sum - _ROUNDING:
                return False
        return True

    def _weigh(self, mask: int) -> float:
        weight = 0.0
        for bits, aspect in self.aspects:
            if mask & bits:
                for bit, heavy in aspect:
                    if mask & bit:
                        weight += heavy
                        break
        return weight
