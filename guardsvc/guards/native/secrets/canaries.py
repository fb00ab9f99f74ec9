"""Canaries: values that are nowhere but in a trap, found in whatever form they leave."""

from __future__ import annotations

import base64
import codecs
import hashlib
import re
from typing import TYPE_CHECKING

import re2

from guardsvc.guards.native.secrets.scanner import unescaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["MIN_LENGTH", "Canaries", "plain_length"]

MIN_LENGTH = 8
"""Letters and digits that a canary must have: fewer would be found in anything."""
MAX_MEMORY = 64 << 20

_ALPHANUMERIC = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_FOLD = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))  # noqa: PLR2004  A to Z
_NOT_LETTERS = bytes(byte for byte in range(256) if byte not in _ALPHANUMERIC)
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def plain_length(canary: str) -> int:
    """How many letters and digits a canary has."""
    return len(_letters(canary.encode()))


class Canaries:
    """Searches for all canaries at once.

    A text is reduced to its letters and digits. In these a canary is looked for as it is, reversed, in rot13 and as
    numbers of its bytes, whatever the case, and in base64 at all three alignments.

    Args:
        canaries: values by name.
    """

    def __init__(self, canaries: Mapping[str, str]) -> None:
        self._names: dict[bytes, str] = {}
        self._digests = {
            name: hashlib.blake2b(value.encode(), digest_size=6).hexdigest() for name, value in canaries.items()
        }
        folded: dict[bytes, str] = {}
        encoded: dict[bytes, str] = {}
        for name, value in canaries.items():
            for form in _folded_forms(value):
                folded.setdefault(form, name)
            for form in _base64_forms(value):
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
        letters = _letters(text)
        names = self._folded.names(letters.translate(_FOLD)) | self._encoded.names(letters)
        decoded = unescaped(text)
        return names if decoded is None else names | self._folded.names(_letters(decoded).translate(_FOLD))


class _Needles:
    """Which names' forms a text has."""

    __slots__ = ("_names", "_pattern")

    def __init__(self, forms: Mapping[bytes, str]) -> None:
        options = re2.Options()
        options.max_mem = MAX_MEMORY
        options.encoding = re2.Options.Encoding.LATIN1
        ordered = sorted(forms, key=len, reverse=True)
        self._names = dict(forms)
        self._pattern = re2.compile(b"|".join(map(re.escape, ordered)), options) if ordered else None

    def names(self, text: bytes) -> set[str]:
        """Every name of which a form is there; a form inside another one is not told."""
        found: set[str] = set()
        position = 0
        while self._pattern is not None and (match := self._pattern.search(text, position)) is not None:
            found.add(self._names[match[0]])
            position = match.end()
            if len(found) == len(set(self._names.values())):
                break
        return found


def _letters(text: bytes) -> bytes:
    if b"\xef\xbc" in text or b"\xef\xbd" in text:
        text = text.decode(errors="replace").translate(_FULL_WIDTH).encode()
    return text.translate(None, _NOT_LETTERS)


def _folded_forms(value: str) -> set[bytes]:
    letters = _letters(value.encode()).translate(_FOLD)
    forms = {letters, letters[::-1], codecs.encode(letters.decode(), "rot13").encode()}
    for raw in _spellings(value):
        pairs = [f"{byte:02x}" for byte in raw]
        # As they are, and as \\x63, 0x63 and \\u0063 leave them; &#99; leaves the number.
        forms |= {mark.join(("", *pairs)).encode() for mark in ("", "x", "0x", "u00")}
        forms.add("".join(map(str, raw)).encode())
    return forms


def _base64_forms(value: str) -> set[bytes]:
    forms: set[bytes] = set()
    for raw in _spellings(value):
        for alignment in range(3):
            encoded = base64.b64encode(b"\0" * alignment + raw)
            forms.add(_letters(encoded[(alignment * 8 + 5) // 6 : (alignment + len(raw)) * 8 // 6]))
    return forms


def _spellings(value: str) -> tuple[bytes, ...]:
    raw = value.encode()
    return raw, raw.lower(), raw.upper(), raw[::-1]
