"""The filter before the automaton: which signals a tool's definition can have at all, told from its words.

Most definitions can have none of the rules, and telling so by words costs the same for a text that was
never seen as for any other, which a lazily built automaton does not.
"""

from __future__ import annotations

from string import ascii_letters, digits
from typing import TYPE_CHECKING, TypeAlias

import re2

from guardsvc.guards.native.matcher import Matcher
from guardsvc.guards.native.tool_poisoning.combination import Weighing
from guardsvc.guards.native.tool_poisoning.phrase import frequency

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from guardsvc.guards.native.tool_poisoning.combination import Combination
    from guardsvc.guards.native.tool_poisoning.pack import Rule, Signal

__all__ = ["Candidate", "Filter", "plain_of"]

Candidate: TypeAlias = "tuple[Combination | Weighing, Rule]"

_LETTERS = (ascii_letters + digits).encode()
_WORDS = bytes(byte if byte in _LETTERS or not byte else ord(" ") for byte in range(256)).lower()
"""Everything but letters and digits becomes a blank, except the byte 0 between two texts."""
_BACKSLASH = b"\x01"
"""Stands for an escaped backslash: JSON has no control characters."""
_ESCAPES = ((rb"\n", b" "), (rb"\t", b" "), (rb"\r", b" "), (rb"\"", b'"'), (_BACKSLASH, b"\\"))


class Filter:
    """Signals and rules that a definition may have, and never one less than it has.

    Args:
        signals: all signals of a pack.
        rules: the rules that are in use.

    Attributes:
        gates: signals of one of which every combination has need.
    """

    def __init__(self, signals: Iterable[Signal], rules: Sequence[Rule]) -> None:
        used = _used(rules)
        kept = [signal for signal in signals if signal.bit & used]
        self._rare = _Index((need, signal.bit) for signal in kept for need in signal.needs if not signal.common)
        self._common = _Index((need, signal.bit) for signal in kept for need in signal.needs if signal.common)
        self._vocabulary = self._rare.vocabulary | self._common.vocabulary
        atoms: dict[str, int] = {}
        for signal in kept:
            for atom in signal.atoms:
                atoms[atom] = atoms.get(atom, 0) | signal.bit
        self._atoms = Matcher((f"(?i){re2.escape(atom)}", bits) for atom, bits in atoms.items())
        self._combinations = _by_first_group(rules)
        self._weighings = [(each, rule) for rule in rules for each in rule.combinations if isinstance(each, Weighing)]
        self.gates = sum(self._combinations)
        for weighing, _ in self._weighings:
            self.gates |= weighing.gate

    def rare(self, texts: Sequence[bytes]) -> Iterator[tuple[int, list[bytes]]]:
        """The signals that are not common and that each text may have, and its words.

        Args:
            texts: definitions as ``plain_of`` gives them.
        """
        atoms = [self._atoms.match(text) for text in texts]
        by_text = b"\0".join(texts).translate(_WORDS).split(b"\0")
        for known, spaced in zip(atoms, by_text, strict=True):
            words = spaced.split()
            yield known | self._rare.signals(words), words

    def common(self, words: Collection[bytes]) -> int:
        """The common signals that a text of these words may have."""
        return self._common.signals(words)

    def known(self, text: bytes) -> tuple[int, frozenset[bytes]]:
        """Signals that a text may have for its substrings, and those of its words that signals need."""
        words = self._vocabulary.intersection(text.translate(_WORDS).split())
        return self._atoms.match(text), words

    def of_words(self, words: frozenset[bytes]) -> int:
        """The signals that are not common and that a text of these words may have, but for its substrings."""
        return self._rare.signals(words)

    def candidates(self, signals: int) -> list[Candidate]:
        """The combinations that a text with these signals may have, with their rules."""
        found: list[Candidate] = []
        seen = 0
        rest = signals & self.gates
        while rest:
            bit = rest & -rest
            for first, others, candidate in self._combinations.get(bit, ()):
                if first & seen:
                    continue
                for group in others:
                    if not signals & group:
                        break
                else:
                    found.append(candidate)
            seen |= bit
            rest ^= bit
        found += [candidate for candidate in self._weighings if candidate[0].possible(signals)]
        return found


def plain_of(definition: bytes) -> bytes:
    """Definitions, JSON in UTF-8, with their escapes as they read.

    The keyword ``required`` is left out, which is a word of rules too.
    """
    definition = definition.replace(b'"required":', b"")
    if b"\\" in definition:
        definition = definition.replace(b"\\\\", _BACKSLASH)
        for escape, plain in _ESCAPES:
            definition = definition.replace(escape, plain)
    return definition


class _Index:
    """Signals by the words without which they cannot be."""

    __slots__ = ("_known", "vocabulary")

    def __init__(self, needs: Iterable[tuple[frozenset[frozenset[str]], int]]) -> None:
        phrases: dict[frozenset[frozenset[str]], int] = {}
        for sets, signals in needs:
            phrases[sets] = phrases.get(sets, 0) | signals
        alone: dict[str, int] = {}
        bits: dict[frozenset[str], int] = {}
        anchored: dict[str, list[tuple[int, int]]] = {}
        for sets, signals in phrases.items():
            if len(sets) == 1:
                for word in next(iter(sets)):
                    alone[word] = alone.get(word, 0) | signals
                continue
            need = 0
            for words in sets:
                need |= bits.setdefault(words, 1 << len(bits))
            for word in min(sets, key=_rarity):
                anchored.setdefault(word, []).append((need, signals))
        in_sets: dict[str, int] = {}
        for words, bit in bits.items():
            for word in words:
                in_sets[word] = in_sets.get(word, 0) | bit
        # By word: the signals that it alone makes possible, the sets it is in, and the phrases that have it as
        # their rarest: the bits of all sets of the phrase, and its signals.
        self._known = {
            word.encode(): (alone.get(word, 0), in_sets.get(word, 0), tuple(anchored.get(word, ())))
            for word in {*alone, *in_sets}
        }
        self.vocabulary = frozenset(self._known)

    def signals(self, words: Collection[bytes]) -> int:
        """The signals that a text of these words may have."""
        found = needs = 0
        known = self._known
        phrases: list[tuple[int, int]] = []
        for word in self.vocabulary.intersection(words):
            alone, needed, anchored = known[word]
            if alone:
                found |= alone
            needs |= needed
            if anchored:
                phrases += anchored
        missing = ~needs
        for need, signals in phrases:
            if not need & missing:
                found |= signals
        return found


def _rarity(words: frozenset[str]) -> tuple[float, list[str]]:
    return frequency(words), sorted(words)


def _used(rules: Iterable[Rule]) -> int:
    """The signals that some combination needs; what it only excludes does not matter here."""
    used = 0
    for rule in rules:
        for combination in rule.combinations:
            used |= combination.needed & ~combination.absent
    return used


def _by_first_group(rules: Iterable[Rule]) -> dict[int, list[tuple[int, tuple[int, ...], Candidate]]]:
    """Combinations by each signal of their rarest group: the group, the others, the combination and its rule."""
    found: dict[int, list[tuple[int, tuple[int, ...], Candidate]]] = {}
    for rule in rules:
        for combination in rule.combinations:
            if isinstance(combination, Weighing):
                continue
            first, *others = combination.groups
            rest = first
            while rest:
                bit = rest & -rest
                found.setdefault(bit, []).append((first, tuple(others), (combination, rule)))
                rest ^= bit
    return found
