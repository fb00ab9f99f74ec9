"""Schemas: whether one takes more or fewer values than another, as far as its plain keywords tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["SchemaChange", "schema_changes"]

_PROSE = frozenset(
    {"title", "description", "$comment", "examples", "example", "default", "$schema", "$id", "deprecated"}
)
_LOWER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"})
_UPPER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_INNER = frozenset({"items", "contains", "propertyNames", "not", "if", "then", "else", "unevaluatedItems"})
_OPEN = frozenset({"additionalProperties", "unevaluatedProperties", "additionalItems"})
_NO: Mapping[str, Any] = {}


class SchemaChange(msgspec.Struct):
    """What became of a schema.

    Attributes:
        added: names of properties that are new, at any depth.
        removed: names of properties that are gone.
        widened: whether it takes values that it did not.
        narrowed: whether it no longer takes values that it did.
    """

    added: list[str] = []
    removed: list[str] = []
    widened: bool = False
    narrowed: bool = False


def schema_changes(before: Any, after: Any) -> SchemaChange:
    """Compare two schemas, which are any JSON values."""
    change = SchemaChange()
    stack: list[tuple[Any, Any]] = [(before, after)]
    while stack:
        old, new = stack.pop()
        if old == new:
            continue
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):
            _whole(old, new, change)
            if isinstance(old, bool) or isinstance(new, bool):
                continue
            old, new = _as_schema(old), _as_schema(new)
        for key in {**old, **new}:
            if key not in _PROSE and old.get(key) != new.get(key):
                _keyword(key, old, new, change, stack)
    return change


def _whole(old: Any, new: Any, change: SchemaChange) -> None:
    """A schema that is ``false``, ``true`` or not there in place of an object."""
    change.widened |= old is False or (isinstance(old, Mapping) and new in (True, None))
    change.narrowed |= new is False or (isinstance(new, Mapping) and old in (True, None))


def _as_schema(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _NO


def _keyword(
    key: str, old: Mapping[str, Any], new: Mapping[str, Any], change: SchemaChange, stack: list[tuple[Any, Any]]
) -> None:
    was, now = old.get(key), new.get(key)
    if key in _NAMED and isinstance(was or {}, Mapping) and isinstance(now or {}, Mapping):
        _names(key, was or _NO, now or _NO, change, stack)
    elif key in _INNER and isinstance(was, Mapping) and isinstance(now, Mapping):
        stack.append((was, now))
    elif key == "required":
        _sets(now or [], was or [], change)  # what one more name requires, fewer values have
    elif key in ("enum", "type"):
        _sets(was, now, change)
    elif key in _OPEN:
        _open(was, now, change)
    elif key in _LOWER | _UPPER:
        _bound(key, was, now, change)
    elif was is None:
        change.narrowed = True
    elif now is None:
        change.widened = True
    else:
        change.widened = change.narrowed = True


def _names(
    key: str, was: Mapping[str, Any], now: Mapping[str, Any], change: SchemaChange, stack: list[tuple[Any, Any]]
) -> None:
    if key in ("properties", "patternProperties"):
        change.added += [name for name in now if name not in was]
        change.removed += [name for name in was if name not in now]
    stack.extend((was[name], now[name]) for name in was if name in now)


def _sets(was: Any, now: Any, change: SchemaChange) -> None:
    """Two lists of what is allowed; none at all allows everything."""
    old, new = _members(was), _members(now)
    if old is not None and (new is None or new - old):
        change.widened = True
    if new is not None and (old is None or old - new):
        change.narrowed = True


def _members(value: Any) -> set[str] | None:
    if value is None:
        return None
    return {repr(item) for item in value} if isinstance(value, list) else {repr(value)}


def _open(was: Any, now: Any, change: SchemaChange) -> None:
    ranks = [0 if value is False else 1 if isinstance(value, Mapping) else 2 for value in (was, now)]
    change.widened |= ranks[1] >= ranks[0]
    change.narrowed |= ranks[1] <= ranks[0] or ranks == [1, 1]


def _bound(key: str, was: Any, now: Any, change: SchemaChange) -> None:
    numbers = all(isinstance(value, int | float) for value in (was, now))
    if was is None or (numbers and (now > was) == (key in _LOWER)):
        change.narrowed = True
    else:
        change.widened = True
