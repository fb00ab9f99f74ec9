"""Name patterns of policies: ``*`` stands for any run of characters, everything else for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Globs"]


class Globs:
    """A set of glob patterns, matched case-sensitively.

    Matching looks for the literal pieces of a pattern in order and never goes
    back, so a hostile name cannot make it slow. A name that is absent (None)
    matches nothing, not even ``*``.
    """

    __slots__ = ("_exact", "_pieces", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self._exact = frozenset(p for p in self.patterns if "*" not in p)
        self._pieces = tuple(tuple(p.split("*")) for p in self.patterns if "*" in p)

    def match(self, name: str | None) -> bool:
        """Whether any pattern matches the whole of ``name``."""
        if name is None:
            return False
        if name in self._exact:
            return True
        return any(_match_pieces(pieces, name) for pieces in self._pieces)

    def __repr__(self) -> str:
        return f"Globs({list(self.patterns)!r})"


def _match_pieces(pieces: tuple[str, ...], name: str) -> bool:
    head, *middle, tail = pieces
    if len(name) < len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return False
    position, end = len(head), len(name) - len(tail)
    for piece in middle:
        found = name.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True
