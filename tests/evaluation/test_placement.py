"""Where payloads stand: in properties of real tools that fit them."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from guardsvc.evaluation.corpus import Row
from guardsvc.evaluation.placement import Places
from guardsvc.evaluation.toolbox import BUILT_IN, Tool, tools_of


def row(**data: Any) -> Row:
    return Row(1, data)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("path_traversal", {"path", "directory", "filename"}),
        ("ssrf", {"url"}),
        ("command_injection", {"hostname", "branch", "repo", "filename", "path"}),
        ("sql_injection", {"username", "name", "city", "id", "title"}),
        ("ssti", {"name", "title", "body", "text", "content"}),
    ],
)
def test_built_in_tools_have_fields_for_every_role(kind: str, names: set[str]) -> None:
    places = Places([])
    found = {place.where.partition(".")[2] for place in places.of(row(kind=kind, value="PAYLOAD"), 0)}

    assert found == names
    for index in range(4):
        first = places.of(row(kind=kind, value="PAYLOAD"), index)[0]
        assert "PAYLOAD" in first.arguments.values()


def test_rows_take_turns() -> None:
    places = Places([])

    assert len({places.of(row(kind="path_traversal", value="x"), index)[0].where for index in range(4)}) == 4


def test_real_tools_come_before_built_in_ones() -> None:
    schema = {"properties": {"file_path": {"type": "string"}, "mode": {"type": "string"}}, "required": ["mode"]}
    places = Places(tools_of([row(server="s", name="open", inputSchema=schema)]))
    (place,) = places.of(row(kind="path_traversal", value="../x"), 5)

    assert (place.tool, place.arguments) == ("open", {"mode": "example", "file_path": "../x"})


def test_the_tool_of_a_row_and_its_arguments_are_kept() -> None:
    places = Places([])

    assert places.of(row(kind="sensitive_file", value="x", tool="read_file"), 3)[0].where == "read_file.path"
    given = places.of(row(value="x", tool="git_commit", arguments={"message": "y"}), 0)
    assert [(place.tool, place.arguments) for place in given] == [("git_commit", {"message": "y"})]
    assert places.of(row(kind="other", value='{"url": "x"}'), 0)[0].arguments == {"url": "x"}
    assert "username" in Places([]).of(row(kind="nosql_injection", value='{"$gt": ""}'), 0)[0].arguments


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "number"}}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "boolean"}, {}]}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "object"}, "b": True}, "required": ["a", "b"]},
        *(tool.schema for tool in BUILT_IN),
    ],
)
def test_what_is_made_up_fits_the_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator(schema).validate(Tool("", "t", schema).call({}))


def test_fields_take_any_text() -> None:
    properties = {
        "a": {"type": "string"},
        "b": {},
        "c": {"type": ["null", "string"]},
        "d": {"type": "string", "enum": ["x"]},
        "e": {"type": "integer"},
        "f": {"type": "string", "pattern": "^x$"},
        "g": True,
    }

    assert [field.name for field in Tool("", "t", {"properties": properties}).fields()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "schema", [{}, {"properties": 1}, {"properties": {"a": 1}, "required": 1}, {"required": ["a"]}]
)
def test_odd_schemas_do_no_harm(schema: dict[str, Any]) -> None:
    tool = Tool("", "t", schema)

    assert tool.call({"x": 1}) == {"x": 1}
    assert list(tool.fields()) == []
