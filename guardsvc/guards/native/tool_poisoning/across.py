"""Across: attacks whose parts stand in several definitions of one catalog, each of them harmless by itself."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, chain
from typing import TYPE_CHECKING, TypeAlias

from guardsvc.guards.native.excerpt import excerpt
from guardsvc.guards.native.tool_poisoning.links import at_seam, numbered, seams
from guardsvc.guards.native.tool_poisoning.orders import LINKED, Orders
from guardsvc.guards.native.tool_poisoning.page import BREAK
from guardsvc.guards.native.tool_poisoning.spread import Spread
from guardsvc.guards.native.tool_poisoning.texts import pointer
from guardsvc.model import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from guardsvc.guards.native.tool_poisoning.links import Definition, Fragment
    from guardsvc.guards.native.tool_poisoning.pack import Pack, Rule

__all__ = ["RULE", "Across"]

RULE = "split_attack"
IN_A_ROW = 3
"""Steps of an enumeration that are read together."""

_SEVERED = (
    "override",
    "hush_user",
    "hush",
    "persona",
    "no_confirm",
    "obey_output",
    "authority",
    "context",
    "secret_file",
    "user_secret",
    "others_bad",
    "persist",
    "shell_pipe",
    "unrestricted",
)
"""Signals in which a text may be cut."""

_Hit: TypeAlias = "tuple[Rule | None, Sequence[Fragment]]"
"""A rule, and the fragments that have it together."""


class Across:
    """The rules as far as they can be spread over several definitions.

    Args:
        pack: the rule pack.
        rules: ids of those in use.
    """

    def __init__(self, pack: Pack, rules: frozenset[str]) -> None:
        self._spread = Spread(pack, rules)
        self._orders = Orders(pack, rules, self._spread)
        self._severed = pack.bits(*_SEVERED)
        self._threats = next(rule.threats for rule in pack.rules if rule.id == RULE)

    def findings(self, definitions: Sequence[Definition], suspects: Collection[int] = ()) -> dict[int, Finding]:
        """One finding for each part of an attack, by the index of its definition; pointers are relative to that.

        Args:
            definitions: of one server.
            suspects: indexes of those that something was found in which is for review at least.
        """
        if len(definitions) < 2:  # noqa: PLR2004  nothing to be split over
            return {}
        found: dict[int, Finding] = {}
        hits = chain(self._orders.hits(definitions, suspects), self._cut(definitions), self._numbered(definitions))
        for rule, parts in sorted(hits, key=lambda hit: hit[0] is None):
            names = [part.of.name for part in parts]
            for part in parts:
                if part.of.index not in found:
                    others = ", ".join(dict.fromkeys(name for name in names if name != part.of.name))
                    told = part.content.decode("utf-8", "replace")
                    found[part.of.index] = Finding(
                        rule=RULE,
                        severity=Severity.HIGH,
                        where=pointer(part.path),
                        threats=self._threats,
                        excerpt=excerpt(
                            f"with {others}: {told}" if rule is None else f"{rule.id} with {others}: {told}"
                        ),
                    )
        return found

    def _cut(self, definitions: Sequence[Definition]) -> Iterator[_Hit]:
        """Sentences that one definition begins and the next one ends; what is cut must be a part of the attack."""
        for row, (tail, head), together in self._rows(self._severed_rows(list(seams(definitions)))):
            for rule in self._spread.held(together, (tail, head, tail | head)):
                yield rule, row

    def _numbered(self, definitions: Sequence[Definition]) -> Iterator[_Hit]:
        """Steps of an enumeration that goes on from definition to definition, a few in a row."""
        rows = [run[at : at + IN_A_ROW] for run in numbered(definitions) for at in range(max(1, len(run) - 1))]
        for row, parts, together in self._rows([row for row in rows if len({part.of.index for part in row}) > 1]):
            for rule in self._spread.held(together, parts):
                if rule.id in LINKED:
                    yield rule, row

    def _severed_rows(self, rows: Sequence[tuple[Fragment, Fragment]]) -> list[tuple[Fragment, Fragment]]:
        """The rows of which a signal stands on the border."""
        ends = list(accumulate(len(tail.content) + len(head.content) + 1 + len(BREAK) for tail, head in rows))
        data = BREAK.join(b" ".join((tail.content, head.content)).replace(b"\0", b" ") for tail, head in rows)
        found: set[int] = set()
        reading = self._spread.reading(data, *self._spread.signals([data.replace(b"\0", b" ")]))
        for _, search in reading.searches(self._severed):
            match = search(reading.data)
            while match is not None:
                index = bisect_right(ends, match.start())
                border = (ends[index - 1] if index else 0) + len(rows[index][0].content)
                if match.start() < border < match.end():
                    found.add(index)
                match = search(reading.data, max(match.end(), border))
        return [at_seam(*rows[index]) for index in sorted(found)]

    def _rows(self, rows: Sequence[Sequence[Fragment]]) -> Iterator[tuple[Sequence[Fragment], tuple[int, ...], int]]:
        """Rows of texts that may have something, with the signals of each part and of all as one sentence."""
        texts = [b" ".join(part.content for part in row).replace(b"\0", b" ") for row in rows]
        for row, text, upper in zip(rows, texts, self._spread.signals(texts), strict=True):
            if self._spread.candidates(upper):
                parts = tuple(self._spread.masks(row, upper))
                together = self._spread.reading(text, upper).find(upper)
                for part in parts:
                    together |= part
                yield row, parts, together
