"""Shapes: what a definition looks like as JSON, told without reading it."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

import re2

from guardsvc.guards.native.matcher import Matcher
from guardsvc.guards.native.tool_poisoning.disguise import MAY_HIDE_IN_JSON
from guardsvc.guards.native.tool_poisoning.encoding import ESCAPES_IN_JSON, TOKENS_IN_JSON, has_encoded
from guardsvc.guards.native.tool_poisoning.texts import NAMES_IN_JSON, VALUES_IN_JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Shapes", "shapes"]

_HIDDEN, _ESCAPED, _TOKEN = 1, 2, 4
_VALUES, _NAMES = 1, 2


class Shapes:
    """Quick looks at definitions, JSON in UTF-8; use ``shapes``."""

    def __init__(self) -> None:
        # It reaches over no line feed, of which JSON has none, so that definitions are searched together.
        self._any = re2.compile(f"{MAY_HIDE_IN_JSON}|{ESCAPES_IN_JSON}|{TOKENS_IN_JSON}")
        self._which = Matcher([(MAY_HIDE_IN_JSON, _HIDDEN), (ESCAPES_IN_JSON, _ESCAPED), (TOKENS_IN_JSON, _TOKEN)])
        self._places = Matcher([(VALUES_IN_JSON, _VALUES), (NAMES_IN_JSON, _NAMES)])

    def flags(self, definitions: Sequence[bytes]) -> list[tuple[bool, bool]]:
        """Of each definition, whether it may hide something and whether it has something encoded."""
        flags = [(False, False)] * len(definitions)
        joined = b"\n".join(definitions)
        ends = list(accumulate(len(definition) + 1 for definition in definitions))
        found = self._any.search(joined)
        while found is not None:
            index = bisect_right(ends, found.start())
            shape = self._which.match(definitions[index])
            encoded = bool(shape & _ESCAPED) or (bool(shape & _TOKEN) and has_encoded(definitions[index]))
            flags[index] = bool(shape & _HIDDEN), encoded
            found = self._any.search(joined, ends[index]) if index + 1 < len(ends) else None
        return flags

    def places(self, definition: bytes) -> tuple[bool, bool]:
        """Whether a definition may have values, and names, that say something."""
        shape = self._places.match(definition)
        return bool(shape & _VALUES), bool(shape & _NAMES)


@cache
def shapes() -> Shapes:
    """The shapes, compiled once for all policies of a process."""
    return Shapes()
