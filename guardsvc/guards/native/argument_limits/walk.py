"""Walk: goes once through what a client sends and notes what exceeds a limit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from guardsvc.guards.native.argument_limits.settings import Limits

__all__ = ["MORE_ERRORS", "RULES", "Bounds", "Excess"]

MORE_ERRORS = "more_errors"
RULES = (
    "size",
    "depth",
    "values",
    "string_length",
    "name_length",
    "items",
    "properties",
    "integer_range",
    "float_range",
    "nul",
    "control_character",
    "bidi_control",
    MORE_ERRORS,
)
_MAX_FOUND = 16
_MAX_SHOWN_NAME = 128
_CONTROLS = "".join(map(chr, (*range(1, 0x20), *range(0x7F, 0xA0))))
_BIDI = "\u202a-\u202e\u2066-\u2069"

Place = tuple[Any, str | int] | None


class Excess(msgspec.Struct, frozen=True):
    """A limit that something exceeds.

    Attributes:
        rule: of ``RULES``.
        where: JSON pointer into the payload; to the object where a name is too long or cannot be shown.
    """

    rule: str
    where: str


class Bounds:
    """Limits, made ready to be held against payloads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        denied = "" if limits.controls == "allow" else "".join(set(_CONTROLS) - {*limits.allowed_controls})
        classes = (
            ("nul", "\\x00" if limits.nul == "deny" else ""),
            ("control_character", re.escape(denied)),
            ("bidi_control", _BIDI if limits.bidi == "deny" else ""),
        )
        self._characters = tuple((rule, re.compile(f"[{characters}]")) for rule, characters in classes if characters)

    def excesses(self, payload: Any) -> list[Excess]:
        """What exceeds a limit, the first of many. ``more_errors`` is the last where there are more of them."""
        walk = _Walk(self)
        try:
            if len(msgspec.json.encode(payload)) > self.limits.max_bytes:
                walk.note("size", None)
            walk.through(payload)
        except _Ended:
            walk.found.append(Excess(MORE_ERRORS, ""))
        return walk.found

    def characters(self, text: str) -> Iterator[str]:
        """The rules that forbid a character of a text."""
        rest = text
        for control in self.limits.allowed_controls:
            rest = rest.replace(control, "")
        if not rest.isprintable():
            yield from (rule for rule, pattern in self._characters if pattern.search(rest))


class _Ended(Exception):
    """There is more that nobody looks at."""


class _Walk:
    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._limits = bounds.limits
        self.found: list[Excess] = []

    def note(self, rule: str, place: Place) -> None:
        if len(self.found) == _MAX_FOUND:
            raise _Ended
        self.found.append(Excess(rule, _pointer(place)))

    def through(self, payload: Any) -> None:
        limits = self._limits
        level: list[tuple[Any, Place]] = [(payload, None)]
        depth = values = 0
        while level:
            depth += 1
            if depth == limits.max_depth + 1:
                self.note("depth", level[0][1])
            inner: list[tuple[Any, Place]] = []
            for container, place in level:
                if values <= limits.max_values < values + len(container):
                    self.note("values", None)
                values += len(container)
                if type(container) is dict:
                    self._names(container, place)
                    self._members(container.items(), place, inner)
                else:
                    if len(container) > limits.max_items:
                        self.note("items", place)
                    self._members(enumerate(container), place, inner)
            level = inner

    def _names(self, container: dict[str, Any], place: Place) -> None:
        if len(container) > self._limits.max_properties:
            self.note("properties", place)
        most = self._limits.max_name_length
        for name in container:
            if len(name) > most:
                self.note("name_length", place)
            if not name.isprintable():
                self._characters(name, place)

    def _members(self, members: Iterable[tuple[Any, Any]], place: Place, inner: list[tuple[Any, Place]]) -> None:
        longest, largest = self._limits.max_string_length, self._limits.max_integer
        for token, value in members:
            kind = type(value)
            if kind is str:
                if len(value) > longest:
                    self.note("string_length", (place, token))
                if not value.isprintable():
                    self._characters(value, (place, token))
            elif kind is dict or kind is list:
                inner.append((value, (place, token)))
            elif kind is float or (kind is int and not -largest <= value <= largest):
                self._number(value, (place, token))

    def _number(self, value: float, place: Place) -> None:
        if type(value) is int:
            self.note("integer_range", place)
        elif value and not self._limits.min_float <= abs(value) <= self._limits.max_float:
            self.note("float_range", place)

    def _characters(self, text: str, place: Place) -> None:
        for rule in self._bounds.characters(text):
            self.note(rule, place)


def _pointer(place: Place) -> str:
    tokens: list[str] = []
    while place is not None:
        place, token = place
        if type(token) is str and (len(token) > _MAX_SHOWN_NAME or not token.isprintable()):
            tokens.clear()
            continue
        tokens.append(str(token).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{token}" for token in reversed(tokens))
