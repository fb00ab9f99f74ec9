"""Many patterns at once: RE2 sets that are linear in the text and cannot fail unnoticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import re2

from guardsvc.model import ErrorKind, GuardFailure

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Matcher", "encode"]

MAX_MEMORY = 64 << 20
"""Bytes that the automaton may grow to. It grows with what it meets and is emptied when full."""


class Matcher:
    """Which of some patterns a text has.

    RE2 tells "no memory for the automaton" in the same way as "no match". The set therefore has one
    pattern more, which is in every text: an answer without it is a failure.

    Args:
        patterns: each with the bits that stand for it.
        options: how patterns are read, and the memory of the automaton; UTF-8 and ``MAX_MEMORY`` by default.
        given: bits that every text has.

    Raises:
        re2.error: a pattern is not one, or too large.
    """

    __slots__ = ("_bits", "_set")

    def __init__(
        self, patterns: Iterable[tuple[str | bytes, int]], options: re2.Options | None = None, given: int = 0
    ) -> None:
        self._set = re2.Set.SearchSet(_options() if options is None else options)
        self._bits = {self._set.Add(pattern): bits for pattern, bits in patterns}
        self._bits[self._set.Add(rb"\A")] = given
        self._set.Compile()

    def match(self, text: bytes) -> int:
        """The bits of all patterns that ``text`` has.

        Raises:
            GuardFailure: the automaton has no memory left, so that nothing can be said.
        """
        found = self._set.Match(text)
        if not found:
            raise GuardFailure(ErrorKind.OVER_BUDGET, "the automaton of the patterns has no memory left")
        mask = 0
        bits = self._bits
        for index in found:
            mask |= bits[index]
        return mask


def encode(text: str) -> bytes:
    """A text as UTF-8. Half of a surrogate pair, which JSON can escape, becomes a question mark."""
    return text.encode("utf-8", "replace")


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    return options
