"""Needles: short texts of which a value must have some for a pattern to match.

A pattern matches in one of several ways, and a text that matches in a way has a needle of each of its sets. Nearly all
values lack one, and the automaton of all needles is small: its states are places in the needles, not products of what
patterns remember. So most patterns need not be tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

__all__ = ["MAX_SETS", "Texts", "Way", "ways_of"]

MAX_WAYS = 24
"""Ways of one pattern that are told apart."""
MAX_TEXTS = 64
"""Texts that a part of a pattern may stand for and still be written out."""
MAX_RARITY = (0.5, 0.15)
"""About how many of the needles of its first and second set an everyday value may have: others are no help."""
MAX_SETS = len(MAX_RARITY)
"""Sets of a way that are searched for, the rarest ones."""

MAX_UNROLLED = 4
"""Repetitions that are written out."""

_OFTEN = {" ": 1.0, **dict.fromkeys("\x02\x03.,-", 0.3), ";": 0.1, **dict.fromkeys("'\"/:()", 0.03)}
"""How often characters are met in everyday values; letters and digits beside, all others seldom."""
_OF_LETTER, _OF_DIGIT, _OF_OTHER = 0.25, 0.15, 0.001
_WORDS = ("and", "in", "or")
"""In most prose, more often than their letters tell."""

Texts = frozenset[str]
Way = tuple[Texts, ...]
"""Sets of needles; a text that matches has one of each."""

_ANY: list[Way] = [()]
"""Ways of what nothing can be said of."""
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


def ways_of(pattern: str) -> frozenset[Way]:
    """The ways in which a pattern matches, needles in lower case and to be searched for without regard to case.

    Args:
        pattern: in the syntax that RE2 and ``re`` share.

    Returns:
        One or more; a way without sets is one of which nothing can be said, or nothing that tells much.
    """
    _, ways = _sequence(_parser.parse(pattern))
    return frozenset(map(_telling, ways))


def _telling(way: Way) -> Way:
    rare = sorted((_frequency(needles), sorted(needles)) for needles in set(way))
    return tuple(
        frozenset(needles) for (frequency, needles), most in zip(rare, MAX_RARITY, strict=False) if frequency <= most
    )


def _sequence(parts: Iterable[tuple[Any, Any]]) -> tuple[Texts | None, list[Way]]:
    """All that a sequence stands for, None where that is not known or too much; and its ways."""
    run, ways, is_whole = frozenset({""}), _ANY, True
    for operator, value in _unrolled(parts):
        texts, inner = _part(operator, value)
        if texts is not None and len(run) * len(texts) <= MAX_TEXTS:
            run = frozenset(before + after for before in run for after in texts)
            continue
        ways = _both(_both(ways, _of_texts(run)), inner)
        run = frozenset({""}) if texts is None else texts
        is_whole = False
    return run if is_whole else None, _both(ways, _of_texts(run))


def _unrolled(parts: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """The parts, with what is repeated written out as often as it must be there, and then whatever follows."""
    for operator, value in parts:
        if operator not in _REPEATS or value[0] == 0:
            yield operator, value
            continue
        least, most, repeated = value
        for _ in range(min(least, MAX_UNROLLED)):
            yield _constants.SUBPATTERN, (None, 0, 0, repeated)
        if most > min(least, MAX_UNROLLED):
            yield _constants.ANY, None


def _part(operator: Any, value: Any) -> tuple[Texts | None, list[Way]]:
    """All that a part stands for, and where that is not known its ways."""
    if operator is _constants.LITERAL:
        return frozenset({chr(value).lower()}), _ANY
    if operator is _constants.IN:
        return _characters(value), _ANY
    if operator is _constants.AT:
        return frozenset({""}), _ANY
    if operator is _constants.SUBPATTERN:
        texts, ways = _sequence(value[3])
        return texts, _ANY if texts is not None else ways
    if operator is _constants.BRANCH:
        return _branch([_sequence(branch) for branch in value[1]])
    if operator in _REPEATS and value[1] == 1:
        texts, _ = _sequence(value[2])
        return None if texts is None else texts | {""}, _ANY
    return None, _ANY


def _characters(members: Iterable[tuple[Any, Any]]) -> Texts | None:
    found: set[str] = set()
    for operator, value in members:
        if operator is _constants.LITERAL:
            found.add(chr(value).lower())
        elif operator is _constants.RANGE and value[1] - value[0] < MAX_TEXTS // 2:
            found.update(chr(point).lower() for point in range(value[0], value[1] + 1))
        elif operator is _constants.CATEGORY and value is _constants.CATEGORY_DIGIT:
            found.update("0123456789")
        else:
            return None
    return frozenset(found)


def _branch(branches: list[tuple[Texts | None, list[Way]]]) -> tuple[Texts | None, list[Way]]:
    texts: set[str] = set()
    ways: list[Way] = []
    for whole, inner in branches:
        texts.update(whole or ())
        if whole is None:
            ways += inner
    if not ways and len(texts) <= MAX_TEXTS:
        return frozenset(texts), _ANY
    if texts:
        ways += _of_texts(frozenset(texts))
    return None, ways if len(ways) <= MAX_WAYS else _as_one(ways)


def _of_texts(texts: Texts) -> list[Way]:
    """The way of one of some texts; what may be empty tells nothing."""
    return _ANY if not texts or "" in texts else [(texts,)]


def _both(ways: list[Way], others: list[Way]) -> list[Way]:
    """The ways of something with something else behind it."""
    if len(ways) * len(others) > MAX_WAYS:
        others = _as_one(others)
    return [way + other for way in ways for other in others]


def _as_one(ways: list[Way]) -> list[Way]:
    """One way for all of them: with a needle of the rarest set of one of them."""
    rarest = [min(way, key=_frequency, default=None) for way in ways]
    needles: set[str] = set()
    for texts in rarest:
        if texts is None:
            return _ANY
        needles |= texts
    return [(frozenset(needles),)]


def _frequency(needles: Texts) -> float:
    """About how many of the needles an everyday value has."""
    return sum(1.0 if needle in _WORDS else math.prod(map(_often, needle)) for needle in needles)


def _often(char: str) -> float:
    if "a" <= char <= "z":
        return _OF_LETTER
    return _OF_DIGIT if char.isdecimal() else _OFTEN.get(char, _OF_OTHER)
