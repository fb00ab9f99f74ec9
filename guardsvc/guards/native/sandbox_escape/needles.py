"""Needles: short texts of which a value must have one for a pattern to match.

Nearly all values have few of them, and the automaton of all needles is small: its states are places in the needles,
not products of what patterns remember. So most patterns need not be tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

__all__ = ["needles_of"]

MAX_TEXTS = 64
"""Texts that a part of a pattern may stand for and still be written out."""
MAX_RARITY = 0.5
"""Needles that most values have are no help."""

MAX_UNROLLED = 4
"""Repetitions that are written out."""

_OFTEN = {" ": 1.0, **dict.fromkeys("\x02\x03.,-", 0.3), ";": 0.1, **dict.fromkeys("'\"/:()", 0.03)}
"""How often characters are met in everyday values; letters and digits beside, all others seldom."""
_OF_LETTER, _OF_DIGIT, _OF_OTHER = 0.25, 0.15, 0.001
_WORDS = ("and", "in", "or")
"""In most prose, more often than their letters tell."""

Texts = frozenset[str]

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


def needles_of(pattern: str) -> Texts | None:
    """Texts of which each match has one, in lower case and to be searched for without regard to case.

    Args:
        pattern: in the syntax that RE2 and ``re`` share.

    Returns:
        None where nothing can be said, or nothing that tells much.
    """
    _, needles = _sequence(_parser.parse(pattern))
    return None if needles is None or _frequency(needles) > MAX_RARITY else needles


def _sequence(parts: Iterable[tuple[Any, Any]]) -> tuple[Texts | None, Texts | None]:
    """All that a sequence stands for, None where that is not known or too much; and the best needles of it."""
    run, best, is_whole = frozenset({""}), None, True
    for operator, value in _unrolled(parts):
        texts, needles = _part(operator, value)
        if texts is not None and len(run) * len(texts) <= MAX_TEXTS:
            run = frozenset(before + after for before in run for after in texts)
            continue
        best = _rarest(best, run, needles)
        run = frozenset({""}) if texts is None else texts
        is_whole = False
    return run if is_whole else None, _rarest(best, run)


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


def _part(operator: Any, value: Any) -> tuple[Texts | None, Texts | None]:
    if operator is _constants.LITERAL:
        return frozenset({chr(value).lower()}), None
    if operator is _constants.IN:
        return _characters(value), None
    if operator is _constants.AT:
        return frozenset({""}), None
    if operator is _constants.SUBPATTERN:
        return _sequence(value[3])
    if operator is _constants.BRANCH:
        return _branch([_sequence(branch) for branch in value[1]])
    if operator in _REPEATS and value[1] == 1:
        texts, _ = _sequence(value[2])
        return None if texts is None else texts | {""}, None
    return None, None


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


def _branch(branches: list[tuple[Texts | None, Texts | None]]) -> tuple[Texts | None, Texts | None]:
    texts: set[str] = set()
    needles: set[str] = set()
    is_whole = has_needles = True
    for whole, best in branches:
        is_whole = is_whole and whole is not None
        texts.update(whole or ())
        rarest = _rarest(best, whole)
        has_needles = has_needles and rarest is not None
        needles.update(rarest or ())
    if is_whole and len(texts) <= MAX_TEXTS:
        return frozenset(texts), None
    return None, frozenset(needles) if has_needles else None


def _rarest(*choices: Texts | None) -> Texts | None:
    """The needles that values have most seldom; what may be empty is none."""
    usable = [choice for choice in choices if choice and "" not in choice]
    return min(usable, key=_frequency) if usable else None


def _frequency(needles: Texts) -> float:
    """About how many of the needles an everyday value has."""
    return sum(1.0 if needle in _WORDS else math.prod(map(_often, needle)) for needle in needles)


def _often(char: str) -> float:
    if "a" <= char <= "z":
        return _OF_LETTER
    return _OF_DIGIT if char.isdecimal() else _OFTEN.get(char, _OF_OTHER)
