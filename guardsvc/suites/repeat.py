"""Repeat: long lists, objects and texts that a case writes once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RepeatError", "repeated"]

NUMBER = "{n}"
"""Stands for the number of a copy, counted from 0, in its texts and names."""


class RepeatError(Exception):
    """Nothing can be repeated at a pointer.

    Attributes:
        pointer: the pointer.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


def repeated(value: Any, times: Mapping[str, int]) -> Any:
    """The value with what is at some JSON pointers repeated; the value itself stays as it is.

    An item of a list becomes so many items, a member with ``NUMBER`` in its name so many members, and any other
    text a text of so many copies.

    Args:
        value: plain data.
        times: how often, by JSON pointer; done in this order.

    Raises:
        RepeatError: there is nothing at a pointer, or nothing that can be repeated.
    """
    for pointer, count in times.items():
        if not pointer.startswith("/"):
            raise RepeatError(pointer, 'a JSON pointer begins with "/"')
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]
        value = _at(value, steps, count, pointer)
    return value


def _at(value: Any, steps: list[str], times: int, pointer: str) -> Any:
    step, *rest = steps
    if isinstance(value, dict) and step in value:
        return _in_object(value, step, rest, times, pointer)
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        at = int(step)
        items = [_at(value[at], rest, times, pointer)] if rest else [_numbered(value[at], n) for n in range(times)]
        return [*value[:at], *items, *value[at + 1 :]]
    raise RepeatError(pointer, "there is nothing at it")


def _in_object(value: dict[str, Any], step: str, rest: list[str], times: int, pointer: str) -> dict[str, Any]:
    if rest:
        return {**value, step: _at(value[step], rest, times, pointer)}
    if NUMBER in step:
        copies = {step.replace(NUMBER, str(n)): _numbered(value[step], n) for n in range(times)}
        return {**{name: other for name, other in value.items() if name != step}, **copies}
    if isinstance(value[step], str):
        return {**value, step: value[step] * times}
    raise RepeatError(pointer, f'it is neither an item, nor a text, nor a member with "{NUMBER}" in its name')


def _numbered(value: Any, number: int) -> Any:
    match value:
        case str():
            return value.replace(NUMBER, str(number))
        case list():
            return [_numbered(item, number) for item in value]
        case dict():
            return {_numbered(name, number): _numbered(member, number) for name, member in value.items()}
    return value
