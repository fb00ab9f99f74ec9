"""Encoding: texts that stand in a text as Base64, hex, percent signs, entities or backslashes; one round, bounded."""

from __future__ import annotations

import binascii
import html
import re
from base64 import b64decode
from itertools import islice
from urllib.parse import unquote

import re2

from guardsvc.guards.native.matcher import encode

__all__ = ["ESCAPES_IN_JSON", "TOKENS_IN_JSON", "decoded", "has_encoded", "may_have_encoded"]

MAX_PIECES = 32
"""Pieces of one text and encoding that are read; of Base64 and hex, pieces that decode to text."""
MAX_LENGTH = 65_536
"""Characters of one piece that are decoded, except Base64 and hex."""

_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,}+={0,2}+")
_FEW_RUNS = re2.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
"""The same, faster in a long text that has few and slower in one that has many."""
_LONG = 1_024
_LENGTH_OF_EACH = 512
"""Characters of a text for each run that are few."""
_STANDARD, _URL_SAFE = r"[A-Za-z0-9+/]{24,}={0,2}", r"[A-Za-z0-9_-]{40,}={0,2}"
_TOKEN = re2.compile(f"{_STANDARD}|{_URL_SAFE}")
TOKENS_IN_JSON = r"[A-Za-z0-9+/]{24}|[A-Za-z0-9_-]{40}"
"""What may be Base64 or hex."""
ESCAPES_IN_JSON = (
    r"(?:%[0-9A-Fa-f]{2}[\w.!*'()-]{0,3}){4,}|(?:&#x?[0-9A-Fa-f]{2,6};[\w ]{0,3}){4,}"
    r"|(?:\\{1,2}(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})){4,}|(?:\b[0-9A-Fa-f]{2}[ :]){8,}"
)
"""Other encodings, as they look in JSON."""
_ANY = re2.compile(rf"(?:\A|[^A-Za-z0-9+/]){_STANDARD}|(?:\A|[^A-Za-z0-9_-]){_URL_SAFE}|{ESCAPES_IN_JSON}")
"""All encodings. Tokens have what stands before them, so that the automaton counts from there, not from each letter."""
_FEW = 16
"""Pieces that a quick look decodes."""
_PERCENT = re2.compile(r"(?:%[0-9A-Fa-f]{2}[\w.!*'()-]{0,3}){4,}")
_ENTITIES = re2.compile(r"(?:&#x?[0-9A-Fa-f]{2,6};[\w ]{0,3}){4,}")
_BACKSLASHES = re2.compile(r"(?:\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}){4,}")
_PAIRS = re2.compile(r"(?:\b[0-9A-Fa-f]{2}[ :]){8,}[0-9A-Fa-f]{2}\b")
_HEX = re.compile(r"[0-9A-Fa-f]++")
_POINT = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4}))")
_WORD = re.compile(r"[A-Za-z]{2,}+")


def has_encoded(definition: bytes) -> bool:
    """Whether a token of a definition, JSON in UTF-8, decodes to text."""
    return any(map(_from_token, _tokens(definition.decode("utf-8"))))


def may_have_encoded(text: bytes) -> bool:
    """Whether a text, UTF-8, may have something encoded that decodes to text: a quick look at many texts in one."""
    for index, match in enumerate(_ANY.finditer(text)):
        token = _TOKEN.search(match[0].decode())
        if index == _FEW or token is None or _from_token(token[0]):
            return True
    return False


def decoded(text: str) -> tuple[list[str], bool]:
    """What stands in a text in another encoding, as far as it reads as text, and whether that is all of it."""
    if len(text) < _SHORTEST:
        return [], True
    found = list(islice(filter(None, map(_from_token, _tokens(text))), MAX_PIECES + 1))
    whole = len(found) <= MAX_PIECES
    del found[MAX_PIECES:]
    for sign, least, pattern, decode in _ENCODINGS:
        if len(text) >= least and sign in text:
            pieces = [match[0] for match, _ in zip(pattern.finditer(text), range(MAX_PIECES + 1), strict=False)]
            whole = whole and len(pieces) <= MAX_PIECES and max(map(len, pieces), default=0) <= MAX_LENGTH
            found += [plain for piece in pieces[:MAX_PIECES] if _is_text(plain := decode(piece[:MAX_LENGTH]))]
    return found, whole


def _tokens(text: str) -> list[str]:
    """What may be Base64 or hex, each once."""
    tokens: dict[str, None] = {}
    for run in dict.fromkeys(_runs(text)):
        if "-" in run or "_" in run:
            tokens.update((match[0], None) for match in _TOKEN.finditer(run))
        else:
            tokens[run] = None
    return list(tokens)


def _runs(text: str) -> list[str]:
    if len(text) < _LONG:
        return _RUN.findall(text)
    most = len(text) // _LENGTH_OF_EACH
    few = [match[0].decode() for match, _ in zip(_FEW_RUNS.finditer(encode(text)), range(most + 1), strict=False)]
    return few if len(few) <= most else _RUN.findall(text)


def _from_token(token: str) -> str:
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
    digits = text.replace(":", "").replace(" ", "")
    return bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("latin-1")


_ENCODINGS = (
    ("%", 12, _PERCENT, unquote),
    ("&#", 20, _ENTITIES, html.unescape),
    ("\\", 16, _BACKSLASHES, _points),
    ("", 26, _PAIRS, _pairs),
)
"""A sign that each encoding has, the characters that it has at least, and how it looks and reads."""
_SHORTEST = 12


def _is_text(plain: str) -> bool:
    """Whether it reads as words: random bytes and identifiers do not."""
    if not plain.replace("\n", " ").replace("\t", " ").isprintable():
        return False
    letters = len("".join(_WORD.findall(plain)))
    return letters >= len(plain) // 2
