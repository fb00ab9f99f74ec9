"""schema_validation held against the ``jsonschema`` package, which reads the same schemas its own way."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import jsonschema  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardsvc.guards.native.schema_validation import SchemaValidationSettings
from guardsvc.guards.native.schema_validation.check import ArgumentCheck
from guardsvc.guards.native.schema_validation.keywords import DIALECTS
from guardsvc.guards.native.schema_validation.load import is_larger, size_of
from guardsvc.guards.native.schema_validation.locate import Fault, locate
from guardsvc.mcp import strict_json

NAMES = st.sampled_from(["a", "b", "cc", "x-1"])
NUMBERS = st.integers(-5, 5) | st.sampled_from([0.5, 1.0, -2.5, 2**53 + 1, 10**30])
TEXTS = st.sampled_from(["", "a", "ab", "abc", "äöü", "a\n", "1"])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "null", "array", "object"])
COUNTS = st.integers(0, 3)

ASSERTIONS: dict[str, st.SearchStrategy[Any]] = {
    "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
    "enum": st.lists(VALUES, min_size=1, max_size=4, unique_by=repr),
    "minimum": NUMBERS,
    "maximum": NUMBERS,
    "multipleOf": st.sampled_from([1, 2, 3, 0.5]),
    "minLength": COUNTS,
    "maxLength": COUNTS,
    "pattern": st.sampled_from(["^a", "b", "^[a-z]*$", "ö"]),
    "minItems": COUNTS,
    "maxItems": COUNTS,
    "uniqueItems": st.booleans(),
    "minProperties": COUNTS,
    "maxProperties": COUNTS,
    "required": st.lists(NAMES, min_size=1, max_size=2, unique=True),
}


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            **ASSERTIONS,
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "patternProperties": st.dictionaries(st.sampled_from(["^x-", "a"]), inner, max_size=2),
            "additionalProperties": inner | st.booleans(),
            "items": inner,
            "allOf": several,
            "anyOf": several,
            "oneOf": several,
            "not": inner,
        },
    )


SCHEMAS: st.SearchStrategy[Any] = st.recursive(st.fixed_dictionaries({}, optional=ASSERTIONS), _schemas, max_leaves=6)
NEW = st.fixed_dictionaries(
    {},
    optional={
        "if": SCHEMAS,
        "then": SCHEMAS,
        "else": SCHEMAS,
        "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2),
        "dependentSchemas": st.dictionaries(NAMES, SCHEMAS, max_size=2),
        "contains": SCHEMAS,
        "minContains": COUNTS,
        "maxContains": COUNTS,
        "propertyNames": SCHEMAS,
        "unevaluatedProperties": SCHEMAS | st.booleans(),
    },
)
LARGE = settings(max_examples=settings().max_examples // 3)
"""Schemas take longer to draw than to judge."""
TOOLS = st.builds(lambda old, new: {**old, **new, "properties": {**old.get("properties", {}), "a": new}}, SCHEMAS, NEW)


def check(schema: dict[str, Any], **settings: Any) -> ArgumentCheck:
    return ArgumentCheck(schema, SchemaValidationSettings(**settings))


def oracle(schema: dict[str, Any]) -> jsonschema.protocols.Validator:
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    validator: jsonschema.protocols.Validator = kind(schema)
    return validator


def keywords(errors: Any) -> set[str]:
    """Every keyword that has a part in the errors."""
    found: set[str] = set()
    for error in errors:
        found |= {str(error.validator), *map(str, error.absolute_schema_path)} | keywords(error.context)
    return found


def tells(fault: Fault, error: jsonschema.ValidationError) -> bool:
    """Whether a fault stands for an error: the same keyword or one that led to it, at its place or above."""
    at = "".join(f"/{token}" for token in error.absolute_path)
    if fault.keyword == "required":
        return error.validator == "required" and fault.pointer.startswith(f"{at}/")
    return f"{at}/".startswith(f"{fault.pointer}/") and fault.keyword in map(str, error.absolute_schema_path)


@LARGE
@given(TOOLS, ARGUMENTS)
def test_it_accepts_what_jsonschema_accepts(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert check(schema).accepts(arguments) is oracle(schema).is_valid(arguments)


@given(st.sampled_from(DIALECTS), SCHEMAS, ARGUMENTS)
def test_it_does_so_in_every_dialect(dialect: str, schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    stated = {"$schema": f"{dialect}#" if "draft-0" in dialect else dialect, **schema}
    assert check(stated).accepts(arguments) is oracle(stated).is_valid(arguments)


@LARGE
@given(TOOLS, ARGUMENTS)
@example({"properties": {"a": {"type": "string"}}, "unevaluatedProperties": False}, {"a": 1, "b": 2})
def test_what_it_names_is_what_jsonschema_names(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    judged = check(schema)
    if judged.accepts(arguments):
        return
    with patch(f"{locate.__module__}.MAX_STEPS", 10**9):
        faults, complete = locate(judged, arguments, 1000)
    errors = list(oracle(schema).iter_errors(arguments))
    assert complete
    # Whether members of branches that are broken themselves were evaluated is not asked: they are named.
    assert {fault.keyword for fault in faults} - {"unevaluatedProperties"} <= keywords(errors)
    assert [error for error in errors if not any(tells(fault, error) for fault in faults)] == []


@LARGE
@given(TOOLS, ARGUMENTS)
def test_denying_extra_properties_refuses_more_and_allowing_them_less(
    schema: dict[str, Any], arguments: dict[str, Any]
) -> None:
    accepted = [check(schema, extra_properties=setting).accepts(arguments) for setting in ("deny", "schema", "allow")]
    if not {"not", "if", "oneOf"} & set(json.dumps(schema).split('"')):
        assert accepted == sorted(accepted)


@LARGE
@given(TOOLS, ARGUMENTS)
def test_what_came_over_the_wire_is_judged_as_what_is_in_memory(
    schema: dict[str, Any], arguments: dict[str, Any]
) -> None:
    judged = check(schema)
    assert judged.accepts(strict_json.decode(json.dumps(arguments).encode())) is judged.accepts(arguments)


@given(VALUES | st.text(max_size=60) | st.lists(st.text(max_size=20)))
def test_a_value_is_larger_than_anything_below_its_size(value: Any) -> None:
    size = size_of(value, 10**9)
    assert is_larger(value, size - 1)
    assert not is_larger(value, size)
