"""Forms: a value as its readers may decode it, round by round until nothing changes."""

from __future__ import annotations

import re
from itertools import islice
from urllib.parse import unquote_to_bytes

__all__ = ["MAX_COMMAND", "MAX_ESCAPES", "MAX_ROUNDS", "decoded_forms", "escapes", "is_escaped", "plain_command"]

MAX_ROUNDS = 4
MAX_COMMAND = 32_768
"""Characters of a command that are cleared of what hides its words."""
MAX_ESCAPES = 8192
"""Escapes that are decoded for one message; decoding costs about 0.2 µs each and round."""

_MARKS = (("\\", ("\\x", "\\u", "\\U", "\\0")), ("0x", ("0x2", "0x5")), ("0X", ("0X2", "0X5")), ("&", ("&#",)))
"""How escapes begin, by what all of some have: to look for a single character takes next to no time."""
_BACKSLASHED = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u\{?([0-9a-fA-F]{4})\}?|U([0-9a-fA-F]{8})|0([0-7]{2}))")
_PERCENT_U = re.compile(r"%u([0-9a-fA-F]{4})")
_HEX = re.compile(r"0x(2e|2f|5c)", re.IGNORECASE)
_ENTITY = re.compile(r"&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));?")
_OVERLONG = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}|\xf8[\x80-\x87][\x80-\xbf]{3}|\xfc[\x80-\x83][\x80-\xbf]{4}"
)
_STRAY = re.compile(rb"[\xc0\xc1](?=[\x00-\x7f])")
_MAX_POINT = 0x10FFFF

_LOOKALIKE = re.compile("[\u2024\u2025\u2044\u2215\u2216\u29f5\u29f8\ufe52\ufe68\uff01-\uff5e\uf000-\uf0ff]")
_ALIKE: dict[int, str] = {
    **{point: chr(point - 0xFEE0) for point in range(0xFF01, 0xFF5F)},
    **{0xF000 + byte: chr(byte) for byte in range(256)},
    **dict.fromkeys((0x2044, 0x2215, 0x29F8), "/"),
    **dict.fromkeys((0x2216, 0x29F5, 0xFE68), "\\"),
    **dict.fromkeys((0x2024, 0xFE52), "."),
    0x2025: "..",
}

_ESCAPED = re.compile(
    rf"%(?:[0-9a-fA-F]{{2}}|u[0-9a-fA-F]{{4}})|{_BACKSLASHED.pattern}|0[xX](?:2[eEfF]|5[cC])|{_ENTITY.pattern}"
    r"|[\u2024\u2025\u2044\u2215\u2216\u29f5\u29f8\ufe52\ufe68\uff0e\uff0f\uff3c\uff41-\uff5a\uf000-\uf0ff]"
)
"""Full-width punctuation, capitals and digits are in every text of East Asia and so are none."""
_SHELL_NOISE = re.compile(
    r"\\\r?\n|\\(?=[A-Za-z0-9/-])|''|\"\"|(?<=[A-Za-z0-9/])['\"](?=[A-Za-z0-9/.])|\$[@*!](?=[A-Za-z])|(?<=[A-Za-z])\$[@*!]|\^(?=[A-Za-z])"
)
_SHELL_BLANK = re.compile(r"\$\{?IFS[^}\s/]{0,8}\}?|\$\{?IFS\}?|%09|\t", re.IGNORECASE)
_BRACES = re.compile(r"\{([A-Za-z./-]{1,40}),([^{}\s]{0,200})\}")


def escapes(text: str) -> int:
    """How many escapes a text may have, at the speed of a search, ``MAX_ESCAPES`` + 1 at most for look-alikes."""
    number = text.count("%")
    for common, marks in _MARKS:
        if common in text:
            number += sum(map(text.count, marks))
    if text.isascii():
        return number
    return number + sum(1 for _ in islice(_LOOKALIKE.finditer(text), MAX_ESCAPES + 1))


def is_escaped(text: str) -> bool:
    """Whether something in a text is escaped; a percent sign alone is nothing."""
    return _ESCAPED.search(text) is not None


def decoded_forms(text: str) -> list[str]:
    """What a text becomes by decoding it once, twice and so on, without the text itself; at most ``MAX_ROUNDS``.

    No round makes it longer than twice of what it was.
    """
    forms: list[str] = []
    while len(forms) < MAX_ROUNDS:
        decoded = _decode(text)
        if decoded == text:
            break
        forms.append(decoded)
        text = decoded
    return forms


def plain_command(text: str) -> str:
    """A command line without what hides its words: quotes and backslashes inside of them, ``${IFS}``, braces.

    Only the first ``MAX_COMMAND`` characters are given.
    """
    text = text[:MAX_COMMAND]
    text = _SHELL_NOISE.sub("", _SHELL_BLANK.sub(" ", text))
    return _BRACES.sub(lambda found: f"{found[1]} {found[2].replace(',', ' ')}", text)


def _decode(text: str) -> str:
    if "%" in text:
        text = _PERCENT_U.sub(lambda found: _char(found[1], 16), text)
        raw = unquote_to_bytes(text.encode("utf-8", "replace"))
        raw = _OVERLONG.sub(_shortened, raw)
        text = _STRAY.sub(b"", raw).decode("utf-8", "ignore")
    if "\\" in text:
        text = _BACKSLASHED.sub(
            lambda found: _char(found[1] or found[2] or found[3] or found[4], 8 if found[4] else 16), text
        )
    if "0x" in text or "0X" in text:
        text = _HEX.sub(lambda found: _char(found[1], 16), text)
    if "&#" in text:
        text = _ENTITY.sub(lambda found: _char(found[1] or found[2], 16 if found[1] else 10), text)
    return text if text.isascii() else _LOOKALIKE.sub(lambda found: _ALIKE[ord(found[0])], text)


def _char(digits: str, base: int) -> str:
    point = int(digits, base)
    return "" if point > _MAX_POINT or 0xD800 <= point <= 0xDFFF else chr(point)  # noqa: PLR2004


def _shortened(found: re.Match[bytes]) -> bytes:
    """The character that an overlong sequence stands for."""
    point = 0
    for byte in found[0][1:]:
        point = point << 6 | byte & 0x3F
    if found[0][0] == 0xC1:  # noqa: PLR2004
        point |= 0x40
    return chr(point).encode() if point < 0x80 else b""  # noqa: PLR2004
