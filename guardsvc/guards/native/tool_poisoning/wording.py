"""Wording: how much a text is worded like attacks, by weights of words that were learned from texts of both kinds.

A linear model. Each word, its beginning and end, and each pair of neighbours has a weight, and the weights of what one
or two sentences have are added up, so that harmless sentences around an attack do not outweigh it. The weights are
kept under hashes: no text that they were learned from is in the package. ``benchmarks/wording`` learns them.
"""

from __future__ import annotations

from array import array
from functools import cache
from importlib.resources import files
from itertools import pairwise
from string import ascii_letters
from sys import byteorder
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.tool_poisoning.sentences import ends_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "RULE",
    "Weights",
    "Worded",
    "Wording",
    "features_of",
    "load_wording",
    "most",
    "of_pairs",
    "of_word",
    "sentences_of",
    "words_of",
]

RULE = "attack_wording"
MAX_WORD = 24
"""Bytes of a word that count."""
MAX_KNOWN = 16_384
"""Words of which the weight is remembered."""
MIN_TEXT = 32
"""Characters of the shortest text that is weighed."""
BRIEF = 600
"""Characters of a text up to which its words are weighed together before its sentences are."""
BLOCK = 64
"""Words of a definition that are weighed together before its texts are read."""
TOLD = 4
"""Words that a finding names."""

_BEGINNINGS = (4, 6)
_END = 3
_AT_BEGINNING, _AT_END = crc32(b"^"), crc32(b"$")
_LETTERS = ascii_letters.encode()
WORDS = bytes(byte if byte in _LETTERS else ord("0") if chr(byte) in "0123456789" else ord(" ") for byte in range(256))
WORDS = WORDS.lower()
"""Letters become small, digits 0 and everything else a blank."""


class Weights(msgspec.Struct, frozen=True):
    """What was learned, as it is kept.

    Attributes:
        hashes: of the features, four bytes each, little-endian.
        weights: of the features in the same order, one signed byte each.
        most: that one word weighs, for or against.
        threshold: sum of weights from which on sentences are worded like an attack.
        sure: sum from which on they are so beyond doubt where something else is wrong with the definition, too.
        first_look: sum of weights above 0 that words of a definition with such sentences have, two blocks of them.
        second_look: sum of weights that words of such sentences have, without those of pairs.
    """

    hashes: bytes
    weights: bytes
    most: int
    threshold: int
    sure: int
    first_look: int
    second_look: int


class Worded(msgspec.Struct, frozen=True):
    """Sentences, and how they are worded.

    Attributes:
        score: sum of their weights.
        sentences: what they say.
        words: words and pairs of them that weigh most, the heaviest first.
    """

    score: int
    sentences: str
    words: tuple[str, ...]


class Wording:
    """Weighs texts.

    Args:
        learned: the weights.

    Attributes:
        threshold: score from which on a text is worded like an attack.
        sure: score from which on it is so beyond doubt where something else is wrong with the definition, too.
        known: words of which the weight is remembered.
    """

    def __init__(self, learned: Weights) -> None:
        hashes = array("I", learned.hashes)
        if byteorder == "big":
            hashes.byteswap()
        self.threshold = learned.threshold
        self.sure = learned.sure
        self._first_look = learned.first_look
        self._second_look = learned.second_look
        self._weights = dict(zip(hashes, array("b", learned.weights), strict=True))
        self.known = _Known(self._weights, learned.most)
        self._above_zero = self.known.above_zero

    def possible(self, words: Sequence[bytes]) -> bool:
        """Whether a definition may have a text that is worded like an attack, told from its words in lower case."""
        enough = self._first_look
        return any(weight >= enough for weight in self.in_blocks(words))

    def in_blocks(self, words: Sequence[bytes]) -> Iterator[int]:
        """The sums of the weights of a block of words and the one before it, of those above 0."""
        weight = self._above_zero.__getitem__
        before = 0
        for at in range(0, len(words), BLOCK):
            here = sum(map(weight, {*words[at : at + BLOCK]}))
            yield before + here
            before = here

    def find(self, text: str) -> Worded | None:
        """The one or two sentences of a text that are worded most like an attack, if they are so enough.

        The time is linear in the length of the text.
        """
        if len(text) < MIN_TEXT:
            return None
        data = encode(text)
        spaced = data.translate(WORDS)
        if len(text) < BRIEF and sum(map(self._above_zero.__getitem__, {*spaced.split()})) < self._second_look:
            return None
        ends = ends_of(data)
        starts = [0, *ends[:-1]]
        sentences = [spaced[start:end].split() for start, end in zip(starts, ends, strict=True)]
        scores = self.of_words(sentences)
        if most(scores) < self._second_look:
            return None
        get = self._weights.get
        scores = [
            score + sum(get(pair, 0) for pair in of_pairs(words))
            for score, words in zip(scores, sentences, strict=True)
        ]
        score, first, last = max(_runs(scores))
        if score < self.threshold:
            return None
        told = data[starts[first] : ends[last]].decode("utf-8", "replace").strip()
        return Worded(score, told, self._telling(sentences[first : last + 1]))

    def of_words(self, sentences: Sequence[list[bytes]]) -> list[int]:
        """The sum of the weights of the words of each sentence, without those of pairs."""
        weight = self.known.__getitem__
        return [sum(map(weight, {*words})) for words in sentences]

    def _telling(self, sentences: Sequence[list[bytes]]) -> tuple[str, ...]:
        """What weighs most of some sentences."""
        found: dict[bytes, int] = {}
        for words in sentences:
            found |= {word: self.known[word] for word in words}
            found |= {b" ".join(pair): self._weights.get(_of_pair(*pair), 0) for pair in pairwise(words)}
        heaviest = sorted(found, key=lambda words: (-found[words], words))[:TOLD]
        return tuple(words.decode() for words in heaviest if found[words] > 0)


@cache
def load_wording() -> Wording:
    """With the weights that are shipped with the package."""
    return Wording(msgspec.json.decode((files(__package__) / "wording.json").read_bytes(), type=Weights))


def words_of(text: bytes) -> list[bytes]:
    """The words of a text, UTF-8."""
    return text.translate(WORDS).split()


def sentences_of(text: str) -> list[bytes]:
    """The pieces of a text that are weighed, UTF-8."""
    data = encode(text)
    ends = ends_of(data)
    return [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def features_of(sentence: bytes) -> Iterator[int]:
    """The hashes of what has a weight in a sentence; one comes as often as it counts."""
    words = words_of(sentence)
    for word in {*words}:
        yield from of_word(word)
    yield from of_pairs(words)


def most(scores: Sequence[int]) -> int:
    """The largest of some scores, or of the sums of two in a row."""
    return max([*scores, *(one + other for one, other in pairwise(scores))])


def _runs(scores: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Score, first and last of one and two sentences in a row."""
    for index, score in enumerate(scores):
        yield score, index, index
        if index:
            yield scores[index - 1] + score, index - 1, index


def of_word(word: bytes) -> list[int]:
    """The hashes of a word, its beginnings and its end."""
    length = len(word)
    if length > MAX_WORD:
        word = word[:MAX_WORD]
    found = [crc32(word)]
    if length > _END:
        found.append(crc32(word[-_END:], _AT_END))
        found += [crc32(word[:count], _AT_BEGINNING) for count in _BEGINNINGS if length > count]
    return found


def of_pairs(words: Sequence[bytes]) -> set[int]:
    """The hashes of words with the next one."""
    return {*map(_of_pair, words, words[1:])}


def _of_pair(one: bytes, other: bytes) -> int:
    return crc32(b" " + other[:MAX_WORD], crc32(one[:MAX_WORD]))


class _Known(dict[bytes, int]):
    """The weight of words, of a bounded number of them.

    Args:
        weights: by hash.
        most: that a word weighs, for or against.

    Attributes:
        above_zero: the same weights as far as they are above 0.
    """

    def __init__(self, weights: Mapping[int, int], most: int) -> None:
        self._weights = weights
        self._most = most
        self.above_zero = _AboveZero(self)

    def __missing__(self, word: bytes) -> int:
        weights = self._weights
        found = 0
        for each in of_word(word):
            if each in weights:
                found += weights[each]
        found = max(-self._most, min(self._most, found))
        if len(word) <= MAX_WORD:
            if len(self) >= MAX_KNOWN:
                self.clear()
                self.above_zero.clear()
            self[word] = found
            self.above_zero[word] = max(0, found)
        return found


class _AboveZero(dict[bytes, int]):
    def __init__(self, known: _Known) -> None:
        self._known = known

    def __missing__(self, word: bytes) -> int:
        return max(0, self._known[word])
