"""The built-in rule pack: signals and the rules that combine them, read from the two YAML files beside this one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.config.shipped import read_shipped
from guardsvc.guards.native.tool_poisoning.combination import Combination, Weighing
from guardsvc.guards.native.tool_poisoning.phrase import (
    Node,
    branches_of,
    frequency,
    parse_phrase,
    pattern_of,
    required_words,
)
from guardsvc.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SHAPES", "Pack", "Rule", "Signal", "build_pack", "load_pack"]


class Signal(msgspec.Struct, frozen=True):
    """One fact about a piece of text.

    Attributes:
        name: as rules call it.
        bit: its bit in a mask.
        pattern: RE2 pattern; empty for a fact that the place of the text gives.
        phrases: those of the pattern's alternatives that are wording.
        needs: for each alternative of the phrases, sets of words of each of which a text that matches has one.
        common: whether many harmless definitions have it.
        atoms: a text without any of these substrings, in lower case, has none of the other alternatives.
        expected: about how often a harmless definition has what the signal needs.
    """

    name: str
    bit: int
    pattern: str
    phrases: tuple[Node, ...]
    needs: frozenset[frozenset[frozenset[str]]]
    atoms: frozenset[str]
    common: bool
    expected: float


class Rule(msgspec.Struct, frozen=True):
    """One way of attacking.

    Attributes:
        id: name of the rule in findings.
        threats: threat ids.
        severity: of the rule's strongest finding.
        catches: what it does, as a sentence without a subject.
        combinations: the strongest first; empty where code looks for it.
    """

    id: str
    threats: tuple[str, ...]
    severity: Severity
    catches: str
    combinations: tuple[Combination | Weighing, ...] = ()


class Pack(msgspec.Struct, frozen=True, eq=False):
    """Everything that is known about attacks.

    Attributes:
        signals: in the order of their bits.
        rules: those of combinations, then the others.
        names: masks of signals and groups.
    """

    signals: tuple[Signal, ...]
    rules: tuple[Rule, ...]
    names: dict[str, int]

    def bits(self, *names: str) -> int:
        """The mask of some signals and groups."""
        mask = 0
        for name in names:
            mask |= self.names[name]
        return mask


HEAVY = 1.7
"""Weight of a sign from which on it can begin a finding."""

_HIDDEN = ("SAF-T1402", "MCP03")
SHAPES = (
    Rule(
        "foreign_tool",
        ("SAF-T1008", "SAF-T1301", "MCP03"),
        Severity.LOW,
        "has the model call a tool that its own server does not have; counts only beside other findings",
    ),
    Rule(
        "split_attack",
        ("SAF-T1001", "SAF-T1301", "MCP03"),
        Severity.HIGH,
        "is a part of an attack whose other parts stand in further definitions of the catalog",
    ),
    Rule(
        "attack_wording",
        ("SAF-T1001", "MCP03"),
        Severity.HIGH,
        "is worded like attacks, by weights of its words that were learned from texts of both kinds",
    ),
    Rule("unicode_tags", _HIDDEN, Severity.CRITICAL, "writes text in characters of the tags block, which nobody sees"),
    Rule("bidi_control", _HIDDEN, Severity.HIGH, "shows text in another order than the model reads it"),
    Rule("zero_width", _HIDDEN, Severity.HIGH, "splits or pads words with characters of no width"),
    Rule("variation_selectors", _HIDDEN, Severity.HIGH, "writes data in a run of variation selectors"),
    Rule("homoglyphs", _HIDDEN, Severity.MEDIUM, "mixes look-alike letters of another script into a Latin word"),
    Rule(
        "compatibility_forms", _HIDDEN, Severity.MEDIUM, "spells words in mathematical, circled or full-width letters"
    ),
    Rule("ansi_escape", _HIDDEN, Severity.HIGH, "has terminal escape sequences, which hide or overwrite what is shown"),
    Rule("control_characters", _HIDDEN, Severity.MEDIUM, "has control characters that no text needs"),
    Rule("blank_run", _HIDDEN, Severity.HIGH, "pushes an order out of sight behind a long run of blanks"),
    Rule("letter_spacing", _HIDDEN, Severity.HIGH, "spells an order letter by letter"),
    Rule("leetspeak", _HIDDEN, Severity.MEDIUM, "spells words of an order with digits for letters"),
    Rule("encoded_text", _HIDDEN, Severity.HIGH, "has an order in Base64, hex, percent, entity or backslash encoding"),
    Rule("unread_text", _HIDDEN, Severity.MEDIUM, "has more encoded text than is decoded, so that some was not read"),
)
"""Rules that code looks for: siblings, split attacks, wording, disguise and encoding. The severity is the highest."""


@cache
def load_pack() -> Pack:
    """The pack that is shipped with the package."""
    return build_pack(read_shipped(__package__, "signals.yaml"), read_shipped(__package__, "rules.yaml"), SHAPES)


def build_pack(wording: dict[str, Any], document: dict[str, Any], shapes: tuple[Rule, ...]) -> Pack:
    """A pack of signals and rules as the YAML files have them.

    Args:
        wording: macros and signals.
        document: groups and rules.
        shapes: rules that code looks for.
    """
    signals = _signals(wording)
    names = {signal.name: signal.bit for signal in signals}
    common = sum(signal.bit for signal in signals if signal.common)
    expected = {signal.bit: signal.expected for signal in signals}
    for name, text in document["groups"].items():
        names[name] = _any_of(text, names)
    rules = (*_rules(document["rules"], names, common, expected), *shapes)
    return Pack(signals=signals, rules=rules, names=names)


def _signals(document: dict[str, Any]) -> tuple[Signal, ...]:
    macros: dict[str, Node] = {}
    for name, text in document["macros"].items():
        macros[name] = parse_phrase(text, macros)
    return tuple(
        _signal(name, 1 << index, given, macros) for index, (name, given) in enumerate(document["signals"].items())
    )


def _signal(name: str, bit: int, given: dict[str, Any], macros: dict[str, Node]) -> Signal:
    phrases = tuple(parse_phrase(text, macros) for text in given.get("words", ()))
    raw = given.get("raw", ())
    patterns = [f"(?:{pattern})" for pattern, _ in raw]
    if phrases:
        patterns.append(rf"(?i:\b(?:{'|'.join(map(pattern_of, phrases))})\b)")
    branches = [branch for phrase in phrases for branch in branches_of(phrase)]
    needs = frozenset(required_words(branch) for branch in branches)
    if frozenset() in needs:
        raise ValueError(f"signal {name}: a phrase requires no word")
    atoms = frozenset(atom for _, atoms in raw for atom in (atoms.split(" ") if isinstance(atoms, str) else atoms))
    expected = sum(min(map(frequency, words)) for words in needs) + frequency(atoms)
    return Signal(name, bit, "|".join(patterns), phrases, needs, atoms, given.get("common", False), expected)


def _rules(
    document: list[dict[str, Any]], names: dict[str, int], common: int, expected: dict[int, float]
) -> list[Rule]:
    rules = []
    for given in document:
        severity = Severity(given["severity"])
        span = given.get("span", 2)
        if "weighs" in given:
            rules.append(_weighed(given, names))
            continue
        strong = [_combination(text, severity, span, names, common, expected) for text in given.get("when", [])]
        weak = [_combination(text, Severity.MEDIUM, span, names, common, expected) for text in given.get("review", [])]
        rules.append(
            Rule(given["id"], tuple(given["threats"]), severity, given["catches"], combinations=(*strong, *weak))
        )
    return rules


def _combination(
    text: str, severity: Severity, span: int, names: dict[str, int], common: int, expected: dict[int, float]
) -> Combination:
    groups: list[int] = []
    absent = 0
    for term in text.split("&"):
        name = term.strip()
        if name.startswith("!"):
            absent |= names[name[1:]]
        else:
            groups.append(_any_of(name.removeprefix("(").removesuffix(")"), names))
    groups.sort(key=lambda group: (bool(group & common), sum(expected[bit] for bit in _bits(group))))
    if groups[0] & common:
        raise ValueError(f"{text}: every combination needs a signal that is not common")
    needed = absent
    for group in groups:
        needed |= group
    of_names = bool(needed & (names["in_name"] | names["context_name"]))
    return Combination(severity, tuple(groups), absent, span, needed, of_names)


def _weighed(given: dict[str, Any], names: dict[str, int]) -> Rule:
    aspects = tuple(
        tuple(sorted(((names[name], weight) for name, weight in aspect.items()), key=lambda pair: -pair[1]))
        for aspect in given["weighs"].values()
    )
    against = tuple((names[name], less) for name, less in given["against"].items())
    weights = [pair for aspect in aspects for pair in aspect]
    sorted_aspects = tuple((sum(bit for bit, _ in aspect), aspect) for aspect in aspects)
    heavy = sum(bit for bit, weight in weights if weight >= HEAVY)
    needed = sum({bit for bit, _ in (*weights, *against)})
    weighings = tuple(
        Weighing(
            Severity(severity),
            total,
            sorted_aspects,
            against,
            given["span"],
            needed,
            heavy,
            sum(bit for bit, _ in against),
        )
        for severity, total in given["sums"].items()
    )
    return Rule(given["id"], tuple(given["threats"]), Severity(given["severity"]), given["catches"], weighings)


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield mask & -mask
        mask &= mask - 1


def _any_of(text: str, names: dict[str, int]) -> int:
    mask = 0
    for name in text.split("|"):
        mask |= names[name.strip()]
    return mask
