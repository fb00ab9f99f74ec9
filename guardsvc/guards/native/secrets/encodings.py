"""Encodings: what a value becomes on its way out, each form reduced to its letters and digits."""

from __future__ import annotations

import base64
import codecs
import re
import unicodedata

from guardsvc.guards.native.secrets.scanner import unescaped
from guardsvc.guards.native.tool_poisoning.characters import LOOKALIKES, TAG_LETTERS

__all__ = ["FOLD", "MIN_LENGTH", "exact_forms", "folded_forms", "letters_of", "written_out"]

MIN_LENGTH = 8
"""Letters and digits of a form: fewer would be found in anything."""

FOLD = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))  # noqa: PLR2004  A to Z
_ALPHANUMERIC = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NOT_LETTERS = bytes(byte for byte in range(256) if byte not in _ALPHANUMERIC)
_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")
_HEX_ALPHABET = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHIJKLMNOPQRSTUV")
_ZEROS = "\u0660\u06f0\u07c0\u0966\u09e6\u0a66\u0ae6\u0b66\u0be6\u0c66\u0ce6\u0d66\u0e50\u0ed0\u0f20\u1040\u17e0\u1810"
_ALIKE: dict[int, str | None] = {
    **LOOKALIKES,
    **TAG_LETTERS,
    **{ord(zero) + digit: str(digit) for zero in _ZEROS for digit in range(10)},
    **{ord(char): plain for char, plain in zip("ıłøđħŧ", "ilodht", strict=True)},
}
_NEVER_LETTERS = re.compile("[\u3300-\u3370\u33e0-\u33fe\uac00-\ud7a3\ufb50-\ufdff]+")
"""Characters that are costly to write out and become no letters of ASCII."""
_ESCAPES = re.compile(
    rb"\\(?:x|u00|U000000)([0-9a-fA-F]{2})|&#(?:x0{0,6}([0-9a-fA-F]{2})|0{0,6}([0-9]{2,3}))(?![0-9a-fA-F]);?"
)


def letters_of(text: bytes) -> bytes:
    """The letters and digits of a text, UTF-8; look-alikes count as the ASCII ones that they stand for."""
    if not text.isascii():
        shown = _NEVER_LETTERS.sub("", text.decode(errors="replace"))
        text = unicodedata.normalize("NFKD", shown.translate(_ALIKE)).translate(_ALIKE).encode(errors="replace")
    return text.translate(None, _NOT_LETTERS)


def written_out(text: bytes) -> bytes | None:
    """A text without escapes: percent signs, twice, backslashes and entities; None where it has none."""
    decoded = text
    for _ in range(2):
        decoded = unescaped(decoded) or decoded
    if b"\\" in decoded or b"&#" in decoded:
        decoded = _ESCAPES.sub(_char, decoded)
    return None if decoded == text else decoded


def folded_forms(value: str) -> set[bytes]:
    """The forms of which the case is no matter, in lower case.

    Reversed, rot13, base32 (RFC 4648, both alphabets) at all five alignments, and the bytes as numbers to the bases
    16, 10, 8 and 2; to the base 16 also in UTF-16 and of what they are in base64.
    """
    letters = letters_of(value.encode()).translate(FOLD)
    forms = {letters, letters[::-1], codecs.encode(letters.decode(), "rot13").encode()}
    own, wide = value.encode(), value.encode("utf-16-le")
    for raw in _spellings(value):
        pairs = [f"{byte:02x}" for byte in raw]
        # As they are, and as \\x63, 0x63 and \\u0063 leave them; &#99; leaves the number.
        forms |= {mark.join(("", *pairs)).encode() for mark in ("", "x", "0x", "u00")}
        forms.add("".join(map(str, raw)).encode())
    for raw in (own, own.lower(), own.upper()):
        forms |= {part.lower() for part in _parts_of_base32(raw)}
    forms |= {part.translate(_HEX_ALPHABET).lower() for part in _parts_of_base32(own)}
    forms |= {"".join(f"{byte:{base}}" for byte in own).encode() for base in ("o", "03o", "08b")}
    forms |= {part.hex().encode() for part in (wide, *_parts_of_base64(own))}
    return {form for form in forms if len(form) >= MIN_LENGTH}


def exact_forms(value: str) -> set[bytes]:
    """The forms of which the case matters: base64 at all alignments.

    It is that of the value, also in UTF-16, of its base64 and of its hexadecimal digits.
    """
    own = value.encode()
    digits = own.hex().encode()
    forms: set[bytes] = set()
    for raw in (*_spellings(value), value.encode("utf-16-le"), digits, digits.upper()):
        forms.update(_parts_of_base64(raw))
    for inner in _parts_of_base64(own):
        forms.update(_parts_of_base64(inner), _parts_of_base64(inner.translate(_URL_ALPHABET)))
    return {letters for form in forms if len(letters := form.translate(None, _NOT_LETTERS)) >= MIN_LENGTH}


def _spellings(value: str) -> tuple[bytes, ...]:
    raw = value.encode()
    return raw, raw.lower(), raw.upper(), raw[::-1]


def _parts_of_base64(raw: bytes) -> list[bytes]:
    """What stands for these bytes wherever they begin in a group of three, whatever is around them."""
    return [_sure(base64.b64encode(b"\0" * before + raw), before, len(raw), 6) for before in range(3)]


def _parts_of_base32(raw: bytes) -> list[bytes]:
    """The same in base32, whose groups are of five."""
    return [_sure(base64.b32encode(b"\0" * before + raw), before, len(raw), 5) for before in range(5)]


def _sure(encoded: bytes, before: int, size: int, bits: int) -> bytes:
    return encoded[-(-before * 8 // bits) : (before + size) * 8 // bits]


def _char(found: re.Match[bytes]) -> bytes:
    point = int(found[3]) if found[3] else int(found[1] or found[2], 16)
    return bytes((point,)) if point < 0x80 else b" "  # noqa: PLR2004
