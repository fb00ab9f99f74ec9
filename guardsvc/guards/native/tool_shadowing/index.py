"""Index: the tools of other servers by what their names look like."""

from __future__ import annotations

import re
from sys import getsizeof
from typing import TYPE_CHECKING

import msgspec

from guardsvc.guards.native.names import fold, is_disguised_as, skeleton_of
from guardsvc.state.listed import MAX_NAME, STORED_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardsvc.guards.native.tool_shadowing.settings import ToolShadowingSettings
    from guardsvc.state.listed import Seen

__all__ = ["Alike", "Index", "Known", "is_distinctive", "most_in_an_index"]

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
MIN_DISTINCTIVE = 7
"""Characters from which on a name of several words is no word of prose."""

_NAME = 1280
"""Bytes of memory that a name takes in an index beside its text."""
_TEXTS = 3
"""Texts of a name in an index: as it is, folded, and what it looks like."""
_STORED = 160
"""Bytes of memory that a name takes in a store beside its text, at least."""
_SHORTEST, _LONGEST = getsizeof("a"), getsizeof(chr(0x10FFFF) * MAX_NAME)

Known = tuple[str, str, float]
"""Server, name, and when it was first shown."""
MAX_ALIKE = 8
"""Names of one server that look like each other and are told apart."""


class Alike(msgspec.Struct, frozen=True):
    """A name that looks like others: how it reads, whether it is disguised, and when it was first shown."""

    folded: str
    disguised: bool
    first: float


class Index:
    """Names by likeness. What is kept for one likeness has a bound for each server.

    Args:
        names: by server.

    Attributes:
        size: bytes of memory that it takes, about.
        exact: by name, servers and when each first showed it.
        folded: the same by what names are without case and separators.
        looks: by what names look like, the names of each server.
        distinctive: names that mean the tool wherever they stand, with their servers.
    """

    def __init__(self, names: Mapping[str, Mapping[str, Seen]]) -> None:
        self.size = 0
        self.exact: dict[str, dict[str, float]] = {}
        self.folded: dict[str, dict[str, float]] = {}
        self.looks: dict[str, dict[str, list[Alike]]] = {}
        self.distinctive: dict[str, set[str]] = {}
        self.add((server, name, seen.first) for server, of_server in names.items() for name, seen in of_server.items())

    def add(self, known: Iterable[Known]) -> None:
        """Add names."""
        for server, name, first in known:
            folded = fold(name)
            self.size += _NAME + _TEXTS * getsizeof(name)
            for by_server in (self.exact.setdefault(name, {}), self.folded.setdefault(folded, {})):
                by_server[server] = min(first, by_server.get(server, first))
            alike = self.looks.setdefault(skeleton_of(name, folded), {}).setdefault(server, [])
            if len(alike) < MAX_ALIKE:
                alike.append(Alike(folded, is_disguised_as(folded), first))
            if is_distinctive(name):
                self.distinctive.setdefault(name.casefold(), set()).add(server)


def most_in_an_index(settings: ToolShadowingSettings, servers: int) -> int:
    """Bytes of memory that an index takes at most.

    Args:
        settings: of the guard.
        servers: whose names a tenant is held against.
    """
    most = servers * settings.max_names * (_NAME + _TEXTS * _LONGEST)
    # A name of one letter has the least beside it in memory.
    stored = STORED_BYTES * (_NAME + _TEXTS * _SHORTEST) // (_STORED + _SHORTEST)
    return min(most, stored) if settings.storage == "memory" else most


def is_distinctive(name: str) -> bool:
    """Whether a text that has the name means the tool: names of several words that are written as one."""
    return len(name) >= MIN_DISTINCTIVE and len(_WORDS.findall(name)) > 1 and (not name.islower() or not name.isalpha())
