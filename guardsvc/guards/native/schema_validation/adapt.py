"""Adapt: changes a schema as the settings ask, where what it means is changed by just that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guardsvc.guards.native.schema_validation.keywords import BRANCHES, OLD_DIALECTS, REFERENCES, subschemas
from guardsvc.guards.native.schema_validation.settings import SchemaValidationSettings

__all__ = ["adapt"]

_DOWNWARD = frozenset({"properties", "prefixItems", "items"})
_UPSIDE_DOWN = frozenset({"not", "if", "oneOf"})


def adapt(
    schema: dict[str, Any], dialect: str, settings: SchemaValidationSettings, is_pattern: Callable[[str], bool]
) -> dict[str, Any]:
    """The schema to judge by.

    Args:
        schema: plain JSON of the caller's own; it is changed in place.
        dialect: URI of its dialect.
        settings: of the guard.
        is_pattern: whether a pattern can be matched in linear time.

    Raises:
        ValueError: a pattern cannot be left out without turning the meaning of its schema round.
    """
    schema["$schema"] = dialect
    if settings.unsupported_patterns == "ignore":
        _drop_patterns(schema, is_pattern)
    if settings.extra_properties != "schema":
        change = _open if settings.extra_properties == "allow" else _close
        for part in _downward(schema):
            if part is schema or "properties" in part:
                change(part, dialect)
    return schema


def _downward(root: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of the arguments and of what is in them, as far as nothing but their place leads to them."""
    found = [root]
    for schema in found:
        found += [inner for keyword, _, inner in subschemas(schema) if keyword in _DOWNWARD and type(inner) is dict]
    return found


def _open(schema: dict[str, Any], dialect: str) -> None:
    del dialect
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        if schema.get(keyword) is False:
            del schema[keyword]


def _close(schema: dict[str, Any], dialect: str) -> None:
    if any(type(schema.get(keyword)) is dict for keyword in ("additionalProperties", "unevaluatedProperties")):
        return
    if dialect not in OLD_DIALECTS:
        schema.pop("additionalProperties", None)
        schema["unevaluatedProperties"] = False
    elif not schema.keys() & (BRANCHES | {*REFERENCES}):
        schema["additionalProperties"] = False


def _drop_patterns(root: dict[str, Any], is_pattern: Callable[[str], bool]) -> None:
    pending: list[tuple[Any, bool]] = [(root, False)]
    while pending:
        schema, turned = pending.pop()
        if type(schema) is not dict:
            continue
        pattern = schema.get("pattern")
        if type(pattern) is str and not is_pattern(pattern):
            if turned:
                raise ValueError("a pattern below not, if or oneOf cannot be matched in linear time, nor ignored")
            del schema["pattern"]
        pending += [(inner, turned or keyword in _UPSIDE_DOWN) for keyword, _, inner in subschemas(schema)]
