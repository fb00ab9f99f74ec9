"""Adapt: changes a schema as the settings ask, where what it means is changed by just that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guardsvc.guards.native.schema_validation.keywords import BRANCHES, OLD_DIALECTS, REFERENCES, subschemas
from guardsvc.guards.native.schema_validation.settings import SchemaValidationSettings

__all__ = ["adapt"]

_DOWNWARD = frozenset({"properties", "prefixItems", "items"})
_ALTERNATIVES = frozenset({"anyOf", "oneOf"})
_MOST_PARTS = 256
"""Alternatives and references that are looked into for one place."""
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
        follow = change is _close and dialect not in OLD_DIALECTS
        for part in _downward(schema, follow=follow):
            if part is schema or "properties" in part or (follow and _is_named(part, schema)):
                change(part, dialect)
    return schema


def _downward(root: dict[str, Any], *, follow: bool) -> list[dict[str, Any]]:
    """The schemas of the arguments and of what is in them, as far as nothing but their place leads to them.

    Args:
        root: the whole schema.
        follow: whether to go on behind references and alternatives, unless something is composed of what is there.
            What they lead to is passed through and not among the schemas itself.
    """
    found = [root]
    seen = {id(root)}
    passed = _composed(root) if follow else set()
    for schema in found:
        behind = [schema]
        for part in behind:
            for keyword, _, inner in subschemas(part):
                if keyword in _DOWNWARD and type(inner) is dict and id(inner) not in seen:
                    seen.add(id(inner))
                    found.append(inner)
            if follow:
                led = [*_alternatives(part), _target(root, part)]
                behind += [inner for inner in led if type(inner) is dict and id(inner) not in passed]
                passed |= {id(inner) for inner in led}
    return found


def _composed(root: dict[str, Any]) -> set[int]:
    """What ``allOf`` and conditions are made of, by ``id()``: there the members of one object are told in parts."""
    found: set[int] = set()
    pending = [root]
    seen: set[int] = set()
    while pending:
        schema = pending.pop()
        if id(schema) in seen:
            continue
        seen.add(id(schema))
        for keyword, _, inner in subschemas(schema):
            if type(inner) is dict:
                pending.append(inner)
                if keyword in BRANCHES - _ALTERNATIVES:
                    found |= {id(inner), id(_target(root, inner))}
    return found


def _target(root: dict[str, Any], schema: dict[str, Any]) -> Any:
    """What the reference of a schema leads to by a pointer; None where it has none."""
    reference = schema.get("$ref")
    if type(reference) is not str or not reference.startswith("#/"):
        return None
    node: Any = root
    for token in reference.split("/")[1:]:
        node = node.get(token.replace("~1", "/").replace("~0", "~")) if type(node) is dict else None
    return node


def _alternatives(schema: dict[str, Any]) -> list[Any]:
    return [inner for name in _ALTERNATIVES if type(given := schema.get(name)) is list for inner in given]


def _is_named(schema: Any, root: dict[str, Any]) -> bool:
    """Whether each object that a reference or an alternative allows has properties with names."""
    named = False
    pending, seen = [schema], set[int]()
    while pending:
        part = pending.pop()
        if type(part) is not dict:
            return False
        if id(part) in seen:
            continue
        if len(seen) == _MOST_PARTS:
            return False
        seen.add(id(part))
        inner = _alternatives(part)
        if (target := _target(root, part)) is not None:
            inner.append(target)
        pending += inner
        kinds = part.get("type")
        may_be_object = kinds is None or kinds == "object" or (type(kinds) is list and "object" in kinds)
        if "properties" in part:
            named = True
        elif not inner and may_be_object:
            return False
    return named


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
