"""Search: which combinations of signals hold somewhere in a long text, looking for a signal only where it may matter.

Words tell for each stretch of a text which combinations it can have. A combination's rarest signals are looked for in
those stretches, and the others in the few sentences around what was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.guards.native.result_injection.sentences import Possible, Sentences, Stretch
from guardsvc.guards.native.tool_poisoning.combination import Combination
from guardsvc.guards.native.tool_poisoning.reading import Automata, Reading
from guardsvc.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from guardsvc.guards.native.tool_poisoning.filter import Filter
    from guardsvc.guards.native.tool_poisoning.pack import Rule

__all__ = ["OVERLAP", "PART", "RANKS", "Search", "parts_of"]

RANKS = {severity: rank for rank, severity in enumerate(Severity)}
PART = 16_384
"""Bytes of a text that are cut into sentences together."""
OVERLAP = 512
"""Bytes that two parts have in common, or a few less."""
EDGE = 64
"""Bytes in which a part or a block may begin."""
BLOCK = 2_048
"""Bytes of which two in a row are a stretch: what stands at most so far apart is seen together."""

_CONTINUES = 0x80
"""What the first two bits of a byte that goes on with a character of UTF-8 are."""


class Search:
    """What finds the combinations of some rules.

    Args:
        signals: what tells by words which combinations are possible. Weighed rules are not looked for.
        automata: what finds the signals.
    """

    def __init__(self, signals: Filter, automata: Automata) -> None:
        self._filter = signals
        self._automata = automata

    def may_hold(self, text: bytes) -> bool:
        """Whether words leave it open that a combination holds in a text, UTF-8."""
        atoms, words = self._filter.known(text)
        signals = atoms | self._filter.of_words(words)
        if not signals & self._filter.gates:
            return False
        return bool(self._filter.candidates(signals | self._filter.common(words)))

    def held(self, text: bytes, ranks: Mapping[str, int]) -> Iterator[tuple[Rule, Severity, str]]:
        """The rules that hold in a text, UTF-8, each with a severity and what it stands in.

        Args:
            text: what is looked at.
            ranks: of the severities that rules were found with; what is no worse is not looked for. It may change
                while the findings are made.
        """
        for part in parts_of(text):
            stretches = list(self._stretches(part.replace(b"\0", b" ")))
            if stretches:
                yield from self._in_part(part, stretches, ranks)

    def _stretches(self, part: bytes) -> Iterator[Stretch]:
        """Where signals may be of which every combination needs one."""
        known = self._filter.known
        starts = list(_blocks(part))
        if len(starts) < 2:  # noqa: PLR2004  one stretch is two blocks
            atoms, words = known(part)
            signals = atoms | self._filter.of_words(words)
            if signals & self._filter.gates:
                yield 0, len(part), signals | self._filter.common(words)
            return
        looks = [known(part[start : end + EDGE]) for start, end in zip(starts, [*starts[1:], len(part)], strict=True)]
        for index, end in enumerate([*starts[2:], len(part)]):
            (atoms, words), (more_atoms, more_words) = looks[index], looks[index + 1]
            words |= more_words
            signals = atoms | more_atoms | self._filter.of_words(words)
            if signals & self._filter.gates:
                yield starts[index], end, signals | self._filter.common(words)

    def _in_part(
        self, part: bytes, stretches: Sequence[Stretch], ranks: Mapping[str, int]
    ) -> Iterator[tuple[Rule, Severity, str]]:
        together = 0
        for _, _, signals in stretches:
            together |= signals
        possible = Possible(stretches)
        candidates = [
            (where, combination, rule)
            for combination, rule in self._filter.candidates(together)
            if isinstance(combination, Combination) and (where := possible.combination(combination))
        ]
        if len(part) <= BLOCK:
            reading = Reading(self._automata, part, 0, together)
            candidates = [candidate for candidate in candidates if candidate[1].is_in(reading)]
        if not candidates:
            return
        sentences = Sentences(self._automata, part, possible)
        candidates.sort(key=lambda candidate: -RANKS[candidate[1].severity])
        for where, combination, rule in candidates:
            if ranks.get(rule.id, -1) < RANKS[combination.severity]:
                index = sentences.first(combination, where)
                if index is not None:
                    yield rule, combination.severity, sentences.content(index)


def _blocks(text: bytes) -> Iterator[int]:
    """Where the blocks of a text begin, the last of which may be short."""
    start = 0
    while start < len(text):
        yield start
        start = _edge(text, start + BLOCK)


def parts_of(text: bytes) -> Iterator[bytes]:
    """A text in parts, each but the first from a line or a word on, that overlap by more than a rule mostly spans."""
    begin = 0
    while True:
        yield text[begin : begin + PART]
        if begin + PART >= len(text):
            return
        begin = _edge(text, begin + PART - OVERLAP)


def _edge(text: bytes, start: int) -> int:
    """Where the next line or else the next word begins, or else the next character."""
    edge = max(text.rfind(b"\n", start, start + EDGE), text.rfind(b" ", start, start + EDGE)) + 1
    if edge:
        return edge
    while start < len(text) and text[start] & 0xC0 == _CONTINUES:
        start += 1
    return start
