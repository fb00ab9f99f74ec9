"""Plain: text of others, such that a terminal or a log shows what it is."""

from __future__ import annotations

__all__ = ["plain"]


def plain(text: str) -> str:
    """The text with what could steer a terminal, forge a line or hide written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
