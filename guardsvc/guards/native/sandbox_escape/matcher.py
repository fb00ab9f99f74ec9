"""Many patterns at once: RE2 sets that are linear in the text and cannot fail unnoticed."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

import re2

from guardsvc.guards.native.sandbox_escape.needles import needles_of
from guardsvc.model import ErrorKind, GuardFailure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Matcher", "encode", "options"]

MAX_MEMORY = 16 << 20
"""Bytes that each automaton may grow to. It grows with what it meets and is emptied when full."""


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
    patterns remember, and those of one topic rarely meet those of another. Topics of which a text has no needle are
    left out.

    RE2 tells "no memory for the automaton" in the same way as "no match". Each set therefore has one
    pattern more, which is in every text: an answer without it is a failure.

    Args:
        topics: the patterns by topic, each with the bits that stand for it.

    Raises:
        re2.error: a pattern is not one, or too large.
    """

    __slots__ = ("_always", "_needles", "_sets")

    def __init__(self, topics: Iterable[Sequence[tuple[str, int]]]) -> None:
        topics = list(topics)
        self._sets = [_compiled(patterns) for patterns in topics]
        self._always = 0
        by_needle: dict[str, int] = {}
        for pattern, bit in chain.from_iterable(topics):
            needles = needles_of(pattern)
            if needles is None:
                self._always |= bit
            for needle in needles or ():
                by_needle[needle] = by_needle.get(needle, 0) | bit
        self._needles = _compiled([(f"(?i){re.escape(needle)}", bits) for needle, bits in by_needle.items()])

    def match(self, text: bytes, wanted: int) -> int:
        """The bits of all patterns that ``text`` has, of the topics that have ``wanted`` bits.

        Raises:
            GuardFailure: an automaton has no memory left, so that nothing can be said.
        """
        wanted &= self._always | _bits_of(self._needles, text)
        mask = 0
        for compiled in self._sets:
            if compiled[2] & wanted:
                mask |= _bits_of(compiled, text)
        return mask


_Compiled = tuple[re2.Set, dict[int, int], int]
"""A set, the bits of each of its patterns, and all of them."""


def _compiled(patterns: Sequence[tuple[str, int]]) -> _Compiled:
    search = re2.Set.SearchSet(options())
    bits = {search.Add(pattern.encode("latin-1")): bit for pattern, bit in patterns}
    all_bits = 0
    for bit in bits.values():
        all_bits |= bit
    bits[search.Add(b"")] = 0
    search.Compile()
    return search, bits, all_bits


def _bits_of(compiled: _Compiled, text: bytes) -> int:
    search, bits, _ = compiled
    found = search.Match(text)
    if not found:
        raise GuardFailure(ErrorKind.OVER_BUDGET, "the automaton of the patterns has no memory left")
    mask = 0
    if len(found) > 1:
        for index in found:
            mask |= bits[index]
    return mask
