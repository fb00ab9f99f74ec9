"""Many patterns at once: RE2 sets that are linear in the text and cannot fail unnoticed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import re2

from guardsvc.guards.native.sandbox_escape.needles import MAX_SETS, Texts, Way, ways_of
from guardsvc.model import ErrorKind, GuardFailure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Matcher", "encode", "options"]

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


def encode(text: str) -> bytes:
    """A text as UTF-8. Half of a surrogate pair, which JSON can escape, becomes a question mark."""
    return text.encode("utf-8", "replace")


class Matcher:
    """Which of some patterns a text has.

    The patterns are in several sets, one for each topic: the states of an automaton are products of what its
    patterns remember, and those of one topic rarely meet those of another. Topics of which a text has the needles of
    no pattern are left out.

    RE2 tells "no memory for the automaton" in the same way as "no match". Each set therefore has one
    pattern more, which is in every text: an answer without it is a failure.

    Args:
        topics: the patterns by topic, each with the bits that stand for it.

    Raises:
        re2.error: a pattern is not one, or too large.
    """

    __slots__ = ("_needles", "_plans", "_sets", "_ways")

    def __init__(self, topics: Iterable[Sequence[tuple[str, int]]]) -> None:
        topics = list(topics)
        self._sets = [_compiled(patterns) for patterns in topics]
        self._ways = [[(bit, way) for pattern, bit in patterns for way in ways_of(pattern)] for patterns in topics]
        self._needles = _Needles([way for ways in self._ways for _, way in ways])
        self._plans: dict[int, list[tuple[int, _Compiled]]] = {}

    def match(self, text: bytes, wanted: int) -> int:
        """The bits of all patterns that ``text`` has, of the topics that have ``wanted`` bits.

        Raises:
            GuardFailure: an automaton has no memory left, so that nothing can be said.
        """
        if not wanted:
            return 0
        open_ways = self._needles.ways(text)
        mask = 0
        for ways, compiled in self._plans.get(wanted) or self._plan(wanted):
            if ways & open_ways:
                mask |= _bits_of(compiled, text)
        return mask

    def _plan(self, wanted: int) -> list[tuple[int, _Compiled]]:
        """The sets with wanted patterns, each with the ways of these."""
        plan: list[tuple[int, _Compiled]] = []
        way = 1
        for compiled, topic in zip(self._sets, self._ways, strict=True):
            ways = 0
            for bit, _ in topic:
                if bit & wanted:
                    ways |= way
                way <<= MAX_SETS
            if ways:
                plan.append((ways, compiled))
        if len(self._plans) >= _MAX_PLANS:
            self._plans.clear()
        self._plans[wanted] = plan
        return plan


class _Needles:
    """Which ways are open to a text: those of which it has a needle of each set.

    Args:
        ways: all of them; two bits stand for each, by their order, of which the lower one tells.
    """

    __slots__ = ("_masks", "_search", "_told")

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
        self._search, self._masks = _compiled(patterns, given)

    def ways(self, text: bytes) -> int:
        """The bits of the ways that are open.

        Raises:
            GuardFailure: the automaton has no memory left.
        """
        found = _bits_of((self._search, self._masks), text)
        return found & found >> 1 & self._told


_Compiled = tuple[re2.Set, dict[int, int]]
"""A set, and the bits of each of its patterns."""


def _compiled(patterns: Iterable[tuple[str, int]], given: int = 0) -> _Compiled:
    """A set of patterns, with bits that every text has."""
    search = re2.Set.SearchSet(options())
    bits = {search.Add(pattern.encode("latin-1")): bit for pattern, bit in patterns}
    bits[search.Add(rb"\A")] = given
    search.Compile()
    return search, bits


def _bits_of(compiled: _Compiled, text: bytes) -> int:
    search, bits = compiled
    found = search.Match(text)
    if not found:
        raise _no_memory()
    mask = 0
    for index in found:
        mask |= bits[index]
    return mask


def _no_memory() -> GuardFailure:
    return GuardFailure(ErrorKind.OVER_BUDGET, "the automaton of the patterns has no memory left")
