"""What the cases cannot show of schema_validation: its settings, its bounds, and what it tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardsvc.guards.native.schema_validation import SchemaValidation, SchemaValidationSettings
from guardsvc.guards.native.schema_validation.check import ArgumentCheck, SchemaError
from guardsvc.guards.native.schema_validation.guard import MORE_ERRORS, RULES
from guardsvc.guards.native.schema_validation.load import MAX_STEPS
from guardsvc.model import (
    ALLOW,
    Deny,
    Direction,
    ErrorKind,
    GatewayProtocol,
    GuardContext,
    GuardFailure,
    Kind,
    Operation,
    Phase,
    SettingsError,
    Verdict,
)
from tests.guards.cases import load_cases


def guard(schema: Any, **settings: Any) -> SchemaValidation:
    context = GuardContext(guard_id="g", servers=frozenset({"files"}), input_schemas={("files", "search"): schema})
    return SchemaValidation(SchemaValidationSettings(**settings), context)


def call(arguments: Any, tool: str = "search") -> Operation:
    return Operation(
        protocol=GatewayProtocol.EXT_AUTHZ,
        direction=Direction.REQUEST,
        phase=Phase.TOOL_INVOKE,
        kind=Kind.REQUEST,
        method="tools/call",
        id=1,
        server="files",
        servers=("files",),
        subject=tool,
        payload={"name": tool, "arguments": arguments},
    )


def verdict(schema: Any, arguments: Any, **settings: Any) -> Verdict:
    return guard(schema, **settings).evaluate(call(arguments), {})


def problem(schema: Any, **settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        guard(schema, **settings)
    assert caught.value.path == ()
    return str(caught.value)


def places(answer: Verdict) -> list[tuple[str, str]]:
    return [(finding.rule, finding.where) for finding in answer.findings]


def test_work_beyond_the_budget_is_a_failure_of_the_guard() -> None:
    schema = {"properties": {"x": {"items": {"allOf": [{"minimum": number} for number in range(500)]}}}}
    asked = guard(schema)
    with pytest.raises(GuardFailure) as caught:
        asked.evaluate(call({"x": [1] * MAX_STEPS}), {})
    assert caught.value.kind is ErrorKind.OVER_BUDGET
    assert isinstance(asked.evaluate(call({"x": [1] * 100}), {}), Deny)


# Settings


def test_a_pattern_that_linear_time_cannot_match_is_left_out_where_the_setting_says_so() -> None:
    schema = {"properties": {"a": {"type": "string", "pattern": "^(?!x).*$"}, "b": {"pattern": "^b"}}}
    assert verdict(schema, {"a": "x"}, unsupported_patterns="ignore") is ALLOW
    assert places(verdict(schema, {"a": 1, "b": "a"}, unsupported_patterns="ignore")) == [
        ("type", "/arguments/a"),
        ("pattern", "/arguments/b"),
    ]


@pytest.mark.parametrize("keyword", ["not", "if", "oneOf"])
def test_a_pattern_is_not_left_out_where_that_would_turn_the_schema_round(keyword: str) -> None:
    inner: Any = {"allOf": [{"pattern": "(?=a)b"}]}
    assert "nor ignored" in problem({keyword: [inner] if keyword == "oneOf" else inner}, unsupported_patterns="ignore")


def test_extra_properties_of_maps_and_branches_are_left_to_the_schema() -> None:
    schema = {
        "properties": {
            "env": {"type": "object", "additionalProperties": {"type": "string"}},
            "free": {"type": "object"},
        },
        "allOf": [{"properties": {"path": {"type": "string"}}}],
        "additionalProperties": True,
    }
    arguments = {"env": {"A": "1"}, "free": {"any": 1}, "path": "a"}
    assert verdict(schema, arguments, extra_properties="deny") is ALLOW
    assert places(verdict(schema, {**arguments, "x": 1}, extra_properties="deny")) == [
        ("unevaluatedProperties", "/arguments")
    ]


def test_a_fault_does_not_hide_an_extra_property() -> None:
    """Or an exception for the one would let the other pass."""
    schema = {"properties": {"a": {"type": "string"}}, "allOf": [{"properties": {"b": {}}}]}
    found = places(verdict(schema, {"a": 1, "b": 2, "x": 3}, extra_properties="deny"))
    assert found == [("type", "/arguments/a"), ("unevaluatedProperties", "/arguments")]
    assert places(verdict(schema, {"a": 1, "b": 2}, extra_properties="deny")) == [("type", "/arguments/a")]


def test_a_schema_is_not_changed_for_others() -> None:
    schema = {"type": "object", "properties": {"a": {"pattern": "(?=a)"}}, "additionalProperties": False}
    before = json.dumps(schema)
    guard(schema, extra_properties="allow", unsupported_patterns="ignore")
    assert json.dumps(schema) == before


# What is told


def test_no_more_faults_are_named_than_the_setting_says_and_that_there_are_more() -> None:
    schema = {"properties": {"a": {"items": {"type": "string"}}}}
    answer = verdict(schema, {"a": [1, 2, 3, 4]}, max_errors=3)
    assert places(answer) == [("type", f"/arguments/a/{index}") for index in range(3)] + [(MORE_ERRORS, "/arguments")]
    assert isinstance(answer, Deny)
    assert [error["rule"] for error in answer.details["errors"]] == ["type", "type", "type", MORE_ERRORS]
    assert MORE_ERRORS not in [rule for rule, _ in places(verdict(schema, {"a": [1, 2, 3]}, max_errors=3))]


@pytest.mark.parametrize(
    "schema",
    [
        {"additionalProperties": False},
        {"unevaluatedProperties": {"type": "string"}},
        {"additionalProperties": {"properties": {"b": {"type": "string"}}}},
        {"patternProperties": {"": {"type": "string"}}},
        {"propertyNames": {"maxLength": 3}},
        {"properties": {"known": {"const": "value"}}, "required": ["known"]},
        {"properties": {"known": {"anyOf": [{"pattern": "^x"}, {"enum": [1]}]}}, "required": ["known"]},
        {"not": {"required": ["SECRET-name"]}},
    ],
)
def test_neither_values_nor_names_that_a_client_chose_are_repeated(schema: Any) -> None:
    for arguments in ({"SECRET-name": {"b": 1}}, {"SECRET-name": {"b": "SECRET"}, "known": "SECRET"}):
        answer = verdict(schema, arguments)
        assert "SECRET" not in repr(answer)
    assert isinstance(verdict(schema, {"SECRET-name": {"b": 1}}), Deny)


@pytest.mark.parametrize(
    ("schema", "number", "valid"),
    [
        ({"maximum": 2**53}, 2**53 + 1, False),
        ({"maximum": 2**53 + 1}, 2**53 + 1, True),
        ({"multipleOf": 3}, 10**30, False),
        ({"multipleOf": 3}, 3 * 10**30, True),
        ({"type": "integer"}, 10**4000, True),
        ({"type": "integer"}, 1.5, False),
        ({"type": "integer"}, 1e300, True),
        ({"type": "integer"}, True, False),
        ({"type": "number"}, True, False),
        ({"minimum": 0}, -0.0, True),
        ({"const": 1}, 1.0, True),
        ({"enum": [10**20]}, 10**20 + 1, False),
        ({"multipleOf": 0.01}, 19.99, True),
    ],
)
def test_numbers_are_judged_exactly(schema: Any, number: float, valid: bool) -> None:
    assert (verdict({"properties": {"n": schema}}, {"n": number}) is ALLOW) is valid


@pytest.mark.parametrize("arguments", [[], "text", 1, None])
def test_arguments_that_are_no_object_are_held_against_the_schema_too(arguments: Any) -> None:
    assert places(verdict({"type": "object"}, arguments)) == [("type", "/arguments")]


def test_every_rule_is_one_that_can_be_named() -> None:
    shown = {rule for case in load_cases() if case.guard == "schema_validation" for rule in case.rules}
    assert shown <= set(RULES)
    assert len(RULES) == len(set(RULES))


def test_an_error_of_a_schema_says_where() -> None:
    with pytest.raises(SchemaError) as caught:
        ArgumentCheck({"properties": {"a/b": {"type": 1}}}, SchemaValidationSettings())
    assert caught.value.pointer == "/properties/a~1b/type"
