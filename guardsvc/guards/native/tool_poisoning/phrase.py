r"""Phrases: how the pack writes down wording.

A phrase gives an RE2 pattern, and the words without which it cannot match. The words make a filter that
costs no automaton: a text that lacks them need not be searched.

    ignor(e|es|ing) {prior}? rules?     alternatives, macros, "?" optional, "*" any number of times
    send~                               send, sends, sended, sending ("~" is any ending)
    the \w tool                         \w is any one word, \i any identifier of several parts
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec

__all__ = ["Node", "branches_of", "frequency", "parse_phrase", "pattern_of", "required_words", "samples", "split_words"]

ENDINGS = ("", "s", "es", "d", "ed", "ing")
GAP = "[\\s\"'`*\u201c\u201d\u2018\u2019]+"
APOSTROPHES = "'\u2019"
MAX_SPELLINGS = 4096

_EVERYWHERE = """
a all an and any api are as at be by can data default description for from get http https id if in information into is
it items list name not null number object of on one only optional or page path properties required return returns set
string t s that the this title to token tool type url use used user using value when with you
"""
_OFTEN = """
about access account add address after also answer array before boolean both call check client code command contact
content contents copy create current customer date details do document don does each email error existing field fields
file files filter find first following format full function given has have history how include input integer internal
its key latest limit log made make may message model must new no now open options order other output over parameter
party please previous process project provide query raw read record records request requests response result results
run search second send server service session should show specific specified status step store summary system task text
their them then these they three time tools two under until up update users values was were what which will within
without write your
"""
_FREQUENCIES = dict.fromkeys(_OFTEN.split(), 1.0) | dict.fromkeys(_EVERYWHERE.split(), 5.0)
_RARE = 0.05


def frequency(words: Iterable[str]) -> float:
    """About how many of the words a tool's definition has, from a look at harmless ones."""
    return sum(_FREQUENCIES.get(word, _RARE) for word in words)


class Literal(msgspec.Struct, frozen=True):
    """Characters as they stand, letters in any case."""

    text: str


class Gap(msgspec.Struct, frozen=True):
    """What stands between two words."""


class Word(msgspec.Struct, frozen=True):
    """Any one word, or any identifier of several parts, such as ``send_mail``."""

    identifier: bool = False


class Sequence(msgspec.Struct, frozen=True):
    """One after another."""

    parts: tuple[Node, ...]


class Choice(msgspec.Struct, frozen=True):
    """One of several."""

    branches: tuple[Node, ...]


class Repeat(msgspec.Struct, frozen=True):
    """Once or not at all, or any number of times."""

    part: Node
    many: bool


Node: TypeAlias = Literal | Gap | Word | Sequence | Choice | Repeat


_ESCAPES: dict[str, Node] = {"\\w": Word(), "\\i": Word(identifier=True), "\\.": Literal(".")}


def parse_phrase(text: str, macros: Mapping[str, Node] = {}) -> Node:
    """Read a phrase.

    Raises:
        ValueError: it is not one.
    """
    node, rest = _alternatives(text, 0, macros)
    if rest != len(text):
        raise ValueError(f"{text!r}: unexpected {text[rest]!r} at {rest}")
    return node


def _alternatives(text: str, at: int, macros: Mapping[str, Node]) -> tuple[Node, int]:
    branches: list[Node] = []
    parts: list[Node] = []
    while at < len(text) and text[at] != ")":
        if text[at] == "|":
            branches.append(Sequence(tuple(parts)))
            parts = []
            at += 1
            continue
        node, at = _atom(text, at, macros)
        if at < len(text) and text[at] in "?*":
            if isinstance(node, Gap):
                raise ValueError(f"{text!r}: unexpected {text[at]!r} at {at}, since a word would end in two ways")
            node = Repeat(node, many=text[at] == "*")
            at += 1
        parts.append(node)
    branches.append(Sequence(tuple(parts)))
    return (branches[0] if len(branches) == 1 else Choice(tuple(branches))), at


def _atom(text: str, at: int, macros: Mapping[str, Node]) -> tuple[Node, int]:
    match text[at]:
        case " ":
            return Gap(), at + 1
        case "~":
            return Choice(tuple(Literal(ending) for ending in ENDINGS)), at + 1
        case "'":
            return Choice(tuple(Literal(mark) for mark in APOSTROPHES)), at + 1
        case "\\" if text[at : at + 2] in _ESCAPES:
            return _ESCAPES[text[at : at + 2]], at + 2
        case "{":
            end = text.index("}", at)
            return macros[text[at + 1 : end]], end + 1
        case "(":
            node, end = _alternatives(text, at + 1, macros)
            if end >= len(text):
                raise ValueError(f"{text!r}: no ) for the ( at {at}")
            return node, end + 1
        case "\\" | "?" | "*" | "+" | "}" | "[" | "]":
            raise ValueError(f"{text!r}: unexpected {text[at]!r} at {at}")
        case letter:
            return Literal(letter), at + 1


def pattern_of(node: Node) -> str:
    """The phrase in RE2 syntax, to be matched without regard to case between word boundaries."""
    match node:
        case Literal():
            return "".join(f"\\{char}" if char in r"\.+*?()|[]{}^$" else char for char in node.text)
        case Gap():
            return GAP
        case Word():
            return r"[a-z0-9]+(?:[_.:][a-z0-9]+)+" if node.identifier else r"[\w-]+"
        case Sequence():
            return "".join(map(pattern_of, node.parts))
        case Choice():
            return f"(?:{'|'.join(map(pattern_of, node.branches))})"
        case Repeat():
            return f"(?:{pattern_of(node.part)}){'*' if node.many else '?'}"


def split_words(text: str) -> list[str]:
    """The words of a text, cut at everything that is neither a letter nor a digit, in lower case."""
    return "".join(char.lower() if char.isalnum() else " " for char in text).split()


def branches_of(node: Node) -> Iterator[Node]:
    """The alternatives that a phrase has at its top."""
    if isinstance(node, Choice):
        for branch in node.branches:
            yield from branches_of(branch)
    elif isinstance(node, Sequence) and len(node.parts) == 1:
        yield from branches_of(node.parts[0])
    else:
        yield node


def required_words(node: Node) -> frozenset[frozenset[str]]:
    """Sets of words, of each of which every text that matches has at least one."""
    match node:
        case Sequence():
            segments = list(_segments(node))
        case _:
            segments = [[node]]
    return frozenset(words for segment in segments if (words := _segment_words(segment)) is not None)


def _rarest_required(node: Node) -> frozenset[str] | None:
    if isinstance(node, Choice):
        parts = [_rarest_required(branch) for branch in node.branches]
        return None if None in parts else frozenset().union(*(part for part in parts if part is not None))
    return min(required_words(node), key=lambda words: (frequency(words), sorted(words)), default=None)


def _segments(node: Sequence) -> Iterator[list[Node]]:
    """The parts between gaps. A repeated part with a gap in it ends a word on both sides."""
    segment: list[Node] = []
    for part in _flat(node):
        if isinstance(part, Gap) or (isinstance(part, Repeat) and _has_gap(part)):
            if segment:
                yield segment
            segment = []
        else:
            segment.append(part)
    if segment:
        yield segment


def _flat(node: Sequence) -> Iterator[Node]:
    for part in node.parts:
        if isinstance(part, Sequence):
            yield from _flat(part)
        else:
            yield part


def _segment_words(segment: list[Node]) -> frozenset[str] | None:
    if len(segment) == 1 and isinstance(segment[0], Choice) and _has_gap(segment[0]):
        return _rarest_required(segment[0])
    words = _segment_spellings(segment)
    if words is None or not all(words):
        return None
    return frozenset(min(found, key=lambda word: (frequency([word]), -len(word))) for found in words)


def _segment_spellings(segment: list[Node]) -> list[list[str]] | None:
    """The words of each spelling of a segment; None where they are too many or unknown."""
    spellings = [""]
    for part in segment:
        following = None if _has_gap(part) else _spellings(part)
        if following is None or len(spellings) * len(following) > MAX_SPELLINGS:
            return None
        spellings = [head + tail for head in spellings for tail in following]
    return [split_words(spelling) for spelling in spellings]


def _spellings(node: Node) -> list[str] | None:
    match node:
        case Literal():
            return [node.text]
        case Choice():
            found: list[str] = []
            for branch in node.branches:
                spellings = _spellings(branch)
                if spellings is None:
                    return None
                found += spellings
            return found
        case Sequence():
            whole = [""]
            for part in node.parts:
                following = _spellings(part)
                if following is None or len(whole) * len(following) > MAX_SPELLINGS:
                    return None
                whole = [head + tail for head in whole for tail in following]
            return whole
        case Repeat(many=False):
            spellings = _spellings(node.part)
            return None if spellings is None else ["", *spellings]
        case _:
            return None


def _has_gap(node: Node) -> bool:
    match node:
        case Gap():
            return True
        case Sequence():
            return any(map(_has_gap, node.parts))
        case Choice():
            return any(map(_has_gap, node.branches))
        case Repeat():
            return _has_gap(node.part)
        case _:
            return False


def samples(node: Node, pick: list[int]) -> str:
    """One text that the phrase matches; ``pick`` steers the choices, and is used up."""
    match node:
        case Literal():
            return node.text
        case Gap():
            return " "
        case Word():
            return "send_mail" if node.identifier else "something"
        case Sequence():
            return "".join(samples(part, pick) for part in node.parts)
        case Choice():
            return samples(node.branches[(pick.pop() if pick else 0) % len(node.branches)], pick)
        case Repeat():
            return samples(node.part, pick) if pick and pick.pop() % 2 else ""
