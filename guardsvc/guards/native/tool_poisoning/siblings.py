"""Siblings: the tools of one list, by the names that descriptions may call them."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

import re2

from guardsvc.guards.native.matcher import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Siblings"]

_CALLED = re2.compile(
    r"(?i)\b(?:call|calling|use|using|invok(?:e|ing)|run|running|execut(?:e|ing)) (?:the )?[`'\"]?"
    r"([a-z0-9]+(?:[_.-][a-z0-9]+)+)"
)
_SEPARATOR = re.compile(r"[_.:/-]++")
_MAX_PARTS = 12


class Siblings:
    """The names of a server's tools.

    A gateway may have put the server's name before the tools' own, in the list or not in the description:
    a name counts as known if one of the two ends with the other.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def calls_other(self, text: str) -> bool:
        """Whether a text has a tool called that is not in the list."""
        if " " not in text:
            return False
        return any(self._known.isdisjoint(_endings(name.decode())) for name in _CALLED.findall(encode(text)))

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(ending for name in self._names for ending in _endings(name))


def _endings(name: str) -> Iterator[str]:
    """A name, and what is left of it without its first parts."""
    yield name
    for cut, _ in zip(_SEPARATOR.finditer(name), range(_MAX_PARTS), strict=False):
        yield name[cut.end() :]
