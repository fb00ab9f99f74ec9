"""Page: the texts of one definition in a row, so that a signal is looked for once in all of them."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

import re2

from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.tool_poisoning.reading import Automata, Reading
from guardsvc.guards.native.tool_poisoning.sentences import ends_of
from guardsvc.guards.native.tool_poisoning.texts import Place, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardsvc.guards.native.tool_poisoning.combination import Combination, Weighing
    from guardsvc.guards.native.tool_poisoning.filter import Candidate

__all__ = ["BREAK", "SEPARATED", "Page", "Pieces"]

BREAK = b"\n\0\n"
"""Between two texts: no phrase reaches over it, and what must stand at a text's edge stands beside a blank."""


SEPARATED = str.maketrans("_.-", "   ")
MAX_CHAINS = 64
"""Chains of words in one text that are read as sentences, too."""
_HAS_CHAIN = re2.compile(r"(?:[A-Za-z]+[_.-]){4}[A-Za-z]")
_CHAIN = re.compile(r"(?<![\w.-])(?:[A-Za-z]++[_.-]){4,}+[A-Za-z]++")


class Page:
    """Texts in a row.

    Args:
        texts: the texts.
        places: for each, the signals that it has for its place.
        automata: what finds the others.
        upper: signals that the texts may have.
        chained: whether some texts have words joined by other signs than blanks.
    """

    def __init__(
        self, texts: Sequence[Text], places: Sequence[int], automata: Automata, upper: int, *, chained: bool
    ) -> None:
        self._texts = texts
        self._places = places
        chained = chained and _HAS_CHAIN.search(b"\n".join(encode(text.content) for text in texts)) is not None
        self._parts = [encode(_as_words(text, chained=chained)) for text in texts]
        everywhere = 0
        for place in places:
            everywhere |= place
        self._reading = Reading(automata, BREAK.join(self._parts), everywhere, upper)

    def judge(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Pieces, list[Candidate]]]:
        """The texts that may have some combinations, in pieces, each with its combinations."""
        gates = 0
        for combination, _ in candidates:
            gates |= combination.gate
        for text, part, place, mask in zip(self._texts, self._parts, self._places, self._by_text(gates), strict=True):
            if not mask & gates:
                continue
            named = text.place is Place.NAME
            held = [each for each in candidates if mask & each[0].gate and (each[0].of_names or not named)]
            needed = 0
            for combination, _ in held:
                needed |= combination.needed
            reading = self._reading.within(part, place, needed & (mask | ~gates))
            held = [candidate for candidate in held if candidate[0].is_in(reading)]
            if held:
                yield Pieces(text, part, self._reading.within(part, place, needed)), held

    def _by_text(self, wanted: int) -> list[int]:
        ends = list(accumulate(len(part) + len(BREAK) for part in self._parts))
        masks = list(self._places)
        data = self._reading.data
        for bit, search in self._reading.searches(wanted):
            found = search(data)
            while found is not None:
                index = bisect_right(ends, found.end() - 1)
                masks[index] |= bit
                found = search(data, ends[index]) if index + 1 < len(ends) else None
        return masks


class Pieces:
    """One text in pieces about as long as a sentence, and the signals of each.

    Attributes:
        text: the text.
    """

    def __init__(self, text: Text, data: bytes, reading: Reading) -> None:
        self.text = text
        self._data = data
        self._ends = [len(data)] if text.place is Place.NAME else ends_of(data)
        self._windows = [reading.spread(self._ends)]

    def content(self, index: int) -> str:
        """What a piece says."""
        start = self._ends[index - 1] if index else 0
        return self._data[start : self._ends[index]].decode("utf-8", "replace").strip()

    def first(self, combination: Combination | Weighing) -> int | None:
        """Where the first and narrowest window of neighbours with a combination begins."""
        gate = combination.gate
        for span in range(combination.span):
            if span == len(self._windows):
                narrower = self._windows[-1]
                self._windows.append(
                    [mask | after for mask, after in zip(narrower, self._windows[0][span:], strict=False)]
                )
            for index, mask in enumerate(self._windows[span]):
                if mask & gate and combination.holds(mask):
                    return index
        return None


def _as_words(text: Text, *, chained: bool) -> str:
    """A text to be read: a name with its words apart too, a description after its parameter's name."""
    if text.place is Place.NAME:
        return f"{text.content} {text.content.translate(SEPARATED)}"
    content = text.content
    chains = _CHAIN.findall(content) if chained else ()
    if chains:
        content = "\n".join((content, *(chain.translate(SEPARATED) for chain in chains[:MAX_CHAINS])))
    return f"{text.subject}: {content}" if text.subject else content
