"""What clients send: which values there are, where, under which name and schema."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardsvc.guards.native.argument_schemas import MAX_NODES
from guardsvc.guards.native.arguments import MIN_NAME, MIN_TEXT, Sent, sent_texts, sent_values
from guardsvc.model import Direction, GatewayProtocol, Kind, Operation, Phase

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
NAMES = st.sampled_from(["a", "b", "~", "/", "", "~1"]) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def operation(payload: Any, method: str = "tools/call", **fields: Any) -> Operation:
    return Operation(
        **{
            "protocol": GatewayProtocol.CLI,
            "direction": Direction.REQUEST,
            "phase": Phase.TOOL_INVOKE,
            "kind": Kind.REQUEST,
            "method": method,
            "payload": payload,
            **fields,
        }
    )


def at(payload: Any, pointer: str) -> Any:
    """The value that a JSON pointer leads to (RFC 6901)."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        payload = payload[int(name)] if isinstance(payload, list) else payload[name]
    return payload


def values(sent: list[Sent]) -> list[tuple[Any, str, str]]:
    return [(one.value, one.name, one.where) for one in sent if not one.is_key]


def schema_of(arguments: dict[str, Any], schema: dict[str, Any], where: str) -> Any:
    found = [
        one for one in sent_values(operation({"arguments": arguments}), schema) if one.where == where and not one.is_key
    ]
    assert len(found) == 1
    return found[0].schema


def test_arguments_of_a_tool_in_document_order() -> None:
    sent = list(sent_values(operation({"name": "t", "arguments": {"a": [1, {"b": "x"}], "c/d": None}})))
    assert [(one.value, one.name, one.is_key, one.depth, one.where) for one in sent] == [
        ("a", "", True, 2, "/arguments/a"),
        (1, "a", False, 3, "/arguments/a/0"),
        ("b", "a", True, 4, "/arguments/a/1/b"),
        ("x", "b", False, 4, "/arguments/a/1/b"),
        ("c/d", "", True, 2, "/arguments/c~1d"),
        (None, "c/d", False, 2, "/arguments/c~1d"),
    ]


@pytest.mark.parametrize(
    ("method", "payload", "expected"),
    [
        ("prompts/get", {"name": "p", "arguments": {"a": "1"}}, [("1", "a", "/arguments/a")]),
        ("resources/read", {"uri": "file:///a", "_meta": {"x": "y"}}, [("file:///a", "uri", "/uri")]),
        ("resources/subscribe", {"uri": "file:///a"}, [("file:///a", "uri", "/uri")]),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": "p"},
                "argument": {"name": "path", "value": "/et"},
                "context": {"arguments": {"host": "a"}},
            },
            [("/et", "path", "/argument/value"), ("a", "host", "/context/arguments/host")],
        ),
        (
            "tools/call",
            {"arguments": {}, "inputResponses": {"q": {"content": {"x": 1}}}},
            [(1, "x", "/inputResponses/q/content/x")],
        ),
        ("vendor/do", {"a": {"b": 1}}, [(1, "b", "/a/b")]),
        ("ping", {}, []),
        ("initialize", {"clientInfo": {"name": "c"}}, []),
        ("tools/call", None, []),
        ("tools/call", {"arguments": "text"}, [("text", "", "/arguments")]),
        ("tools/call", {"arguments": ["x"]}, [("x", "", "/arguments/0")]),
    ],
)
def test_what_a_method_carries(method: str, payload: Any, expected: list[tuple[Any, str, str]]) -> None:
    assert values(list(sent_values(operation(payload, method)))) == expected


def test_an_answer_is_looked_at_as_a_whole() -> None:
    answer = operation({"action": "accept", "content": {"who": "A"}}, "", kind=Kind.RESULT)
    assert values(list(sent_values(answer))) == [("accept", "action", "/action"), ("A", "who", "/content/who")]


def test_what_a_server_sends_is_not() -> None:
    assert list(sent_values(operation({"arguments": {"a": 1}}, direction=Direction.RESPONSE))) == []


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_pointers_resolve_and_no_value_is_left_out(arguments: dict[str, Any]) -> None:
    payload = {"arguments": arguments}
    leaves: list[Any] = []
    for one in sent_values(operation(payload), {"type": "object"}):
        found = at(payload, one.where)
        if one.is_key:
            assert one.where.rpartition("/")[2].replace("~1", "/").replace("~0", "~") == one.value
        else:
            assert found is one.value or found == one.value
            leaves.append(one.value)
        assert one.depth == one.where.count("/")
        assert len(one.where) <= 2 * one.where_size
    assert len(leaves) == _count(arguments)


@given(st.dictionaries(NAMES, JSON, max_size=4), JSON)
def test_any_schema_is_read_without_an_error(arguments: dict[str, Any], node: Any) -> None:
    schema = {"properties": {"a": node, "b": {"$ref": "#/properties/a"}}, "additionalProperties": node, "allOf": [node]}
    for one in sent_values(operation({"arguments": arguments}), schema):
        assert one.schema is None or isinstance(one.schema, dict)


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 1


def test_schemas_of_members_and_items() -> None:
    schema = {
        "properties": {
            "path": {"type": "string", "format": "uri"},
            "list": {"prefixItems": [{"title": "first"}], "items": {"title": "other"}},
            "old": {"items": [{"title": "first"}]},
        },
        "additionalProperties": {"title": "extra"},
    }
    arguments = {"path": "x", "list": ["a", "b"], "old": ["a", "b"], "more": 1}
    assert schema_of(arguments, schema, "/arguments/path") == {"type": "string", "format": "uri"}
    assert schema_of(arguments, schema, "/arguments/list/0") == {"title": "first"}
    assert schema_of(arguments, schema, "/arguments/list/1") == {"title": "other"}
    assert schema_of(arguments, schema, "/arguments/old/1") is None
    assert schema_of(arguments, schema, "/arguments/more") == {"title": "extra"}


def test_references_and_combinations_are_put_together() -> None:
    schema = {
        "$ref": "#/$defs/in~1put",
        "$defs": {
            "in/put": {"properties": {"url": {"description": "Where", "anyOf": [{"$ref": "#/$defs/u"}, NULL]}}},
            "u": {"type": "string", "format": "uri"},
        },
    }
    expected = {"description": "Where", "type": "string", "format": "uri"}
    assert schema_of({"url": "x"}, schema, "/arguments/url") == expected
    assert schema_of({"url": None}, schema, "/arguments/url") == {"description": "Where", "type": "null"}


NULL = {"type": "null"}


def test_recursion_in_a_schema_ends() -> None:
    schema: dict[str, Any] = {"properties": {"a": {"$ref": "#"}}, "allOf": [{"$ref": "#"}]}
    nested: dict[str, Any] = {"a": 1}
    for _ in range(200):
        nested = {"a": nested}
    (leaf,) = [one for one in sent_values(operation({"arguments": nested}), schema) if not one.is_key]
    assert leaf.schema is not None


def test_a_broad_schema_is_read_in_part() -> None:
    broad = {"anyOf": [{"properties": {"a": {"anyOf": [{"title": str(i)} for i in range(500)]}}} for _ in range(500)]}
    assert schema_of({"a": 1}, broad, "/arguments/a") is not None
    assert MAX_NODES < 500


def test_no_remote_reference_is_followed() -> None:
    assert schema_of({"a": 1}, {"properties": {"a": {"$ref": "https://x.example/s.json"}}}, "/arguments/a") == {
        "$ref": "https://x.example/s.json"
    }


def test_deep_and_broad_messages_are_walked_without_recursion() -> None:
    deep: Any = 1
    for _ in range(50_000):
        deep = [deep]
    (leaf,) = sent_values(operation({"arguments": deep}), {"type": "object"})
    assert leaf.where.count("/") == 50_001
    assert leaf.schema is None
    assert json.loads(json.dumps(leaf.depth)) == 50_001


@settings(deadline=None)
@given(JSON, st.sampled_from(["tools/call", "completion/complete", "resources/read", "unknown/method"]))
def test_texts_are_the_longer_values(arguments: Any, method: str) -> None:
    payload = {"arguments": arguments, "uri": arguments, "argument": {"name": "n", "value": arguments}}
    asked = operation(payload, method)
    expected = [
        (one.value, one.name, one.is_key, one.depth, one.where)
        for one in sent_values(asked)
        if type(one.value) is str
        and len(one.value) >= (MIN_NAME if one.is_key and one.value[:1] not in ("$", "_") else MIN_TEXT)
    ]
    assert [(one.value, one.name, one.is_key, one.depth, one.where) for one in sent_texts(asked)] == expected
    longer = [one.where for one in sent_texts(asked, None, MIN_NAME)]
    assert longer == [where for value, _, _, _, where in expected if len(value) >= MIN_NAME]


def test_an_operation_is_walked_once_for_a_schema() -> None:
    asked = operation({"arguments": {"a": "text"}})
    assert sent_texts(asked) is sent_texts(asked)
    assert sent_texts(asked, {}) is not sent_texts(asked)


def test_a_new_payload_is_walked_anew() -> None:
    asked = operation({"arguments": {"a": "text"}})
    assert [one.value for one in sent_texts(asked)] == ["text"]
    changed = msgspec.structs.replace(asked, payload={"arguments": {"a": "other"}})
    assert [one.value for one in sent_texts(changed)] == ["other"]


def test_texts_lie_where_they_are_below_much_that_has_none() -> None:
    deep: Any = "text"
    for _ in range(3):
        deep = [[{}, [1]], {"x": deep}, "more"]
    found = [(one.where, one.name) for one in sent_texts(operation({"arguments": {"a": deep}}))]
    assert found == [
        ("/arguments/a/1/x/1/x/1/x", "x"),
        ("/arguments/a/1/x/1/x/2", "x"),
        ("/arguments/a/1/x/2", "x"),
        ("/arguments/a/2", "a"),
    ]


def test_the_rest_of_the_params_comes_behind_what_the_server_is_sent() -> None:
    payload = {
        "_meta": {"progressToken": "p-1", "io.modelcontextprotocol/x": "no", "trace": ["id"]},
        "name": "tool",
        "requestState": "state",
        "uri": "x://y",
        "arguments": {"a": "text"},
    }
    asked = operation(payload)
    expected = [("text", "a", "/arguments/a"), ("id", "trace", "/_meta/trace/0"), ("x://y", "uri", "/uri")]
    assert values(list(sent_values(asked, beside=True))) == expected
    assert values([one for one in sent_texts(asked, beside=True) if not one.is_key]) == expected
    assert values(list(sent_texts(asked))) == expected[:1]
    completed = {"argument": {"name": "path", "value": "/et"}, "context": {"arguments": {"h": "aa"}, "more": "bb"}}
    places = [one.where for one in sent_texts(operation(completed, "completion/complete"), beside=True)]
    assert places == ["/argument/value", "/context/arguments/h", "/argument/name", "/context/more"]
    answer = operation({"action": "accept"}, "", kind=Kind.RESULT)
    assert list(sent_texts(answer, beside=True)) == list(sent_texts(answer))


@given(arguments=JSON, more=JSON)
def test_every_pointer_beside_leads_to_its_value(arguments: Any, more: Any) -> None:
    payload = {"arguments": arguments, "_meta": more, "more": more}
    for one in sent_values(operation(payload), beside=True):
        if not one.is_key:
            assert at(payload, one.where) is one.value
