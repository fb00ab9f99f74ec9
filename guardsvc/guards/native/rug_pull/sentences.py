"""Sentences: which ones of a text say something that another text does not say."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["added_sentences"]

SAME = 0.75
"""A sentence is not new if this part of its words stands in one old sentence."""
MAX_FAMILIAR = 64
"""Old sentences that one new sentence is compared with, those with its rarest words first."""

_END = re.compile(r"(?<=[.!?;])\s+|\n+")
_WORD = re.compile(r"\w+")


def added_sentences(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """The sentences of ``after`` that are new, in order.

    Time is linear in the texts: a sentence is compared with a bounded number of others.
    """
    known = [words for text in before for part in _parts(text) if (words := _words(part))]
    exact = set(known)
    by_word: dict[str, list[int]] = defaultdict(list)
    for index, old in enumerate(known):
        for word in old:
            by_word[word].append(index)
    new: list[str] = []
    for text in after:
        for part in _parts(text):
            words = _words(part)
            if words and words not in exact and not _is_familiar(words, known, by_word):
                new.append(part)
    return new


def _is_familiar(words: frozenset[str], known: list[frozenset[str]], by_word: dict[str, list[int]]) -> bool:
    tried: set[int] = set()
    for word in sorted(words, key=lambda word: len(by_word.get(word, ()))):
        for index in by_word.get(word, ())[: MAX_FAMILIAR - len(tried)]:
            if index not in tried:
                tried.add(index)
                if len(words & known[index]) >= SAME * len(words):
                    return True
        if len(tried) >= MAX_FAMILIAR:
            break
    return False


def _parts(text: str) -> list[str]:
    return [part for part in _END.split(text) if part.strip()]


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))
