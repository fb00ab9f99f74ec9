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
_LEAST_LOOKED_AT = 10_000
_BEYOND = 2
"""Times ``max_values`` up to which values are looked at where that is more."""
_WORTH_IT = 8192
"""Bytes of a payload from which on it is quicker to look at all values of a depth at once."""
_MANY = 64
"""Items of an array from which on it is quicker to look at the characters of all of them at once."""
_SHORT = 64
_CONTAINERS = frozenset({dict, list})
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
        self._any = re.compile(f"[{''.join(characters for _, characters in classes)}]" if self._characters else "(?!)")

    def excesses(self, payload: Any) -> list[Excess]:
        """What exceeds a limit, the first of many. ``more_errors`` is the last where there are more of them."""
        size = len(msgspec.json.encode(payload))
        large = size > self.limits.max_bytes
        if size > _WORTH_IT and not large and self._is_sound(payload):
            return []
        walk = _Walk(self)
        try:
            if large:
                walk.note("size", None)
            walk.through(payload)
        except _Ended:
            walk.found.append(Excess(MORE_ERRORS, ""))
        return walk.found

    def _is_sound(self, payload: Any) -> bool:  # noqa: C901, PLR0912  a call costs more than a step
        """Whether nothing can exceed a limit, told for all values of a depth at once and without their places.

        What is within the limits but has a float or a character that no terminal shows is not told here.
        """
        limits = self.limits
        depth = values = 0
        level = [payload]
        while level:
            depth += 1
            inside: list[Any] = []
            texts: list[str] = []
            for container in level:
                if type(container) is dict:
                    if len(container) > limits.max_properties:
                        return False
                    texts += container
                    inside += container.values()
                elif len(container) > limits.max_items:
                    return False
                else:
                    inside += container
            values += len(inside)
            if depth > limits.max_depth or values > limits.max_values:
                return False
            if texts and max(map(len, texts)) > limits.max_name_length:
                return False
            kinds = set(map(type, inside))
            if float in kinds:
                return False
            if int in kinds and not self._in_range([value for value in inside if type(value) is int]):
                return False
            if str in kinds:
                strings = [value for value in inside if type(value) is str]
                if max(map(len, strings)) > limits.max_string_length:
                    return False
                texts += strings
            if not "".join(texts).isprintable():
                return False
            level = [value for value in inside if type(value) in _CONTAINERS] if kinds & _CONTAINERS else []
        return True

    def _in_range(self, integers: list[int]) -> bool:
        return -self.limits.max_integer <= min(integers) and max(integers) <= self.limits.max_integer

    def characters(self, text: str) -> Iterator[str]:
        """The rules that forbid a character of a text."""
        if len(text) <= _SHORT and self._any.search(text) is None:
            return
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

    def through(self, payload: Any) -> None:  # noqa: C901, PLR0912  a call costs more than a step
        limits = self._limits
        most, most_items, most_properties = limits.max_values, limits.max_items, limits.max_properties
        most_name, longest, largest = limits.max_name_length, limits.max_string_length, limits.max_integer
        looked_at = max(_LEAST_LOOKED_AT, _BEYOND * most)
        level: list[tuple[Any, Place]] = [(payload, None)]
        depth = values = 0
        while level:
            depth += 1
            if depth == limits.max_depth + 1:
                self.note("depth", level[0][1])
            inner: list[tuple[Any, Place]] = []
            for container, place in level:
                before, values = values, values + len(container)
                if values > most:
                    if before <= most:
                        self.note("values", None)
                    if values > looked_at:
                        raise _Ended
                members: Iterable[tuple[Any, Any]]
                plain = False
                if type(container) is dict:
                    together = "".join(container)
                    if len(container) > most_properties or len(together) > most_name or not together.isprintable():
                        self._names(container, place)
                    members = container.items()
                else:
                    if len(container) > most_items:
                        self.note("items", place)
                    members = enumerate(container)
                    plain = len(container) > _MANY and self._is_plain(container)
                for token, value in members:
                    kind = type(value)
                    if kind is str:
                        if len(value) > longest:
                            self.note("string_length", (place, token))
                        if not plain and not value.isprintable():
                            self._characters(value, (place, token))
                    elif kind is dict or kind is list:
                        inner.append((value, (place, token)))
                    elif kind is float or (kind is int and not -largest <= value <= largest):
                        self._number(value, (place, token))
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

    def _number(self, value: float, place: Place) -> None:
        if type(value) is int:
            self.note("integer_range", place)
        elif value and not self._limits.min_float <= abs(value) <= self._limits.max_float:
            self.note("float_range", place)

    def _is_plain(self, items: list[Any]) -> bool:
        """Whether no text of an array has a character that is forbidden, by one look at all of them."""
        together = "".join([item for item in items if type(item) is str])
        return next(self._bounds.characters(together), None) is None

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
