"""Names: how alike two names are, to a reader who does not look twice."""

from __future__ import annotations

import re
import unicodedata

from guardsvc.guards.native.tool_poisoning.characters import HIDDEN, LOOKALIKES

__all__ = [
    "MAX_NAME",
    "distance",
    "fold",
    "is_disguised",
    "is_disguised_as",
    "is_near",
    "is_near_host",
    "skeleton",
    "skeleton_of",
]

MAX_NAME = 256
"""Characters of a name that are compared."""
_HIDDEN = re.compile(f"[{HIDDEN}]+")
_SEPARATORS = re.compile(r"[\s_.:/-]+")
_TWINS = frozenset("0135|!")
_ASCII_TWINS = str.maketrans("0135|!", "olesll")
_NEAR = 6
"""Characters from which on one typing error makes a near name, and twice as many from which on two do."""


def fold(name: str) -> str:
    """The name in lower case and without separators, so that ``read-file`` and ``readFile`` are one."""
    return _SEPARATORS.sub("", name[:MAX_NAME].casefold())


def skeleton(name: str) -> str:
    """What a name looks like: hidden characters gone, look-alikes of any script as the Latin letter."""
    text = name[:MAX_NAME]
    if text.isascii():
        return _twins(fold(text))
    return _twins(_SEPARATORS.sub("", _plain(text).casefold()))


def skeleton_of(name: str, folded: str) -> str:
    """The skeleton of a name that is folded already."""
    return _twins(folded) if name.isascii() else skeleton(name)


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", _HIDDEN.sub("", text)).translate(LOOKALIKES)
    if text.isascii():
        return text
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


def _twins(text: str) -> str:
    return text.translate(_ASCII_TWINS).replace("rn", "m").replace("vv", "w").replace("i", "l")


def is_disguised(name: str) -> bool:
    """Whether a name has characters that stand for others, not letters of the alphabet it is read in."""
    return is_disguised_as(fold(name))


def is_disguised_as(folded: str) -> bool:
    """The same of a name that is folded already."""
    return not folded.isascii() or not _TWINS.isdisjoint(folded)


def is_near(name: str, known: str) -> bool:
    """Whether a name, which is another one, can be taken for a known one: look-alikes, or a typing error or two."""
    if skeleton(name) == skeleton(known):
        return True
    one, other = fold(name), fold(known)
    allowed = 0 if len(other) < _NEAR else 1 if len(other) < 2 * _NEAR else 2
    return allowed > 0 and distance(one, other, allowed) <= allowed


def is_near_host(host: str, known: str) -> bool:
    """Whether a host, which is another one, can be taken for a known one: label by label, or by its beginning."""
    labels, of_known = host.split("."), known.split(".")
    same = len(labels) == len(of_known)
    if same and all(one == other or is_near(one, other) for one, other in zip(labels, of_known, strict=True)):
        return True
    return host.startswith(f"{known}.") or known.replace(".", "-") in labels[0]


def distance(one: str, other: str, most: int) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours between two names; ``most + 1`` for any beyond."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before_last: list[int] = []
    last = list(range(len(other) + 1))
    for at, char in enumerate(one, start=1):
        row = [at]
        for index, against in enumerate(other, start=1):
            cost = min(last[index] + 1, row[index - 1] + 1, last[index - 1] + (char != against))
            if at > 1 and index > 1 and char == other[index - 2] and one[at - 2] == against:
                cost = min(cost, before_last[index - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before_last, last = last, row
    return min(last[-1], most + 1)
