"""Excerpt: a part of a hostile text in a form that can stand in a log or on a terminal."""

from __future__ import annotations

import re

__all__ = ["MAX_EXCERPT", "excerpt"]

MAX_EXCERPT = 160

_LONG_TOKEN = re.compile(r"[A-Za-z0-9+/_=-]{20,}+")
_KEPT = 4


def excerpt(text: str) -> str:
    """A text with blanks joined, all that does not print escaped, what may be a secret masked, and cut."""
    if len(text) > 4 * MAX_EXCERPT:
        text = text[: 4 * MAX_EXCERPT]
    line = " ".join(text.split())
    if not line.isascii() or not line.isprintable():
        line = "".join(char if _shows(char) else _escape(char) for char in line)
    line = _LONG_TOKEN.sub(_mask, line)
    return line if len(line) <= MAX_EXCERPT else f"{line[: MAX_EXCERPT - 1]}…"


def _shows(char: str) -> bool:
    return char.isprintable() and not ("\ufe00" <= char <= "\ufe0f" or char > "\U000e00ff")


def _escape(char: str) -> str:
    point = ord(char)
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"  # noqa: PLR2004


def _mask(token: re.Match[str]) -> str:
    """Identifiers and paths stay; what mixes letters and digits at length may be a key."""
    text = token[0]
    if not any(map(str.isdigit, text)) or "_" in text or "/" in text:
        return text
    return f"{text[:_KEPT]}…({len(text)})"
