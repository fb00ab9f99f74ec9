"""Together: the definitions of one catalog, whichever list and pages they came in, read for attacks they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.guards.native.lists import Prefixes, entries_of
from guardsvc.guards.native.tool_poisoning.across import Across
from guardsvc.guards.native.tool_poisoning.judge import RANKS
from guardsvc.guards.native.tool_poisoning.links import Definition
from guardsvc.guards.native.tool_poisoning.orders import LINKED
from guardsvc.guards.native.tool_poisoning.pages import Pages
from guardsvc.model import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from guardsvc.guards.native.tool_poisoning.pack import Pack
    from guardsvc.guards.native.tool_poisoning.pages import Before
    from guardsvc.model import GuardContext, Operation
    from guardsvc.state.pins import PinKind

__all__ = ["Found", "Together", "definitions_of"]

Found = tuple[int, tuple[Finding, ...]]
"""Index of a definition, and what was found in it."""


class Together:
    """What is found in the definitions of a list beside what each of them says.

    Args:
        pack: the rule pack.
        rules: ids of those in use.
        context: of the guard.

    Attributes:
        pages: of the lists that are not at their end.
    """

    def __init__(self, pack: Pack, rules: frozenset[str], context: GuardContext) -> None:
        self.pages = Pages()
        self._across = Across(pack, rules)
        self._prefixes = Prefixes(context)

    def findings(
        self,
        operation: Operation,
        kind: PinKind | None,
        definitions: Sequence[Definition],
        found: Iterable[Found],
        before: Before,
    ) -> list[Found]:
        """The findings, with those of attacks that stand in several definitions of one server.

        Args:
            operation: the list.
            kind: what it lists.
            definitions: that it has.
            found: in each of them.
            before: what the pages before had.
        """
        by_definition = dict(found)
        suspects = {index for index, findings in by_definition.items() if any(map(_is_suspicious, findings))}
        names = {definition.name for definition in definitions}
        earlier = [definition for definition in before.definitions if definition.name not in names]
        for of_server in self._by_server(operation, kind, definitions):
            for index, finding in self._across.findings([*earlier, *of_server], suspects).items():
                if index >= 0:
                    by_definition[index] = (*by_definition.get(index, ()), finding)
        return sorted(by_definition.items(), key=lambda of_definition: of_definition[0])

    def _by_server(
        self, operation: Operation, kind: PinKind | None, definitions: Sequence[Definition]
    ) -> Iterable[Sequence[Definition]]:
        """The definitions of a list by the servers that they may be of."""
        if operation.server is not None or kind is None:
            return [definitions]
        servers = {entry.index: entry.servers for entry in entries_of(operation, kind, self._prefixes)}
        catalogs: dict[tuple[str, ...], list[Definition]] = {}
        for definition in definitions:
            catalogs.setdefault(servers.get(definition.index, ()), []).append(definition)
        return catalogs.values()


def definitions_of(tools: Iterable[Any], encoded: Iterable[bytes | None]) -> list[Definition]:
    """The definitions of a list, but those that cannot be written as JSON.

    Args:
        tools: as they are listed.
        encoded: the same as JSON in UTF-8.
    """
    pairs = enumerate(zip(tools, encoded, strict=True))
    return [Definition(index, tool, data) for index, (tool, data) in pairs if data is not None]


def _is_suspicious(finding: Finding) -> bool:
    return finding.rule in LINKED and RANKS[finding.severity] >= RANKS[Severity.MEDIUM]
