"""JSON members: reads the members of one JSON object by name, and notes all that is wrong with them."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from guardsvc.mcp import Limits, Refusal
from guardsvc.mcp.strict_json import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ContractError", "Members", "Problem", "read_small", "split"]

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

SHOWN = 80
SMALL = Limits(max_bytes=262_144, max_depth=16, max_keys=4000)
"""Bounds of everything but payloads."""
_BLANKS = re.compile(rb"[ \t\r\n]*+")
_MISSING = object()
_NAMES = {str: "a string", int: "an integer", bool: "true or false", dict: "an object", list: "an array"}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with one member.

    Attributes:
        path: of the member, empty for the whole.
        problem: what is wrong, with what is legal.
        value: as it is, cut; empty where there is none.
    """

    path: str
    problem: str
    value: str = ""


class ContractError(ValueError):
    """A body is not one that the contract allows.

    Attributes:
        problems: all of them.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{each.path}: {each.problem}" for each in problems))
        self.problems = problems


def split(body: bytes) -> dict[str, bytes]:
    """The members of the object that the body is, each as it stands there.

    What a member holds is not looked at, but for where it ends: a payload is the guards' to read, and strictly.

    Raises:
        ContractError: the body is no JSON object in UTF-8, or names a member twice or in escapes.
    """
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ContractError(Problem("", f"not a JSON object: {error}"[:200])) from None
    read = {name: bytes(raw) for name, raw in members.items()}
    if not _is_all(body, read):
        raise ContractError(Problem("", "names a member twice, or in escapes"))
    return read


def _is_all(body: bytes, members: Mapping[str, bytes]) -> bool:
    """Whether the body is these members and nothing else: of a name that comes twice only the last is among them."""
    rest = memoryview(body)
    position = _after_blanks(body, 0) + 1
    for number, (name, raw) in enumerate(members.items()):
        if number:
            position = _after_blanks(body, position)
            if body[position : position + 1] != b",":
                return False
            position += 1
        position = _after_blanks(body, position)
        key = f'"{name}"'.encode()
        if rest[position : position + len(key)] != key:
            return False
        position = _after_blanks(body, position + len(key)) + 1
        position = _after_blanks(body, position)
        if rest[position : position + len(raw)] != raw:
            return False
        position += len(raw)
    position = _after_blanks(body, position)
    return body[position : position + 1] == b"}" and _after_blanks(body, position + 1) == len(body)


def _after_blanks(body: bytes, position: int) -> int:
    found = _BLANKS.match(body, position)
    return position if found is None else found.end()


class Members:
    """The members of one object.

    Args:
        value: the object.
        path: where it stands.
        legal: names it may have.
        problems: where what is wrong is noted.
    """

    def __init__(self, value: Mapping[str, Any], path: str, legal: tuple[str, ...], problems: list[Problem]) -> None:
        self._value = value
        self._path = path
        self._problems = problems
        for name in value:
            if name not in legal:
                self.note(name[:SHOWN], f"is not one of {', '.join(legal)}")

    def note(self, name: str, problem: str, value: Any = _MISSING) -> None:
        """Note what is wrong with a member."""
        shown = "" if value is _MISSING else json.dumps(value)[:SHOWN]
        self._problems.append(Problem(self.path(name), problem, shown))

    def path(self, name: str) -> str:
        """Where a member stands."""
        return f"{self._path}.{name}" if self._path else name

    def read(self, name: str, kind: type[T], default: T) -> T:
        """A member of this type, the default where it is absent, null or of another."""
        value = self._value.get(name)
        if value is None:
            return default
        if type(value) is not kind:
            self.note(name, f"is not {_NAMES[kind]}", value)
            return default
        return value

    def choose(self, name: str, values: type[E], default: E | None = None) -> E | None:
        """One of these words, the default where it is absent or another."""
        told = self._value.get(name)
        if told is None:
            return default
        if type(told) is not str or told not in set(values):
            self.note(name, f"is not one of {', '.join(values)}", told)
            return default
        return values(told)

    def strings(self, name: str, most: int) -> tuple[str, ...]:
        """An array of at most so many strings, empty where it is absent or no such."""
        told = self.read(name, list, [])
        if any(type(each) is not str for each in told):
            self.note(name, "is not an array of strings")
            return ()
        if len(told) > most:
            self.note(name, f"has {len(told)} entries, {most} are allowed")
            return ()
        return tuple(told)

    def either(self, name: str, *kinds: type) -> Any:
        """A member of one of these types, None where it is absent, null or of another."""
        value = self._value.get(name)
        if value is None or type(value) in kinds:
            return value
        self.note(name, f"is not {' or '.join(_NAMES[kind] for kind in kinds)}", value)
        return None


def read_small(members: Mapping[str, bytes], problems: list[Problem]) -> dict[str, Any]:
    """The values of members that are no payload, read as strictly as any message."""
    values: dict[str, Any] = {}
    for name, raw in members.items():
        try:
            values[name] = decode(raw, SMALL)
        except Refusal as refusal:
            problems.append(Problem(name, f"{refusal.code}: {refusal.detail}"))
    return values
