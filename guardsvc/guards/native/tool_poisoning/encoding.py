"""Encoding: texts that stand in a text as Base64, hex, percent signs, entities or backslashes; one round, bounded."""

from __future__ import annotations

import binascii
import html
import re
from base64 import b64decode
from collections.abc import Iterator
from urllib.parse import unquote

import re2

__all__ = ["ESCAPES_IN_JSON", "TOKENS_IN_JSON", "decoded", "has_encoded"]

MAX_PIECES = 32
"""Pieces of one text that are decoded."""
MAX_LENGTH = 65_536
"""Characters of one piece that are decoded."""

_TOKEN = re2.compile(r"[A-Za-z0-9+/]{24,}={0,2}|[A-Za-z0-9_-]{40,}={0,2}")
TOKENS_IN_JSON = r"[A-Za-z0-9+/]{24}|[A-Za-z0-9_-]{40}"
"""What may be Base64 or hex."""
ESCAPES_IN_JSON = (
    r"(?:%[0-9A-Fa-f]{2}[\w.!*'()-]{0,3}){4,}|(?:&#x?[0-9A-Fa-f]{2,6};[\w ]{0,3}){4,}"
    r"|(?:\\{1,2}(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})){4,}|(?:\b[0-9A-Fa-f]{2}[ :]){8,}"
)
"""Other encodings, as they look in JSON."""
_PERCENT = re2.compile(r"(?:%[0-9A-Fa-f]{2}[\w.!*'()-]{0,3}){4,}")
_ENTITIES = re2.compile(r"(?:&#x?[0-9A-Fa-f]{2,6};[\w ]{0,3}){4,}")
_BACKSLASHES = re2.compile(r"(?:\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}){4,}")
_PAIRS = re2.compile(r"(?:\b[0-9A-Fa-f]{2}[ :]){8,}[0-9A-Fa-f]{2}\b")
_HEX = re.compile(r"[0-9A-Fa-f]++")
_POINT = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4}))")
_WORD = re.compile(r"[A-Za-z]{2,}+")


def has_encoded(definition: bytes) -> bool:
    """Whether a token of a definition, JSON in UTF-8, decodes to text."""
    return any(_from_token(match[0].decode("ascii")) for match in _limited(_TOKEN.finditer(definition)))


def decoded(text: str) -> list[str]:
    """What stands in a text in another encoding, as far as it reads as text."""
    found = [plain for match in _limited(_TOKEN.finditer(text)) if (plain := _from_token(match[0]))]
    for pattern, decode in ((_PERCENT, unquote), (_ENTITIES, html.unescape), (_BACKSLASHES, _points), (_PAIRS, _pairs)):
        found += [
            plain for match in _limited(pattern.finditer(text)) if _is_text(plain := decode(match[0][:MAX_LENGTH]))
        ]
    return found


def _limited(matches: Iterator[re2._Match]) -> Iterator[re2._Match]:
    return (match for match, _ in zip(matches, range(MAX_PIECES), strict=False))


def _from_token(token: str) -> str:
    token = token[:MAX_LENGTH]
    body = token.rstrip("=")
    if _HEX.fullmatch(body) and len(body) % 2 == 0:
        data = bytes.fromhex(body)
    elif len(body) % 4 == 1:
        return ""
    else:
        try:
            data = b64decode(body.replace("-", "+").replace("_", "/") + "=" * (-len(body) % 4), validate=True)
        except (binascii.Error, ValueError):
            return ""
    try:
        plain = data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return plain if _is_text(plain) else ""


def _points(text: str) -> str:
    return _POINT.sub(lambda match: chr(int(match[1] or match[2], 16)), text)


def _pairs(text: str) -> str:
    return bytes.fromhex(text.replace(":", " ")).decode("latin-1")


def _is_text(plain: str) -> bool:
    """Whether it reads as words: random bytes and identifiers do not."""
    if not plain.replace("\n", " ").replace("\t", " ").isprintable():
        return False
    letters = sum(map(len, _WORD.findall(plain)))
    return letters >= len(plain) // 2
