"""Locate: where in a JSON text the value of a JSON pointer stands."""

from __future__ import annotations

import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Spot", "locate"]

_STRUCTURE = re.compile(r'["\[\]{}]')
_SCALAR = re.compile(r"[^,\]}\s]+")
_BLANK = re.compile(r"[ \t\r\n]*")


class Spot(NamedTuple):
    """Where a value stands.

    Attributes:
        line, column: of its first character, from 1.
        key: of the member that it is, as the text has it; empty for an entry of an array, or the whole.
        opening: its first character.
    """

    line: int
    column: int
    key: str
    opening: str


def locate(text: str, pointer: str) -> Spot | None:
    """Find a value in one pass, without building anything.

    Args:
        text: a JSON text.
        pointer: RFC 6901.

    Returns:
        None where there is no such value, or the text is no JSON.
    """
    key = ""
    try:
        at = _skip_blank(text, 0)
        for token in pointer.split("/")[1:]:
            found = _child(text, at, token.replace("~1", "/").replace("~0", "~"))
            if found is None:
                return None
            key, at = found
        opening = text[at]
    except (IndexError, ValueError):
        return None
    return Spot(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), key, opening)


def _child(text: str, at: int, token: str) -> tuple[str, int] | None:
    if text[at] == "{":
        return next(((key, value) for name, key, value in _members(text, at) if name == token), None)
    if text[at] == "[" and token.isdecimal():
        return next((("", value) for index, value in enumerate(_entries(text, at)) if index == int(token)), None)
    return None


def _members(text: str, at: int) -> Iterator[tuple[str, str, int]]:
    """Name, name as written, and place of the value of every member of the object at a place."""
    at = _skip_blank(text, at + 1)
    while text[at] == '"':
        name, end = _string(text, at)
        value = _skip_blank(text, _skip_blank(text, end) + 1)
        yield name, text[at:end], value
        at = _skip_blank(text, _end(text, value))
        if text[at] != ",":
            return
        at = _skip_blank(text, at + 1)


def _entries(text: str, at: int) -> Iterator[int]:
    at = _skip_blank(text, at + 1)
    while text[at] != "]":
        yield at
        at = _skip_blank(text, _end(text, at))
        if text[at] != ",":
            return
        at = _skip_blank(text, at + 1)


def _end(text: str, at: int) -> int:
    """The place after the value at a place."""
    if text[at] == '"':
        return _string(text, at)[1]
    if text[at] not in "[{":
        found = _SCALAR.match(text, at)
        if found is None:
            raise ValueError(at)
        return found.end()
    depth = 0
    while (found := _STRUCTURE.search(text, at)) is not None:
        at = found.end()
        if found[0] == '"':
            at = _string(text, at - 1)[1]
            continue
        depth += 1 if found[0] in "[{" else -1
        if not depth:
            return at
    raise ValueError(at)


def _string(text: str, at: int) -> tuple[str, int]:
    """The string that begins at a place, and the place after it."""
    value: str
    end: int
    value, end = scanstring(text, at + 1, False)
    return value, end


def _skip_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return at if found is None else found.end()
