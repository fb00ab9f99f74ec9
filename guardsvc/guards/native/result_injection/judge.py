"""Judge: what the rules find in the texts of one message."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec

from guardsvc.guards.native.excerpt import excerpt
from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.result_injection.forms import Forms, forms_of, is_document
from guardsvc.guards.native.result_injection.pack import load_pack
from guardsvc.guards.native.result_injection.search import RANKS, Search
from guardsvc.guards.native.results import Part, Shown, blob_text
from guardsvc.guards.native.tool_poisoning.filter import Filter
from guardsvc.guards.native.tool_poisoning.page import SEPARATED
from guardsvc.guards.native.tool_poisoning.reading import Automata
from guardsvc.model import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from guardsvc.guards.native.tool_poisoning.pack import Rule

__all__ = ["RANKS", "Judge"]

MIN_TEXT = 12
"""Characters below which a text is no order."""
SHORT = 512
"""Characters of the longest text that is looked at together with others first."""
BATCH = 2_048
"""Characters of such texts, or a few more."""
FEW = 4
"""Texts that are so few are looked at one by one."""
_DOCUMENTS = frozenset({Part.TEXT, Part.RESOURCE, Part.BLOB, Part.STRUCTURED})
_LOWERED = {
    Severity.CRITICAL: Severity.HIGH,
    Severity.HIGH: Severity.MEDIUM,
    Severity.MEDIUM: Severity.LOW,
    Severity.LOW: Severity.INFO,
    Severity.INFO: Severity.INFO,
}
_DISGUISES = {
    "bidi_control": {Severity.HIGH: Severity.MEDIUM, Severity.MEDIUM: Severity.INFO},
    "zero_width": {Severity.HIGH: Severity.LOW, Severity.LOW: Severity.INFO},
    "variation_selectors": {Severity.MEDIUM: Severity.LOW},
    "homoglyphs": {Severity.MEDIUM: Severity.LOW},
    "compatibility_forms": {Severity.MEDIUM: Severity.LOW},
    "leetspeak": {Severity.MEDIUM: Severity.LOW, Severity.LOW: Severity.INFO},
}
"""What disguises weigh in a result, where they are lighter than in a definition: pages and logs have some of them."""


class _Read(msgspec.Struct, frozen=True):
    """A text that was shown, in its forms."""

    shown: Shown
    document: bool
    forms: Forms


class Judge:
    """The rules, as far as they are enabled.

    Args:
        disabled: ids of rules that are left out.
        documents: whether documents are treated leniently.
    """

    def __init__(self, disabled: Collection[str], *, documents: bool) -> None:
        pack = load_pack()
        self._rules = {rule.id: rule for rule in pack.rules if rule.id not in disabled}
        combined = [rule for rule in pack.rules if rule.combinations and rule.id in self._rules]
        self._search = _search(frozenset(rule.id for rule in combined))
        self._documents = documents

    def findings(self, shown: Iterable[Shown]) -> list[Finding]:
        """What is wrong with some texts, one finding per rule and text.

        Args:
            shown: texts of one message.
        """
        contents = [(each, content) for each in shown if (content := _content(each)) is not None]
        read = [self._read(each, content) for each, content in self._suspicious(contents)]
        found: dict[tuple[str, int], tuple[Severity, str]] = {}
        for index, each in enumerate(read):
            for trick in each.forms.tricks:
                severity = _DISGUISES.get(trick.rule, {}).get(trick.severity, trick.severity)
                self._note(found, trick.rule, index, severity, trick.excerpt)
        for index, each in enumerate(read):
            for rule, severity, content in self._held(each.forms.plain):
                self._note(found, rule.id, index, _LOWERED[severity] if each.document else severity, content)
            for rule, severity, content in self._held(each.forms.decoded):
                self._note(found, rule.id, index, _LOWERED[severity] if each.document else severity, content)
                weight = Severity.MEDIUM if severity is Severity.LOW else Severity.HIGH
                self._note(found, "encoded_text", index, weight, content)
        return [
            Finding(
                rule=rule,
                severity=severity,
                where=read[index].shown.where,
                threats=self._rules[rule].threats,
                excerpt=excerpt(content),
            )
            for (rule, index), (severity, content) in found.items()
            if severity is not Severity.INFO
        ]

    def _suspicious(self, contents: Iterable[tuple[Shown, str]]) -> Iterator[tuple[Shown, str]]:
        """The texts without those short ones among which together nothing can be found."""
        batch: list[tuple[Shown, str]] = []
        size = 0
        for each in contents:
            length = len(each[1])
            if length > SHORT or "\n" in each[1]:
                yield each
                continue
            batch.append(each)
            size += length
            if size > BATCH:
                yield from self._batch(batch)
                batch.clear()
                size = 0
        yield from self._batch(batch)

    def _batch(self, batch: list[tuple[Shown, str]]) -> Iterable[tuple[Shown, str]]:
        if len(batch) < FEW:
            return batch
        together = "\n".join(dict.fromkeys(content for _, content in batch))
        forms = forms_of(together, document=False)
        if forms.tricks or forms.decoded or forms.plain != [together] or self._search.may_hold(encode(together)):
            return batch
        return ()

    def _read(self, shown: Shown, content: str) -> _Read:
        document = self._documents and shown.part in _DOCUMENTS and is_document(content)
        return _Read(shown, document, forms_of(content, document=document))

    def _note(
        self, found: dict[tuple[str, int], tuple[Severity, str]], rule: str, index: int, severity: Severity, text: str
    ) -> None:
        if rule not in self._rules:
            return
        known = found.get((rule, index))
        if known is None or RANKS[known[0]] < RANKS[severity]:
            found[rule, index] = severity, text

    def _held(self, texts: Iterable[str]) -> Iterator[tuple[Rule, Severity, str]]:
        """The rules that hold somewhere in some forms of a text, each time worse than before."""
        ranks: dict[str, int] = {}
        for text in texts:
            for rule, severity, content in self._search.held(encode(text), ranks):
                ranks[rule.id] = RANKS[severity]
                yield rule, severity, content


def _content(shown: Shown) -> str | None:
    """A text as it is read; None where it is no text or too short for an order."""
    content = blob_text(shown) if shown.part is Part.BLOB else str(shown.value)
    if content is None or len(content) < MIN_TEXT:
        return None
    if not content.isascii():
        content = encode(content).decode()
    return content.translate(SEPARATED) if shown.is_key else content


@cache
def _search(rules: frozenset[str]) -> Search:
    """Compiled once for all policies of a process that use the same rules."""
    pack = load_pack()
    return Search(Filter(pack.signals, [rule for rule in pack.rules if rule.id in rules]), _automata())


@cache
def _automata() -> Automata:
    return Automata(load_pack().signals)
