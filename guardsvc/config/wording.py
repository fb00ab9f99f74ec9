"""What a problem says: the value that was found and what would be legal, in our words, not pydantic's."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from guardsvc.config.values import kind_of, listed, shown
from guardsvc.model import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from guardsvc.config.faults import Fault
    from guardsvc.config.problems import Path
    from guardsvc.config.shape import Shape

__all__ = ["describe"]

_MAPPING = "a mapping"
_LIST = "a list"
_DATE_TIME = "a date and time such as 2026-01-31T12:00:00Z"
_DATE = "a date such as 2026-01-31"
_TIME = "a time such as 12:00:00"
_DURATION = "a duration such as PT30S"

_OF_KIND = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "none_required": "null",
    "datetime_type": _DATE_TIME,
    "datetime_parsing": _DATE_TIME,
    "datetime_from_date_parsing": _DATE_TIME,
    "timezone_aware": "a date and time with a time zone, such as 2026-01-31T12:00:00Z",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "time_type": _TIME,
    "time_parsing": _TIME,
    "time_delta_type": _DURATION,
    "time_delta_parsing": _DURATION,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "iterable_type": _LIST,
}
_IN_RANGE = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
}
_OF_FORM = {
    "string_too_short": "a length of at least {min_length}",
    "string_too_long": "a length of at most {max_length}",
    "string_pattern_mismatch": "text that matches {pattern}",
}
_OF_SIZE = {
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
}
_EXPECTED = _OF_KIND | _IN_RANGE | _OF_FORM | _OF_SIZE
_IN_YAML = {"True": "true", "False": "false", "None": "null"}
_ONE_OF = frozenset({"literal_error", "enum"})
_MEMBER = re.compile(r"<[\w.]+: ('[^']*'|[^>]*)>")
_LEGAL = re.compile(r"'([^']*)'|(?<![^\s,])(?!or\b)([^\s,']+)")


def describe(group: list[Fault], shape: Shape) -> tuple[Path, str]:
    """Place and message of one thing that is wrong.

    Args:
        group: one fault, or those of a union none of whose branches fits.
        shape: of the value that was checked.
    """
    fault, *others = group
    hidden = shape.is_secret(fault.path)
    if others:
        return fault.path, _no_branch([one.error for one in group], hidden)
    error, kind = fault.error, fault.error["type"]
    context: dict[str, Any] = error.get("ctx", {})
    if kind == "extra_forbidden":
        return fault.path, _unknown_key(fault.path, shape)
    if kind == "missing":
        return fault.path, "the key is missing" if isinstance(fault.path[-1], str) else "the entry is missing"
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _no_tag(fault, context["discriminator"], shape)
    if isinstance(cause := context.get("error"), Exception):
        below = cause.path if isinstance(cause, SettingsError) else ()
        return fault.path + below, str(cause)
    return fault.path, _sentence(error, hidden)


def _sentence(error: ErrorDetails, hidden: bool) -> str:
    kind, value = error["type"], error["input"]
    name = "the value" if hidden else shown(value)
    if kind in _ONE_OF:
        return f"{name} is not one of {listed(_legal(error))}"
    if kind in _OF_KIND:
        return f"{_found(value, [error], hidden)}; expected {_expected(error)}"
    if kind in _IN_RANGE:
        return f"{name} is out of range; expected {_expected(error)}"
    if kind in _OF_SIZE:
        return f"the length is {error['ctx'].get('actual_length') or len(value)}; expected {_expected(error)}"
    return f"{name} is not legal; expected {_expected(error)}"


def _found(value: Any, errors: list[ErrorDetails], hidden: bool) -> str:
    """What the value is. A scalar in the place of a list or mapping may be a secret: it is not shown."""
    container = any(_OF_KIND.get(error["type"]) in {_MAPPING, _LIST} for error in errors)
    if hidden or container or value is None or isinstance(value, list | dict):
        return f"the value is {kind_of(value)}"
    return f"{shown(value)} is {kind_of(value)}"


def _expected(error: ErrorDetails) -> str:
    if error["type"] in _ONE_OF:
        return f"one of {listed(_legal(error))}"
    if pattern := _EXPECTED.get(error["type"]):
        return pattern.format_map({name: _plain(value) for name, value in error.get("ctx", {}).items()})
    return error["msg"].removeprefix("Input should be ")


def _legal(error: ErrorDetails) -> list[str]:
    expected = _MEMBER.sub(r"\1", error["ctx"]["expected"])
    return [quoted or _IN_YAML.get(bare, bare) for quoted, bare in _LEGAL.findall(expected)]


def _plain(bound: Any) -> Any:
    """A bound as people write it: 1, not 1.0."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _no_branch(errors: list[ErrorDetails], hidden: bool) -> str:
    value = errors[0]["input"]
    if all(error["type"] in _ONE_OF for error in errors):
        legal = dict.fromkeys(name for error in errors for name in _legal(error))
        return f"{'the value' if hidden else shown(value)} is not one of {listed(list(legal))}"
    expected = dict.fromkeys(_expected(error) for error in errors)
    return f"{_found(value, errors, hidden)}; expected {' or '.join(expected)}"


def _no_tag(fault: Fault, quoted: str, shape: Shape) -> tuple[Path, str]:
    discriminator = quoted.strip("'")
    legal = listed(shape.tags(fault.path, discriminator))
    path = (*fault.path, discriminator)
    if discriminator not in fault.error["input"]:
        return path, f"the key is missing; legal values are {legal}"
    return path, f"{shown(fault.error['input'][discriminator])} is not one of {legal}"


def _unknown_key(path: Path, shape: Shape) -> str:
    key = str(path[-1])
    legal = shape.legal_keys(path[:-1], key)
    if not legal:
        return "unknown key; no keys are legal here"
    close = get_close_matches(key, legal, n=1)
    return f"unknown key; legal keys are {listed(legal)}" + (f" (did you mean {close[0]}?)" if close else "")
