"""Many patterns by topic: those of topics that a text has nothing of are not looked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import re2

from guardsvc.guards.native import matcher
from guardsvc.guards.native.sandbox_escape.needles import MAX_SETS, Texts, Way, ways_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Matcher", "options"]

MAX_MEMORY = 16 << 20
"""Bytes that each automaton may grow to. It grows with what it meets and is emptied when full."""
_MAX_PLANS = 256


def options() -> re2.Options:
    """How patterns are read: as bytes, since what they look for is ASCII and automata of bytes stay small."""
    chosen = re2.Options()
    chosen.max_mem = MAX_MEMORY
    chosen.log_errors = False
    chosen.encoding = re2.Options.Encoding.LATIN1
    return chosen


class Matcher:
    """Which of some patterns a text has.

    The patterns are in several sets, one for each topic: the states of an automaton are products of what its
    patterns remember, and those of one topic rarely meet those of another. Topics of which a text has the needles of
    no pattern are left out.

    Args:
        topics: the patterns by topic, each with the bits that stand for it.

    Raises:
        re2.error: a pattern is not one, or too large.
    """

    __slots__ = ("_needles", "_plans", "_sets", "_ways")

    def __init__(self, topics: Iterable[Sequence[tuple[str, int]]]) -> None:
        topics = list(topics)
        self._sets = [_set_of(patterns) for patterns in topics]
        self._ways = [[(bit, way) for pattern, bit in patterns for way in ways_of(pattern)] for patterns in topics]
        self._needles = _Needles([way for ways in self._ways for _, way in ways])
        self._plans: dict[int, list[tuple[int, matcher.Matcher]]] = {}

    def match(self, text: bytes, wanted: int) -> int:
        """The bits of all patterns that ``text`` has, of the topics that have ``wanted`` bits.

        Raises:
            GuardFailure: an automaton has no memory left, so that nothing can be said.
        """
        if not wanted:
            return 0
        open_ways = self._needles.ways(text)
        mask = 0
        for ways, topic in self._plans.get(wanted) or self._plan(wanted):
            if ways & open_ways:
                mask |= topic.match(text)
        return mask

    def _plan(self, wanted: int) -> list[tuple[int, matcher.Matcher]]:
        """The sets with wanted patterns, each with the ways of these."""
        plan: list[tuple[int, matcher.Matcher]] = []
        way = 1
        for patterns, topic in zip(self._sets, self._ways, strict=True):
            ways = 0
            for bit, _ in topic:
                if bit & wanted:
                    ways |= way
                way <<= MAX_SETS
            if ways:
                plan.append((ways, patterns))
        if len(self._plans) >= _MAX_PLANS:
            self._plans.clear()
        self._plans[wanted] = plan
        return plan


class _Needles:
    """Which ways are open to a text: those of which it has a needle of each set.

    Args:
        ways: all of them; two bits stand for each, by their order, of which the lower one tells.
    """

    __slots__ = ("_search", "_told")

    def __init__(self, ways: Sequence[Way]) -> None:
        masks: dict[Texts, int] = {}
        given = 0
        for number, way in enumerate(ways):
            for place in range(MAX_SETS):
                bit = 1 << (MAX_SETS * number + place)
                if place < len(way):
                    masks[way[place]] = masks.get(way[place], 0) | bit
                else:
                    given |= bit
        self._told = sum(1 << (MAX_SETS * number) for number in range(len(ways)))
        patterns = [(f"(?i:{'|'.join(map(re.escape, sorted(needles)))})", mask) for needles, mask in masks.items()]
        self._search = _set_of(patterns, given)

    def ways(self, text: bytes) -> int:
        """The bits of the ways that are open.

        Raises:
            GuardFailure: the automaton has no memory left.
        """
        found = self._search.match(text)
        return found & found >> 1 & self._told


def _set_of(patterns: Iterable[tuple[str, int]], given: int = 0) -> matcher.Matcher:
    """A set of patterns, with bits that every text has."""
    return matcher.Matcher([(pattern.encode("latin-1"), bit) for pattern, bit in patterns], options(), given)
