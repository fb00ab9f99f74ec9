"""Schemas of ``schema_validation`` that are wrong, hostile, or lead elsewhere."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.guards.native.schema_validation import SchemaValidation, SchemaValidationSettings
from guardsvc.guards.native.schema_validation.guard import MORE_ERRORS
from guardsvc.guards.native.schema_validation.keywords import DIALECTS
from guardsvc.model import ALLOW, Deny, GuardContext, SettingsError
from tests.guards.test_schema_validation import call, guard, places, problem, verdict

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


def nested(depth: int, leaf: Any = 1) -> Any:
    for _ in range(depth):
        leaf = {"x": leaf}
    return leaf


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
