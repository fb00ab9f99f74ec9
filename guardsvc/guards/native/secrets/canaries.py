"""Canaries: values that are nowhere but in a trap, found in whatever form they leave."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from guardsvc.guards.native.secrets.encodings import (
    FOLD,
    MIN_LENGTH,
    exact_forms,
    folded_forms,
    letters_of,
    written_out,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["MIN_LENGTH", "Canaries", "plain_length"]

_GROUP = 4


def plain_length(canary: str) -> int:
    """How many letters and digits a canary has."""
    return len(letters_of(canary.encode()))


class Canaries:
    """Searches for all canaries at once.

    A text is reduced to its letters and digits, look-alikes among them, as it stands and without its escapes. In these
    a canary is looked for in all forms that ``encodings`` knows.

    Args:
        canaries: values by name.
    """

    def __init__(self, canaries: Mapping[str, str]) -> None:
        self._digests = {
            name: hashlib.blake2b(value.encode(), digest_size=6).hexdigest() for name, value in canaries.items()
        }
        folded: dict[bytes, str] = {}
        encoded: dict[bytes, str] = {}
        for name, value in canaries.items():
            for form in folded_forms(value):
                folded.setdefault(form, name)
            for form in exact_forms(value):
                encoded.setdefault(form, name)
        self._folded, self._encoded = _Needles(folded), _Needles(encoded)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def excerpt(self, name: str) -> str:
        """How a finding names a canary: by name and digest, never by value."""
        return f"canary {name}, blake2b {self._digests[name]}"

    def find(self, texts: Sequence[bytes]) -> Iterator[tuple[int | None, str]]:
        """The canaries in texts, each with the index of its text; None where it is spread over several.

        Args:
            texts: of one message, in its order.
        """
        names = self._in(b"".join(texts))
        if not names:
            return
        found: set[str] = set()
        for index, text in enumerate(texts):
            for name in sorted(self._in(text)):
                found.add(name)
                yield index, name
        yield from ((None, name) for name in sorted(names - found))

    def _in(self, text: bytes) -> set[str]:
        names = self._among(letters_of(text))
        plain = written_out(text)
        return names if plain is None else names | self._among(letters_of(plain))

    def _among(self, letters: bytes) -> set[str]:
        return self._folded.names(letters.translate(FOLD)) | self._encoded.names(letters)


class _Needles:
    """Which names' forms a text has, however many forms there are.

    A text is cut into groups of four letters. Wherever a form stands in it, all of it but the ends are such groups, in
    one of four ways to cut the form. So only forms of which a cut has all its groups in the text are looked for.

    Args:
        forms: of ``MIN_LENGTH`` letters or more, each with the name it stands for.
    """

    __slots__ = ("_cuts", "_forms")

    def __init__(self, forms: Mapping[bytes, str]) -> None:
        self._forms = dict(forms)
        self._cuts: dict[int, list[tuple[frozenset[int], bytes]]] = {}
        for form in forms:
            for start in range(_GROUP):
                first, *others = _groups(form[start:])
                self._cuts.setdefault(first, []).append((frozenset(others), form))

    def names(self, text: bytes) -> set[str]:
        """Every name of which a form is there."""
        groups = set(_groups(text))
        found: set[str] = set()
        for group in self._cuts.keys() & groups:
            for others, form in self._cuts[group]:
                if others <= groups and self._forms[form] not in found and form in text:
                    found.add(self._forms[form])
        return found


def _groups(text: bytes) -> memoryview:
    """A text in groups, each as one number; what is left over at its end is none."""
    return memoryview(text)[: len(text) // _GROUP * _GROUP].cast("I")
