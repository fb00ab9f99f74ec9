"""What the cases cannot show of schema_validation: schemas that are wrong, hostile, or lead elsewhere."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.guards.native.schema_validation import SchemaValidation, SchemaValidationSettings
from guardsvc.guards.native.schema_validation.check import ArgumentCheck, SchemaError
from guardsvc.guards.native.schema_validation.guard import MORE_ERRORS, RULES
from guardsvc.guards.native.schema_validation.keywords import DIALECTS
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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 2.0
"""Seconds; what is bounded takes a hundredth of that, what is not takes hours."""

TREE = {
    "$ref": "#/$defs/tree",
    "$defs": {
        "tree": {
            "anyOf": [
                {"type": "object", "properties": {"x": {"$ref": "#/$defs/tree"}}, "required": ["x", "a"]},
                {"type": "object", "properties": {"x": {"$ref": "#/$defs/tree"}}, "required": ["x", "b"]},
                {"type": "string"},
            ]
        }
    },
}


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


def places(answer: Verdict) -> list[tuple[str, str]]:
    return [(finding.rule, finding.where) for finding in answer.findings]


def nested(depth: int, leaf: Any = 1) -> Any:
    for _ in range(depth):
        leaf = {"x": leaf}
    return leaf


def problem(schema: Any, **settings: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        guard(schema, **settings)
    assert caught.value.path == ()
    return str(caught.value)


# Dialects and wrong schemas


@pytest.mark.parametrize("ending", ["", "#"])
@pytest.mark.parametrize("scheme", ["http:", "https:"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_known_however_it_is_spelt(dialect: str, scheme: str, ending: str) -> None:
    uri = scheme + dialect.partition(":")[2] + ending
    assert places(verdict({"$schema": uri, "properties": {"a": {"type": "string"}}}, {"a": 1})) == [
        ("type", "/arguments/a")
    ]


def test_what_a_word_means_depends_on_the_dialect() -> None:
    first = {"properties": {"a": {"items": [{"type": "string"}], "additionalItems": False}}}
    old = {"$schema": "http://json-schema.org/draft-07/schema#", **first}
    assert places(verdict(old, {"a": ["x", 1]})) == [("additionalItems", "/arguments/a/1")]
    assert "items" in problem(first)
    beside = {"$ref": "#/definitions/a", "maxProperties": 0, "definitions": {"a": {"type": "object"}}}
    assert verdict({"$schema": "http://json-schema.org/draft-06/schema#", **beside}, {"a": 1}) is ALLOW
    assert places(verdict(beside, {"a": 1})) == [("maxProperties", "/arguments")]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "text"}, 'input_schema/type of tool "search" of server "files": "text"'),
        ({"properties": {"a": {"minLength": "2"}}}, "input_schema/properties/a/minLength of tool"),
        ({"properties": {"a": {"pattern": "("}}}, "input_schema/properties/a/pattern of tool"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "input_schema/$schema of tool"),
        ({"$schema": "https://example.com/dialect"}, "is not one of http://json-schema.org/draft-04/schema, "),
        ({"$schema": 7}, "7 is not one of "),
        ({"$ref": "#/$defs/nowhere"}, "'/$defs/nowhere' does not exist"),
        ({"$ref": "#nowhere"}, "nowhere"),
        ({"default": float("nan"), "x": object()}, "it is no JSON"),
    ],
)
def test_a_schema_that_is_wrong_is_a_problem_that_says_where(schema: Any, said: str) -> None:
    assert said in problem(schema)


def test_several_wrong_schemas_are_told_at_once_and_not_all() -> None:
    schemas = {("files", f"tool{number}"): {"type": "text"} for number in range(7)}
    with pytest.raises(SettingsError) as caught:
        SchemaValidation(SchemaValidationSettings(), GuardContext(guard_id="g", input_schemas=schemas))
    assert '"tool4"' in str(caught.value)
    assert '"tool5"' not in str(caught.value)
    assert str(caught.value).endswith("; and 2 more")


# Nothing is fetched


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server that would give any schema, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: Any) -> None:
            del args

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_nothing_is_ever_fetched(elsewhere: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = elsewhere
    file = tmp_path / "schema.json"
    file.write_text("{}")
    for reference in (f"{address}/a", file.as_uri(), str(file), "other.json", "//127.0.0.1/a", f"{address}/a#/b"):
        for schema in (
            {"$ref": reference},
            {"properties": {"a": {"$ref": reference}}},
            {"anyOf": [{"type": "object"}, {"$dynamicRef": reference}]},
            {"$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveRef": "#", "$ref": reference},
            {"$schema": "http://json-schema.org/draft-04/schema#", "definitions": {"a": {"$ref": reference}}},
            {"$id": f"{address}/base/", "properties": {"a": {"$ref": "inner"}}},
            {"$schema": reference},
            {"$defs": {"a": {"$id": f"{address}/", "$schema": reference}}, "$ref": f"{address}/"},
        ):
            try:
                guard(schema).evaluate(call({"a": {"b": 1}}), {})
            except SettingsError:
                continue
    assert asked == []


def test_a_reference_elsewhere_is_a_problem() -> None:
    assert "http://192.0.2.1/a" in problem({"$ref": "http://192.0.2.1/a"})


def test_references_inside_the_schema_are_followed_by_every_name() -> None:
    text = {"type": "string"}
    for reference, definitions in (
        ("#/$defs/a~1b%20c", {"a/b c": text}),
        ("#text", {"a": {"$anchor": "text", **text}}),
        ("https://tools.example/text", {"a": {"$id": "https://tools.example/text", **text}}),
        ("inner/text", {"a": {"$id": "https://guardsvc.invalid/inner/text", **text}}),
    ):
        schema = {"properties": {"a": {"$ref": reference}}, "$defs": definitions}
        assert places(verdict(schema, {"a": 1})) == [("type", "/arguments/a")], reference
    named = {"$id": "https://tools.example/search", "properties": {"a": {"$ref": "#/$defs/t"}}, "$defs": {"t": text}}
    assert places(verdict(named, {"a": 1})) == [("type", "/arguments/a")]


def test_a_dynamic_reference_is_followed_and_its_faults_count_as_not_all() -> None:
    schema = {
        "$dynamicAnchor": "node",
        "properties": {"value": {"type": "string"}, "child": {"$dynamicRef": "#node"}},
    }
    found = places(verdict(schema, {"child": {"child": {"value": 1}}}))
    assert found == [("type", "/arguments/child/child/value"), (MORE_ERRORS, "/arguments")]


# Hostile schemas


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"description": "x" * 70_000}, "max_schema_bytes allows 65536"),
        ({"properties": {"x": nested(70, {})}}, "levels, 64 are allowed"),
        ({"allOf": [{"pattern": str(number)} for number in range(300)]}, "300 patterns, 256 are allowed"),
        ({"patternProperties": {str(number): True for number in range(300)}}, "300 patterns, 256 are allowed"),
        ({"pattern": "(x{1000}){1000}"}, "input_schema/pattern of tool"),
        ({"pattern": "^(?=.*a).*$"}, "input_schema/pattern of tool"),
        ({"pattern": r"(a)\1"}, "input_schema/pattern of tool"),
    ],
    ids=["size", "depth", "patterns", "patterns of names", "large pattern", "look-around", "back reference"],
)
def test_a_schema_out_of_bounds_is_a_problem(schema: Any, said: str) -> None:
    started = time.process_time()
    assert said in problem(schema)
    assert time.process_time() - started < LONG


def doubling(keyword: str, depth: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"a{level}": {keyword: [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(depth)
    }
    return {"$ref": "#/$defs/a0", "$defs": {**definitions, f"a{depth}": {"type": "object"}}}


def unevaluated(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"properties": {"x": True}}
    for _ in range(depth):
        schema = {"anyOf": [schema], "unevaluatedProperties": False}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        *(doubling(keyword, 40) for keyword in ("allOf", "anyOf", "oneOf")),
        unevaluated(25),
        {"$ref": "#/$defs/a0", "$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(400)} | {"a400": {}}},
        {"items": {"enum": [{"a": number} for number in range(3000)]}, "$defs": {}},
    ],
    ids=["allOf", "anyOf", "oneOf", "unevaluated", "chain", "enum"],
)
def test_a_schema_that_takes_too_much_work_is_a_problem(schema: Any) -> None:
    started = time.process_time()
    assert "steps for one value" in problem(schema, max_schema_bytes=1_048_576)
    assert time.process_time() - started < LONG


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"allOf": [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}]},
        {"not": {"$ref": "#"}},
        {"$dynamicRef": "#a", "$dynamicAnchor": "a"},
        {"$id": "urn:a", "oneOf": [{"$ref": "urn:a"}, {"type": "string"}]},
    ],
    ids=["itself", "each other", "branches", "not", "dynamic", "by name"],
)
def test_references_that_go_round_end(schema: Any) -> None:
    assert verdict(schema, {"x": 1}) is not None
    assert verdict(schema, nested(60)) is not None


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (TREE, nested(60)),
        ({**TREE, "unevaluatedProperties": False}, nested(60)),
        (doubling("oneOf", 8), {"x": 1}),
        (
            {"properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, "y": {"type": "string"}}},
            nested(50, {"y": 1}),
        ),
        ({"properties": {"x": {"pattern": "^(a+)+$"}}}, {"x": "a" * 500_000 + "b"}),
        ({"properties": {"x": {"items": {"type": "string"}}}}, {"x": [1] * 100_000}),
        ({"patternProperties": {"^a.*b$": {"type": "string"}}}, {f"a{n}b": 1 for n in range(10_000)}),
        ({"properties": {"x": {"uniqueItems": True}}}, {"x": [[n % 9000] for n in range(20_000)]}),
    ],
    ids=["tree", "tree, unevaluated", "branches", "recursion", "pattern", "items", "names", "unique"],
)
def test_a_hostile_call_is_refused_in_bounded_time(schema: Any, arguments: Any) -> None:
    asked = guard(schema)
    started = time.process_time()
    answer = asked.evaluate(call(arguments), {})
    assert time.process_time() - started < LONG
    assert isinstance(answer, Deny)
    assert len(answer.findings) <= 9


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
