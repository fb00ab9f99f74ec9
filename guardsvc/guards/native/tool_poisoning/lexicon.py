"""Lexicon: which classes a word belongs to, and as which codes clauses see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = ["ANY_VERB", "DENIED", "END", "ORDER", "PAUSE", "SHAPES", "TOLD", "WIDTH", "Entry", "Lexicon", "Role"]

ORDER, DENIED, TOLD = "+", "-", "="
"""Before a class of verbs: meant as an order, denied, or told of something that does it."""

WIDTH = 3
"""Bytes of a code: how a verb is meant, what it is as a verb, and what else it is."""
_MOODS = {"": 0x03, ORDER: 0x04, DENIED: 0x05, TOLD: 0x06}
_NO_VERB, _MOST_VERBS = 0x10, 0x7F
_NO_NOUN, _MOST_NOUNS = 0x80, 0xFF
END, PAUSE = b"\x01\x10\x80", b"\x02\x10\x80"
"""Codes of what ends a sentence, and of what ends a part of one."""

ANY_VERB = "verb"
"""The class of all verbs."""

SHAPES = ("address", "account", "path", "cited", "identifier", "risky", "number")
"""Classes of words that are told by their look."""

_VOWELS = "aeiou"


class Role:
    """What a word does to the words after it."""

    NONE, NEGATES, OBLIGES, TO, JOINS, KEEPS, VERB, PARTICIPLE = range(8)


_ROLES = {
    Role.OBLIGES: "must should shall need needs ought required mandatory obliged needed necessary",
    Role.TO: "to",
    Role.JOINS: "and or then but",
    Role.KEEPS: "please also always first just simply only silently quietly secretly too kindly now afterwards "
    "instead next finally later beforehand immediately additionally automatically so therefore thus hence otherwise "
    "subsequently thereafter furthermore moreover meanwhile again",
}


class Entry(msgspec.Struct, frozen=True):
    """A word.

    Attributes:
        plain: its code.
        ordered: its code where it is an order.
        denied: its code where it is denied.
        role: what it does to the words after it.
    """

    plain: bytes
    ordered: bytes
    denied: bytes
    role: int


class Lexicon:
    """Words by class.

    Args:
        document: ``verbs`` and ``nouns``, each a mapping from the name of a class to its words.

    Attributes:
        entries: by word, in lower case.
        shapes: the codes of words that are told by their look.
        unknown: the code of other words.
    """

    def __init__(self, document: Mapping[str, Mapping[str, str]]) -> None:  # noqa: C901  two kinds of words
        self._verbs = frozenset(document["verbs"])
        self._nouns = frozenset(document["nouns"])
        bases: dict[str, set[str]] = {}
        thirds: dict[str, set[str]] = {}
        participles: dict[str, set[str]] = {}
        nouns: dict[str, set[str]] = {}
        for name, text in document["verbs"].items():
            for given in text.split():
                base, third, others = _forms(given)
                bases.setdefault(base, set()).add(name)
                thirds.setdefault(third, set()).add(name)
                for form in others:
                    participles.setdefault(form, set()).add(name)
        for name, text in document["nouns"].items():
            for noun in text.split():
                nouns.setdefault(noun, set()).add(name)
        self._verb_codes: dict[frozenset[str], int] = {frozenset(): _NO_VERB}
        self._noun_codes: dict[frozenset[str], int] = {frozenset(): _NO_NOUN}
        self._words: dict[str, set[str]] = {}
        roles = {each: role for role, text in _ROLES.items() for each in text.split()}
        self.entries: dict[bytes, Entry] = {}
        for word in sorted({*thirds, *bases, *participles, *nouns, *roles}):
            verb = bases.get(word, set()) | participles.get(word, set())
            role = roles.get(word, Role.NONE)
            if verb and not role:
                role = Role.VERB if word in bases else Role.PARTICIPLE
            if "neg" in nouns.get(word, ()):
                role = Role.NEGATES
            moods = ("", ORDER, DENIED) if verb else (TOLD,) * 3 if word in thirds else ("",) * 3
            verb = verb or thirds.get(word, set())
            plain, ordered, denied = (self._code(mood, verb, nouns.get(word, ())) for mood in moods)
            self.entries[word.encode()] = Entry(plain, ordered, denied, role)
            for name in {*nouns.get(word, ()), *(mood + each for each in verb for mood in moods)}:
                self._words.setdefault(name, set()).add(word)
            for mood in moods if verb else ():
                self._words.setdefault(mood + ANY_VERB, set()).add(word)
        self.shapes = {shape: self._code("", (), {shape}) for shape in SHAPES}
        self.unknown = self._code("", (), ())

    def pattern(self, names: str) -> bytes:
        """RE2 pattern, Latin-1, of the codes of words of some classes, ``a|b``.

        A class of verbs stands for those that are neither denied nor told of others.
        """
        patterns = []
        for name in names.split("|"):
            bare = name.lstrip(f"{ORDER}{DENIED}{TOLD}")
            mood = name.removesuffix(bare)
            if bare == ANY_VERB or bare in self._verbs:
                moods = {_MOODS[mood], _MOODS[mood or ORDER]}
                codes = [code for classes, code in self._verb_codes.items() if classes and bare in (ANY_VERB, *classes)]
                patterns.append(b"[%s][%s][\\x80-\\xff]" % (_set_of(moods), _set_of(codes)))
            else:
                codes = [code for classes, code in self._noun_codes.items() if bare in classes]
                patterns.append(b"[\\x03-\\x06][\\x10-\\x7f][%s]" % _set_of(codes))
        return b"(?:%s)" % b"|".join(patterns)

    def words(self, name: str) -> Iterable[str] | None:
        """The words of a class; None where its words are told by their look and are any.

        Raises:
            ValueError: there is no such class.
        """
        if name in SHAPES:
            return None
        try:
            return self._words[name]
        except KeyError:
            raise ValueError(f"there is no class {name}") from None

    def _code(self, mood: str, verb: Collection[str], noun: Collection[str]) -> bytes:
        code = self._verb_codes.setdefault(frozenset(verb), _NO_VERB + len(self._verb_codes))
        other = self._noun_codes.setdefault(frozenset(noun), _NO_NOUN + len(self._noun_codes))
        if code > _MOST_VERBS or other > _MOST_NOUNS:
            raise ValueError("too many kinds of words")
        return bytes((_MOODS[mood], code, other))


def _set_of(codes: Iterable[int]) -> bytes:
    return b"".join(b"\\x%02x" % code for code in codes)


def _forms(verb: str) -> tuple[str, str, list[str]]:
    """The base form of a verb, its third person, and its other forms."""
    stem, _, irregular = verb.partition(":")
    base = stem.rstrip("*")
    if base.endswith(("s", "sh", "ch", "x", "z", "o")):
        third = f"{base}es"
    elif base.endswith("y") and base[-2] not in _VOWELS:
        third = f"{base[:-1]}ies"
    else:
        third = f"{base}s"
    if stem.endswith("*"):
        return base, third, [f"{base}{base[-1]}ed", f"{base}{base[-1]}ing"]
    running = base[:-1] if base.endswith("e") and not base.endswith("ee") else base
    others = [form for form in irregular.split(",") if form]
    if not any(form.endswith("ing") for form in others):
        others.append(f"{running}ing")
    if not irregular:
        others.append(f"{third[:-3]}ied" if third.endswith("ies") else f"{running}ed")
    return base, third, others
