"""Spread: the signals of texts of several definitions, and the rules that hold of them together only."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec

from guardsvc.guards.native.tool_poisoning.combination import Combination
from guardsvc.guards.native.tool_poisoning.filter import Filter
from guardsvc.guards.native.tool_poisoning.page import BREAK
from guardsvc.guards.native.tool_poisoning.reading import Automata, Reading
from guardsvc.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardsvc.guards.native.tool_poisoning.combination import Weighing
    from guardsvc.guards.native.tool_poisoning.filter import Candidate
    from guardsvc.guards.native.tool_poisoning.links import Fragment
    from guardsvc.guards.native.tool_poisoning.pack import Pack, Rule

__all__ = ["Spread"]

_TELLING = ("override", "hush_user", "persona")
"""Signals that say enough by themselves where a text was cut in the middle of one."""


class Spread:
    """The combinations of a pack that are certain by themselves.

    Args:
        pack: the rule pack.
        rules: ids of those in use.
    """

    def __init__(self, pack: Pack, rules: frozenset[str]) -> None:
        self._filter, self._automata = _compiled(pack, rules)
        self._absent = 0
        for rule in pack.rules:
            for combination in rule.combinations:
                self._absent |= combination.absent

    def signals(self, texts: Sequence[bytes]) -> list[int]:
        """The signals that each text may have, and all that combinations rule out."""
        if not texts:
            return []
        return [known | self._filter.common(words) | self._absent for known, words in self._filter.rare(texts)]

    def candidates(self, signals: int) -> list[Candidate]:
        """The combinations that texts with these signals may have."""
        return self._filter.candidates(signals)

    def masks(self, pieces: Sequence[Fragment], upper: int) -> list[int]:
        """The signals of each piece, of those that it may have."""
        if not pieces:
            return []
        data = BREAK.join(piece.content for piece in pieces)
        return self.reading(data, upper).spread(list(accumulate(len(piece.content) + len(BREAK) for piece in pieces)))

    def reading(self, text: bytes, upper: int = -1) -> Reading:
        """A text to look for signals in, of those that it may have."""
        return Reading(self._automata, text, 0, upper)

    def held(self, together: int, alone: Sequence[int]) -> Iterator[Rule]:
        """The rules that hold of some signals together and of none of their parts."""
        for combination, rule in self._filter.candidates(together):
            if combination.holds(together) and not any(map(combination.holds, alone)):
                yield rule


@lru_cache(maxsize=4)
def _compiled(pack: Pack, rules: frozenset[str]) -> tuple[Filter, Automata]:
    """What is compiled of a pack, once for all policies of a process."""
    telling = pack.bits(*_TELLING)
    certain = [
        msgspec.structs.replace(rule, combinations=tuple(each for each in rule.combinations if _counts(each, telling)))
        for rule in pack.rules
        if rule.id in rules
    ]
    return Filter(pack.signals, [rule for rule in certain if rule.combinations]), Automata(pack.signals)


def _counts(combination: Combination | Weighing, telling: int) -> bool:
    """Whether a combination is certain, or is a single signal that nobody cuts in two by chance."""
    if not isinstance(combination, Combination):
        return False
    return combination.severity is Severity.HIGH or (len(combination.groups) == 1 and bool(combination.gate & telling))
