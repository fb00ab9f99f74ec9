"""Imperatives: whether a text has any order in it, told from its grammar and not from its wording.

A text is read word by word, in parts that end at punctuation or with a paragraph. An order is a part that begins with a
verb ("send it", ", replacing what was said"), maybe behind words such as "then" or "quietly", or with a negation that a
verb follows closely ("do not tell", "without asking").
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from guardsvc.config.shipped import read_shipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Imperatives", "load_imperatives"]

_SCOPE = 3
"""Words after a negation of which one may be the verb that it denies."""

_OPENING = "([{<\"'`*_~"
_CLOSING = ")]}>\"'`*_~.,:;!?"
_QUOTES = frozenset("`'\"")
_PAUSES = frozenset(".,:;!?)")
_PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": " , ",
        "\u2014": " , ",
        "\u2022": " ; ",
        "\u2026": " . ",
    }
)
_PARAGRAPHS = ("\n\n", "\n-", "\n*")


class Imperatives:
    """Finds orders.

    Args:
        document: ``verbs`` in their base form, words that may be ``leading``, and ``negations``, each apart by blanks.
    """

    def __init__(self, document: Mapping[str, str]) -> None:
        verbs = frozenset(document["verbs"].split())
        stems = {verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb for verb in verbs}
        self._verbs = verbs | {f"{stem}{last}ing" for stem in stems for last in ("", stem[-1])}
        self._leading = frozenset(document["leading"].split())
        self._negations = frozenset(document["negations"].split())

    def in_text(self, text: str) -> bool:
        """Whether a text orders anything, be it to do something or to leave it.

        The time is linear in the length of the text.
        """
        first, denied = True, 0
        for word, begins, ends in _words(text):
            if begins:
                first, denied = True, 0
            if word in self._verbs and (first or denied):
                return True
            if word in self._negations:
                denied = _SCOPE if first or denied else 0
                first = False
            else:
                denied -= denied > 0
                first = first and word in self._leading
            if ends:
                first, denied = True, 0
        return False


@cache
def load_imperatives() -> Imperatives:
    """With the words that are shipped with the package."""
    return Imperatives(read_shipped(__package__, "imperatives.yaml"))


def _words(text: str) -> Iterator[tuple[str, bool, bool]]:
    """The words of a text in lower case, and whether a part of a sentence begins before or ends behind each.

    What is quoted alone is no word.
    """
    text = text.translate(_PLAIN)
    for paragraph in _PARAGRAPHS:
        text = text.replace(paragraph, " ; ")
    for token in text.lower().split():
        core = token.lstrip(_OPENING)
        word = core.rstrip(_CLOSING)
        tail = core[len(word) :]
        cited = token[0] in _QUOTES and not _QUOTES.isdisjoint(tail)
        begins = "(" in token[: len(token) - len(core)]
        yield "" if cited else word, begins, not _PAUSES.isdisjoint(tail)
