"""Detector: which rules the values of one field role break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import re2

from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.sandbox_escape.matcher import Matcher, options
from guardsvc.guards.native.sandbox_escape.pack import load_topics
from guardsvc.guards.native.sandbox_escape.roles import Role
from guardsvc.guards.native.sandbox_escape.signal import BEGIN, END, HIDDEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

__all__ = ["MENTION", "STATEMENT_BEGIN", "TABLE_ROW", "Detector", "searched"]

TABLE_ROW = (
    r"\x02\s*\|\s*[^|\s\x03][^|\x03]*\|\s*[^|\s\x03][^|\x03]*\|[^\x03]*\x03"
    r"|\|\s*:?-{3,}"
)
"""A row of a Markdown table, whose bars are no pipes."""

MENTION = (
    r"\x02\s*(?:[a-z][a-z]*[,:]?\s+){3,}(?:[^'\"`;#/\\%+\x00-\x1f-]|\w-\w)*"
    r"['\"`]?(?:[^'\"`;#/\\%+\x00-\x1f-]|\w-\w)*\x03"
)
"""A sentence with no more than one quote, and no comment that could hide what follows. Inside of quotes the query's
own one would be left over, and outside of them no expression begins with several words."""

STATEMENT_BEGIN = r"\x02[\s(]*(?:select|insert|update|delete|with|union|having|where|not|and|or)\b"
"""What may be a part of a query although words follow."""

_COMMAND_RULES = ("command_injection", "command_substitution", "destructive_command", "remote_shell", "data_upload")


def searched(pattern: str) -> str:
    """A pattern of a signal as it is searched: case does not matter, and ``.`` is every character."""
    return f"(?is:{pattern})"


class Detector:
    """Matches values against the signals of a role.

    Args:
        rules: ids of the rules in use.
    """

    def __init__(self, rules: Collection[str]) -> None:
        topics = load_topics()
        self._signals = tuple(signal for topic in topics for signal in topic)
        bits = {id(signal): 1 << index for index, signal in enumerate(self._signals)}
        patterns = [[(searched(signal.pattern), bits[id(signal)]) for signal in topic] for topic in topics]
        self._row, self._mention, self._begin = (1 << len(self._signals) + more for more in range(3))
        patterns[0].append((searched(TABLE_ROW), self._row))
        patterns += [[(searched(MENTION), self._mention), (searched(STATEMENT_BEGIN), self._begin)]]
        self._matcher = Matcher(patterns)
        used = [signal for signal in self._signals if signal.rule in rules or signal.rule.startswith("?")]
        self._masks = {role: sum(bits[id(signal)] for signal in used if signal.roles & role) for role in Role}
        self._bars = sum(bits[id(signal)] for signal in self._signals if signal.table)
        self._mentioned = sum(bits[id(signal)] for signal in self._signals if signal.prose)
        shapes: dict[str, int] = {}
        for signal in self._signals:
            if signal.unless:
                shapes[signal.unless] = shapes.get(signal.unless, 0) | bits[id(signal)]
        self._shapes = [(mask, re2.compile(searched(shape).encode(), options())) for shape, mask in shapes.items()]
        self._hidden = sum(bits[id(signal)] for signal in self._signals if signal.rule == HIDDEN)
        self._commands = sum(bits[id(signal)] for signal in self._signals if signal.rule in _COMMAND_RULES)

    def mask(self, role: Role) -> int:
        """The signals that count in a field of this role."""
        return self._masks[role]

    def signals(self, values: Sequence[str], wanted: int) -> int:
        """The signals that some value has, of those wanted.

        Of several values at once it may say more than of each, never less.
        """
        return self.match(f"{BEGIN}{f'{END}{BEGIN}'.join(values)}{END}", wanted, alone=len(values) == 1)

    def match(self, marked: str, wanted: int, *, alone: bool = False) -> int:
        """The signals of values that stand between ``BEGIN`` and ``END`` already."""
        found = self._matcher.match(encode(marked), wanted)
        if alone and found & self._row:
            found &= ~self._bars
        if alone and found & self._mentioned & wanted and self._is_mention(marked):
            found &= ~self._mentioned
        if alone and found & wanted:
            for mask, shape in self._shapes:
                if found & mask and shape.search(encode(marked)) is not None:
                    found &= ~mask
        return found & wanted

    def _is_mention(self, marked: str) -> bool:
        found = self._matcher.match(encode(marked), self._mention)
        return found & (self._mention | self._begin) == self._mention

    def hidden(self, found: int) -> bool:
        """Whether the signals say that words of a command may be hidden."""
        return bool(found & self._hidden)

    def commands(self, found: int) -> bool:
        """Whether one of the signals is that of a command."""
        return bool(found & self._commands)

    def rules_of(self, found: int) -> Iterator[str]:
        """The rules that signals belong to, in the order of the signals."""
        while found:
            bit = found & -found
            yield self._signals[bit.bit_length() - 1].rule
            found ^= bit
