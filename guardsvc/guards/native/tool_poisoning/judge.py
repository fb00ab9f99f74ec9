"""Judge: what the rules find in one tool's definition."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.excerpt import excerpt
from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.tool_poisoning.combination import Weighing
from guardsvc.guards.native.tool_poisoning.disguise import Trick, reveal
from guardsvc.guards.native.tool_poisoning.encoding import decoded
from guardsvc.guards.native.tool_poisoning.filter import Candidate, Filter, plain_of
from guardsvc.guards.native.tool_poisoning.imperatives import load_imperatives
from guardsvc.guards.native.tool_poisoning.page import BREAK, SEPARATED, Page
from guardsvc.guards.native.tool_poisoning.reading import Automata, Reading
from guardsvc.guards.native.tool_poisoning.shapes import shapes
from guardsvc.guards.native.tool_poisoning.texts import Place, Text, pointer, strings_of, texts_of
from guardsvc.guards.native.tool_poisoning.wording import RULE as WORDING
from guardsvc.guards.native.tool_poisoning.wording import load_wording
from guardsvc.model import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Collection

    from guardsvc.guards.native.tool_poisoning.custom import CustomRules
    from guardsvc.guards.native.tool_poisoning.pack import Pack, Rule
    from guardsvc.guards.native.tool_poisoning.siblings import Siblings

__all__ = ["RANKS", "Judge", "Look"]

RANKS = {severity: rank for rank, severity in enumerate(Severity)}
MAX_TOLD = 8_192
"""Characters of a text of which it is asked whether it speaks to anybody; a longer one does."""
_ON_ONE_LINE = bytes(ord(" ") if byte in b"\0\t\n\v\f\r" else byte for byte in range(256))
_SEPARATED = bytes(SEPARATED.get(byte, byte) for byte in range(256))


class _Hit(msgspec.Struct, frozen=True):
    severity: Severity
    text: Text
    excerpt: str


class Unfolded(msgspec.Struct, frozen=True):
    """The texts of a definition as they may be read, with those that are encoded in them, and the tricks they had."""

    texts: list[Text]
    hits: dict[str, _Hit]


class Look(msgspec.Struct, frozen=True):
    """What a quick look at a definition left to look for.

    Attributes:
        hidden: characters that may hide something.
        encoded: texts in another encoding.
        candidates: combinations that may hold.
        unfolded: what was read already, of a definition that hides something or has something encoded.
        upper: signals that it may have.
        chained: words joined by other signs than blanks.
        worded: texts that may be worded like an attack.
    """

    hidden: bool
    encoded: bool
    candidates: Sequence[Candidate]
    upper: int = -1
    chained: bool = True
    worded: bool = False
    unfolded: Unfolded | None = None

    def __bool__(self) -> bool:
        return self.hidden or self.encoded or self.worded or bool(self.candidates)


_NOTHING = Look(hidden=False, encoded=False, candidates=())
_WORDED = Look(hidden=False, encoded=False, candidates=(), worded=True)


class Judge:
    """The built-in rules, as far as they are enabled.

    Args:
        pack: the rule pack.
        custom: the operator's patterns.
        disabled: ids of rules that are left out.
    """

    def __init__(self, pack: Pack, custom: CustomRules, disabled: Collection[str] = ()) -> None:
        self._custom = custom
        self._rules = {rule.id: rule for rule in (*pack.rules, *custom.rules) if rule.id not in disabled}
        combined = [rule for rule in pack.rules if rule.combinations and rule.id in self._rules]
        self._all = [(combination, rule) for rule in combined for combination in rule.combinations]
        self._weighed = [rule.id for rule in combined if isinstance(rule.combinations[0], Weighing)]
        self._filter, self._automata = _compiled(pack, frozenset(rule.id for rule in combined))
        self._places = {
            Place.PROSE: 0,
            Place.NAME: pack.bits("in_name"),
            Place.PARAMETER: pack.bits("in_param"),
            Place.VALUE: pack.bits("in_value"),
        }
        self._in_name = pack.bits("in_name")
        self._in_value = pack.bits("in_value")
        self._absent = 0
        for combination, _ in self._all:
            self._absent |= combination.absent
        self._shapes = shapes()
        self._in_param = pack.bits("in_param")
        # Shapes may depend on where a text begins or ends, which a definition as JSON does not tell.
        self._shaped = sum(signal.bit for signal in pack.signals if signal.atoms)
        self._everywhere = self._in_param | self._in_value | self._in_name
        self._asks = pack.bits("sequence", "modal_strong")
        self._depends = pack.bits("dependency")
        self._all_of_it = Look(hidden=True, encoded=True, candidates=self._all, worded=True)
        self._wording = load_wording() if WORDING in self._rules else None
        self._addressed = pack.bits("addressed")
        self._imperatives = load_imperatives()
        self._order = pack.bits("order", "secrecy", "override")
        self._act = pack.bits("act", "send_weak", "override")

    def look(self, tools: Sequence[Any], definitions: Sequence[bytes | None]) -> list[Look]:
        """What to look for in some tools: a quick look, which for most of them ends the matter.

        Each step is done for all of them before the next one, which keeps what it works with in the
        processor's cache.

        Args:
            tools: their definitions, any JSON values.
            definitions: the same as JSON in UTF-8, or None where one cannot be written so.
        """
        known = [definition for definition in definitions if definition is not None]
        texts = plain_of(b"\0".join(known)).split(b"\0")
        flags = self._shapes.flags(known)
        unfolded: list[Unfolded | None] = [None] * len(known)
        if any(map(any, flags)):
            found_in = (tool for tool, definition in zip(tools, definitions, strict=True) if definition is not None)
            for index, (tool, (hidden, encoded)) in enumerate(zip(found_in, flags, strict=True)):
                if hidden or encoded:
                    read = unfolded[index] = self._unfold(tool, hidden=hidden, encoded=encoded)
                    texts[index] = BREAK.join(encode(text.content) for text in read.texts).translate(_ON_ONE_LINE)
        found = map(self._looked, known, unfolded, texts, self._filter.rare(texts))
        return [self._all_of_it if definition is None else next(found) for definition in definitions]

    def _looked(self, definition: bytes, unfolded: Unfolded | None, text: bytes, rare: tuple[int, list[bytes]]) -> Look:
        signals, words = rare
        hidden = unfolded is not None
        worded = self._wording is not None and self._wording.possible(words)
        if signals & self._filter.gates:
            places = self._everywhere if hidden else self._places_of(definition)
            candidates, upper = self._narrow(text, places, signals, words)
            if candidates:
                chained = bool(places & self._in_name)
                return Look(
                    hidden=hidden,
                    encoded=hidden,
                    candidates=candidates,
                    upper=upper,
                    chained=chained,
                    worded=worded,
                    unfolded=unfolded,
                )
        if hidden:
            return Look(hidden=True, encoded=True, candidates=(), worded=worded, unfolded=unfolded)
        return _WORDED if worded else _NOTHING

    def _places_of(self, definition: bytes) -> int:
        """The signals of places that texts of a definition may have."""
        values, names = self._shapes.places(definition)
        places = self._in_param
        if values:
            places |= self._in_value
        if names:
            places |= self._in_name
        return places

    def _narrow(self, plain: bytes, places: int, rare: int, words: list[bytes]) -> tuple[list[Candidate], int]:
        """The combinations whose signals the definition has, and the signals that it may have."""
        if places & self._in_name:
            plain += b"\n" + plain.translate(_SEPARATED)
        reading = Reading(self._automata, plain, places)
        gates = rare & self._filter.gates
        found = reading.find(gates)
        edged = gates & self._automata.edged & ~found
        if edged:
            # What stands at a text's edge stands beside a quote in JSON.
            found |= Reading(self._automata, plain.replace(b'"', b"\n"), 0).find(edged)
            reading.allow(found & edged)
        if not found:
            return [], 0
        reading.exclude(~(rare | self._filter.common(words) | self._absent))
        candidates = self._filter.candidates(places | (reading.upper & ~gates) | found)
        reading.assume(self._shaped)
        return [candidate for candidate in candidates if candidate[0].is_in(reading)], reading.upper

    def findings(self, tool: Any, look: Look, known: Siblings | None, *, custom: bool) -> tuple[Finding, ...]:
        """What is wrong with a tool, one finding per rule, the worst first; pointers are relative to the tool.

        Args:
            tool: its definition, any JSON value.
            look: what to look for.
            known: the tools of its server, or None where the list does not tell.
            custom: whether a custom pattern may match.
        """
        if look is _WORDED and not custom and not self._is_worded(tool):
            return ()
        unfolded = look.unfolded or self._unfold(tool, hidden=look.hidden, encoded=look.encoded)
        texts, hits = unfolded.texts, dict(unfolded.hits)
        if custom or look.hidden or look.encoded:
            for text in texts:
                for rule in self._custom.match(encode(text.content)):
                    self._note(rule.id, _Hit(rule.severity, text, text.content), hits)
        self._combine(texts, look, hits)
        if look.worded:
            self._weigh(texts, hits)
        if hits and known is not None:
            self._look_abroad(texts, known, hits)
        return self._report(hits)

    def _unfold(self, tool: Any, *, hidden: bool, encoded: bool) -> Unfolded:
        """The texts of a tool. Disguises become hits on the way."""
        if not hidden and not encoded:
            return Unfolded([*texts_of(tool)], {})
        hits: dict[str, _Hit] = {}
        texts: list[Text] = []
        for text in texts_of(tool):
            if hidden:
                content, tricks = reveal(encode(text.content).decode())
                for trick in tricks:
                    self._note(trick.rule, _Hit(self._severity(trick), text, trick.excerpt), hits)
                if content != text.content:
                    text = msgspec.structs.replace(text, content=content)  # noqa: PLW2901
            texts.append(text)
            if encoded:
                inner, all_of_it = decoded(text.content)
                texts += [msgspec.structs.replace(text, content=plain, decoded=True) for plain in inner]
                if not all_of_it:
                    self._note("unread_text", _Hit(Severity.MEDIUM, text, text.content), hits)
        return Unfolded(texts, hits)

    def _severity(self, trick: Trick) -> Severity:
        """Blanks and a few spaced letters are strong only where they hide an order."""
        if trick.rule not in {"blank_run", "letter_spacing"}:
            return trick.severity
        reading = Reading(self._automata, trick.excerpt, 0)
        return Severity.HIGH if reading.has(self._order) and reading.has(self._act) else trick.severity

    def _combine(self, texts: Sequence[Text], look: Look, hits: dict[str, _Hit]) -> None:
        """Find the combinations that hold somewhere in the texts."""
        if not look.candidates:
            return
        page = Page(texts, [self._place(text) for text in texts], self._automata, look.upper, chained=look.chained)
        for pieces, candidates in page.judge(look.candidates):
            strongest: Severity | None = None
            for combination, rule in candidates:
                hit = hits.get(rule.id)
                if hit is not None and RANKS[hit.severity] >= RANKS[combination.severity]:
                    continue
                at = pieces.first(combination)
                if at is not None:
                    strongest = strongest or self._strongest(pieces.text)
                    severity = min(combination.severity, strongest, key=RANKS.__getitem__)
                    self._hit(rule, _Hit(severity, pieces.text, pieces.content(at)), hits)
        for weighed in self._weighed:
            _drop_if_explained(weighed, hits)

    def _is_worded(self, tool: Any) -> bool:
        """Whether any string of a definition is worded like an attack, wherever it stands."""
        return self._wording is not None and any(map(self._wording.find, strings_of(tool)))

    def _weigh(self, texts: Sequence[Text], hits: dict[str, _Hit]) -> None:
        """Find the text that is worded most like an attack, if any is.

        It is strong only where it is much like one, and a rule found something by other means.
        """
        if self._wording is None:
            return
        found = [(text, self._wording.find(text.content)) for text in texts if text.place is not Place.NAME]
        worst = max(((worded.score, text, worded) for text, worded in found if worded), key=itemgetter(0), default=None)
        if worst is not None:
            score, text, worded = worst
            agreed = any(RANKS[hit.severity] >= RANKS[Severity.MEDIUM] for hit in hits.values())
            severity = Severity.HIGH if agreed and score >= self._wording.sure else Severity.MEDIUM
            told = f"{', '.join(worded.words)}: {worded.sentences}"
            self._note(WORDING, _Hit(severity, text, told), hits)

    def _strongest(self, text: Text) -> Severity:
        """The highest severity of a finding in a text: prose that speaks to nobody orders nothing."""
        if text.place in (Place.NAME, Place.VALUE) or text.decoded or len(text.content) > MAX_TOLD:
            return Severity.CRITICAL
        reading = Reading(self._automata, text.content, 0)
        addressed = reading.has(self._addressed) or self._imperatives.in_text(text.content)
        return Severity.CRITICAL if addressed else Severity.MEDIUM

    def _hit(self, rule: Rule, hit: _Hit, hits: dict[str, _Hit]) -> None:
        self._note(rule.id, hit, hits)
        if hit.text.decoded and RANKS[hit.severity] >= RANKS[Severity.MEDIUM]:
            self._note("encoded_text", _Hit(Severity.HIGH, hit.text, hit.text.content), hits)

    def _look_abroad(self, texts: Sequence[Text], known: Siblings, hits: dict[str, _Hit]) -> None:
        """Find calls of tools that are not in the list. Alone they are no sign of anything."""
        for text in texts:
            if known.calls_other(text.content):
                reading = Reading(self._automata, text.content, 0)
                if reading.has(self._asks) and not reading.has(self._depends):
                    self._note("foreign_tool", _Hit(Severity.LOW, text, text.content), hits)
                    return

    def _place(self, text: Text) -> int:
        place = self._places[text.place]
        return place | self._in_param if text.subject else place

    def _note(self, rule: str, hit: _Hit, hits: dict[str, _Hit]) -> None:
        if rule not in self._rules:
            return
        known = hits.get(rule)
        if known is None or RANKS[known.severity] < RANKS[hit.severity]:
            hits[rule] = hit

    def _report(self, hits: dict[str, _Hit]) -> tuple[Finding, ...]:
        found = [
            Finding(
                rule=rule,
                severity=hit.severity,
                where=pointer(hit.text.path),
                threats=self._rules[rule].threats,
                excerpt=excerpt(hit.excerpt),
            )
            for rule, hit in hits.items()
        ]
        return tuple(sorted(found, key=lambda finding: (-RANKS[finding.severity], finding.rule)))


def _drop_if_explained(rule: str, hits: dict[str, _Hit]) -> None:
    """Leave out what a weighing found where a rule that says more found something as bad in the same text."""
    hit = hits.get(rule)
    if hit is not None and any(
        other.text is hit.text and RANKS[other.severity] >= RANKS[hit.severity]
        for name, other in hits.items()
        if name != rule
    ):
        del hits[rule]


@lru_cache(maxsize=4)
def _compiled(pack: Pack, rules: frozenset[str]) -> tuple[Filter, Automata]:
    """What is compiled of a pack, once for all policies of a process: at a reload decisions would wait for it."""
    return Filter(pack.signals, [rule for rule in pack.rules if rule.id in rules]), Automata(pack.signals)
