"""Reading: the signals of one piece of text, looked for only when a rule asks for them."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, TypeAlias

import re2

from guardsvc.guards.native.matcher import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from guardsvc.guards.native.tool_poisoning.pack import Signal

__all__ = ["Automata", "Reading"]


Search: TypeAlias = "Callable[..., Any]"


class Automata:
    """One automaton for each signal.

    Together they would have far more states than apart, and in a text that was never seen it is the new
    states that cost.
    """

    __slots__ = ("by_bit", "edged", "searched")

    def __init__(self, signals: Sequence[Signal]) -> None:
        options = re2.Options()
        options.never_capture = True
        self.by_bit = {signal.bit: re2.compile(signal.pattern, options).search for signal in signals if signal.pattern}
        self.searched = sum(self.by_bit)
        self.edged = sum(signal.bit for signal in signals if "^" in signal.pattern or "$" in signal.pattern)


class Reading:
    """Signals of a text as far as they were asked for.

    Args:
        automata: what finds them.
        text: the text, or its UTF-8.
        found: signals that it has for its place.
        upper: signals that it may have; the others are not looked for.
    """

    __slots__ = ("_automata", "_data", "_found", "_missing", "_open", "_searched", "_source")

    def __init__(self, automata: Automata, text: str | bytes, found: int, upper: int = -1) -> None:
        self._source = automata
        self._automata = automata.by_bit
        self._data = encode(text) if isinstance(text, str) else text
        self._found = found
        self._searched = automata.searched
        self._open = automata.searched & upper
        self._missing = ~upper

    def has(self, group: int) -> bool:
        """Whether the text has any signal of a group."""
        if self._found & group:
            return True
        rest = group & self._open
        while rest:
            bit = rest & -rest
            self._open ^= bit
            if self._automata[bit](self._data) is not None:
                self._found |= bit
                return True
            self._missing |= bit
            rest ^= bit
        return False

    def find(self, signals: int) -> int:
        """Which of some signals the text has."""
        found = 0
        while signals:
            bit = signals & -signals
            if self.has(bit):
                found |= bit
            signals ^= bit
        return found

    def allow(self, signals: int) -> None:
        """Take it that the text has these signals, whatever was found before."""
        self._found |= signals
        self._missing &= ~signals

    def exclude(self, signals: int) -> None:
        """Take it that the text has none of these signals."""
        self._open &= ~signals
        self._missing |= signals

    def assume(self, signals: int) -> None:
        """Take it that the text has those of these signals that it may have."""
        self._found |= signals & ~self._missing

    def searches(self, wanted: int) -> Iterator[tuple[int, Search]]:
        """What finds those of the wanted signals that the text may have."""
        rest = wanted & self._searched & ~self._missing
        while rest:
            bit = rest & -rest
            yield bit, self._automata[bit]
            rest ^= bit

    def within(self, part: bytes, found: int, signals: int) -> Reading:
        """A part of the text, which may have some of these signals and no others."""
        return Reading(self._source, part, found, signals & ~self._missing)

    def spread(self, ends: Sequence[int]) -> list[int]:
        """The signals of each piece of the text.

        Args:
            ends: offsets after which a piece ends.
        """
        masks = [self._found] * len(ends)
        for bit, search in self.searches(-1):
            found = search(self._data)
            while found is not None:
                piece = min(bisect_right(ends, found.end() - 1), len(ends) - 1)
                masks[piece] |= bit
                found = search(self._data, ends[piece]) if piece + 1 < len(ends) else None
        return masks

    @property
    def data(self) -> bytes:
        """The text as UTF-8."""
        return self._data

    @property
    def upper(self) -> int:
        """The signals that a part of the text may have, by what was found out."""
        return ~self._missing
