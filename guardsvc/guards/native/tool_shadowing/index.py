"""Index: the tools of other servers by what their names look like."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from guardsvc.guards.native.names import fold, is_disguised, skeleton_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardsvc.state.listed import Seen

__all__ = ["Alike", "Index", "Known", "is_distinctive"]

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
MIN_DISTINCTIVE = 7
"""Characters from which on a name of several words is no word of prose."""

_SERIALS = count()

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
        serial: a number of its own, which no other index of the process has.
        exact: by name, servers and when each first showed it.
        folded: the same by what names are without case and separators.
        looks: by what names look like, the names of each server.
        distinctive: names that mean the tool wherever they stand, with their servers.
    """

    def __init__(self, names: Mapping[str, Mapping[str, Seen]]) -> None:
        self.serial = next(_SERIALS)
        self.exact: dict[str, dict[str, float]] = {}
        self.folded: dict[str, dict[str, float]] = {}
        self.looks: dict[str, dict[str, list[Alike]]] = {}
        self.distinctive: dict[str, set[str]] = {}
        self.add((server, name, seen.first) for server, of_server in names.items() for name, seen in of_server.items())

    def add(self, known: Iterable[Known]) -> None:
        """Add names."""
        for server, name, first in known:
            folded = fold(name)
            for by_server in (self.exact.setdefault(name, {}), self.folded.setdefault(folded, {})):
                by_server[server] = min(first, by_server.get(server, first))
            alike = self.looks.setdefault(skeleton_of(name, folded), {}).setdefault(server, [])
            if len(alike) < MAX_ALIKE:
                alike.append(Alike(folded, is_disguised(name), first))
            if is_distinctive(name):
                self.distinctive.setdefault(name.casefold(), set()).add(server)


def is_distinctive(name: str) -> bool:
    """Whether a text that has the name means the tool: names of several words that are written as one."""
    return len(name) >= MIN_DISTINCTIVE and len(_WORDS.findall(name)) > 1 and (not name.islower() or not name.isalpha())
