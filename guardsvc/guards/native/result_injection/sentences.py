"""Sentences: those of a part of a text, and which signals stand in which, looked for only where it may matter."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, TypeAlias

from guardsvc.guards.native.tool_poisoning.sentences import ends_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guardsvc.guards.native.tool_poisoning.combination import Combination
    from guardsvc.guards.native.tool_poisoning.reading import Automata

__all__ = ["Possible", "Sentences", "Stretch"]

LEAD = 256
"""Bytes before a sentence in which a phrase that ends in it may begin, or more."""

Pieces: TypeAlias = int
"""Some sentences of a part, as bits."""
Stretch: TypeAlias = tuple[int, int, int]
"""Where something may be: from one offset to another, and the signals that may be there."""


class Possible:
    """In which stretches something may be, as bits."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self.stretches = stretches
        self._of_groups: dict[int, int] = {}

    def group(self, group: int) -> int:
        """Those that may have a signal of a group."""
        found = self._of_groups.get(group)
        if found is None:
            found = 0
            for index, (_, _, signals) in enumerate(self.stretches):
                if signals & group:
                    found |= 1 << index
            self._of_groups[group] = found
        return found

    def combination(self, combination: Combination) -> int:
        """Those that may have a combination."""
        found = -1
        for group in combination.groups:
            found &= self.group(group)
        return found


class Sentences:
    """The sentences of a part, and which signals stand in which, as far as it was asked for.

    A signal stands in the sentence in which it ends.
    """

    def __init__(self, automata: Automata, data: bytes, possible: Possible) -> None:
        self._automata = automata
        self._data = data
        self._possible = possible
        self._ends = ends_of(data)
        self._all = (1 << len(self._ends)) - 1
        self._stretches = [self._between(start, end) for start, end, _ in possible.stretches]
        self._found: dict[int, Pieces] = {}
        self._open: dict[int, Pieces] = {}

    def content(self, index: int) -> str:
        """What a sentence says."""
        start = self._ends[index - 1] if index else 0
        return self._data[start : self._ends[index]].decode("utf-8", "replace").strip()

    def first(self, combination: Combination, stretches: int) -> int | None:
        """Where the first and narrowest window of neighbours in some stretches that has a combination begins."""
        span = combination.span
        gate, *others = combination.groups
        windows = _starts(self._having(gate, self._in_stretches(stretches)), span)
        for group in others:
            if not windows:
                return None
            windows &= self._windows(group, windows, span)
        if not windows:
            return None
        around = _covered(windows, span) & self._all
        absent = self._having(combination.absent, around, everywhere=True)
        having = [self._having(group, around) for group in combination.groups]
        for width in range(1, span + 1):
            held = ~_starts(absent, width)
            for found in having:
                held &= _starts(found, width)
            if held:
                return _lowest(held)
        return None

    def _windows(self, group: int, windows: Pieces, span: int) -> Pieces:
        """Which windows have a signal of a group; the others of it are not looked for where one is found."""
        found = _starts(self._known(group), span)
        rest = group & self._automata.searched
        while rest and (missing := windows & ~found):
            bit = rest & -rest
            rest ^= bit
            found |= _starts(self._having(bit, _covered(missing, span) & self._all), span)
        return found

    def _known(self, group: int) -> Pieces:
        """The sentences in which a signal of a group was found until now."""
        found = 0
        for bit, pieces in self._found.items():
            if bit & group:
                found |= pieces
        return found

    def _having(self, group: int, pieces: Pieces, *, everywhere: bool = False) -> Pieces:
        """Which of some sentences have a signal of a group.

        Args:
            group: signals.
            pieces: sentences.
            everywhere: whether a signal may be where none was allowed.
        """
        found = 0
        rest = group & self._automata.searched
        while rest:
            bit = rest & -rest
            rest ^= bit
            if bit not in self._open:
                self._open[bit] = self._all if everywhere else self._in_stretches(self._possible.group(bit))
            missing = pieces & self._open[bit]
            if missing:
                self._open[bit] ^= missing
                self._look(bit, self._automata.by_bit[bit], missing)
            found |= self._found.get(bit, 0)
        return found & pieces

    def _between(self, start: int, end: int) -> Pieces:
        """The sentences that have bytes between two offsets."""
        first = bisect_right(self._ends, start)
        last = bisect_right(self._ends, end - 1)
        return ((2 << last) - (1 << first)) & self._all

    def _in_stretches(self, which: int) -> Pieces:
        found = 0
        for index, pieces in enumerate(self._stretches):
            if which >> index & 1:
                found |= pieces
        return found

    def _look(self, bit: int, search: Callable[..., Any], pieces: Pieces) -> None:
        ends = self._ends
        hits = 0
        while pieces:
            low = pieces & -pieces
            first = low.bit_length() - 1
            after = pieces + low
            stop = (after & -after).bit_length() - 1
            pieces &= after
            begin = ends[first - 1] if first else 0
            if begin:
                lead = bisect_right(ends, begin - LEAD)
                begin = ends[lead - 1] if lead else 0
            end = ends[stop - 1]
            while begin < end and (match := search(self._data, begin, end)) is not None:
                piece = bisect_right(ends, match.end() - 1)
                hits |= 1 << piece
                begin = ends[piece]
        if hits:
            self._found[bit] = self._found.get(bit, 0) | hits


def _starts(pieces: Pieces, span: int) -> Pieces:
    """Where windows of so many sentences begin that have one of some sentences."""
    found = pieces
    for step in range(1, span):
        found |= pieces >> step
    return found


def _covered(windows: Pieces, span: int) -> Pieces:
    """The sentences in windows that begin with some."""
    found = windows
    for step in range(1, span):
        found |= windows << step
    return found


def _lowest(pieces: Pieces) -> int:
    return (pieces & -pieces).bit_length() - 1
