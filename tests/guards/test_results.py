"""``shown_values``: every text of a server's message, each once, at a pointer that leads to it."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.guards.native.results import MIN_NUMBER, Part, Shown, blob_text, shown_values
from guardsvc.model import Direction, GatewayProtocol, Kind, Operation, Phase
from tests.guards.pointers import resolve

RESULT = {
    "content": [
        {"type": "text", "text": "hello"},
        {"type": "image", "data": b64encode(b"\x89PNG\0").decode(), "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "file:///a", "mimeType": "Text/Plain", "blob": "aGVsbG8="}},
        {"type": "resource_link", "uri": "file:///b", "name": "bb"},
    ],
    "structuredContent": {"rows": [{"a note": "x1", "id": MIN_NUMBER}], "small": 7},
    "requestState": "opaque",
    "inputRequests": {"q1": {"method": "elicitation/create", "params": {"message": "your name?"}}},
    "_meta": {"vendor": {"hint": "m1"}},
}


def message(payload: Any, **fields: Any) -> Operation:
    known: dict[str, Any] = {
        "protocol": GatewayProtocol.CLI,
        "direction": Direction.RESPONSE,
        "phase": Phase.TOOL_RESULT,
        "kind": Kind.RESULT,
        "method": "tools/call",
        "payload": payload,
    }
    return Operation(**known | fields)


def parts(payload: Any, **fields: Any) -> dict[str, Part]:
    return {shown.where: shown.part for shown in shown_values(message(payload, **fields))}


def test_parts_of_a_tools_result() -> None:
    found = parts(RESULT)
    assert found["/content/0/text"] is Part.TEXT
    assert found["/content/1/data"] is Part.BLOB
    assert found["/content/2/resource/uri"] is Part.RESOURCE
    assert found["/content/2/resource/blob"] is Part.BLOB
    assert found["/content/3/name"] is Part.LINK
    assert found["/structuredContent/rows/0/a note"] is Part.STRUCTURED
    assert found["/inputRequests/q1/params/message"] is Part.QUESTION
    assert found["/_meta/vendor/hint"] is Part.META


def test_numbers_of_some_size_and_what_is_opaque() -> None:
    found = parts(RESULT)
    assert "/structuredContent/rows/0/id" in found
    assert "/structuredContent/small" not in found
    assert "/requestState" not in found


@pytest.mark.parametrize(
    ("payload", "fields", "where", "part"),
    [
        ({"messages": [{"content": {"text": "hi there"}}]}, {}, "/messages/0/content/text", Part.MESSAGE),
        ({"contents": [{"uri": "a:b", "text": "hi"}]}, {}, "/contents/0/text", Part.RESOURCE),
        ({"instructions": "be kind"}, {"phase": Phase.CONNECTION}, "/instructions", Part.INSTRUCTIONS),
        ({"code": 1, "message": "no", "data": ["why"]}, {"kind": Kind.ERROR}, "/data/0", Part.ERROR),
        ({"level": "info", "data": {"line": "log"}}, {"kind": Kind.NOTIFICATION}, "/data/line", Part.NOTICE),
        ({"message": "who?"}, {"kind": Kind.REQUEST, "phase": Phase.INPUT_REQUEST}, "/message", Part.QUESTION),
        ({"completion": {"values": ["paris"]}}, {"phase": Phase.OTHER}, "/completion/values/0", Part.OTHER),
        ({"code": 1, "message": "no tools"}, {"kind": Kind.ERROR, "phase": Phase.TOOLS_LIST}, "/message", Part.ERROR),
    ],
)  # fmt: skip
def test_parts_of_other_messages(payload: Any, fields: dict[str, Any], where: str, part: Part) -> None:
    assert parts(payload, **fields)[where] is part


@pytest.mark.parametrize(
    "fields",
    [
        {"direction": Direction.REQUEST},
        {"phase": Phase.TOOLS_LIST},
        {"kind": Kind.TRANSPORT},
        {"phase": Phase.INPUT_REQUEST},
    ],
)
def test_what_is_for_others(fields: dict[str, Any]) -> None:
    assert parts({"content": [{"type": "text", "text": "hello"}]}, **fields) == {}


def test_a_payload_is_walked_once() -> None:
    operation = message(RESULT)
    assert shown_values(operation) is shown_values(operation)


def test_depth_costs_no_recursion() -> None:
    nested: Any = "deep down"
    for _ in range(5_000):
        nested = [nested]
    (shown,) = [each for each in shown_values(message({"structuredContent": nested})) if not each.is_key]
    assert shown.value == "deep down"
    assert shown.where.count("/") == 5_001


JSON = st.recursive(
    st.text(max_size=6) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_every_text_is_found_at_its_pointer(value: Any) -> None:
    payload = {"content": [], "structuredContent": value}
    found = shown_values(message(payload))
    texts = [shown for shown in found if not shown.is_key]
    for shown in texts:
        assert resolve(payload, shown.where) == shown.value
    assert len({shown.where for shown in texts}) == len(texts)
    assert sum(isinstance(shown.value, str) for shown in texts) == texts_in(value)


def texts_in(value: Any) -> int:
    if isinstance(value, str):
        return len(value) > 1
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(texts_in, members))


@pytest.mark.parametrize(
    ("value", "mime", "text"),
    [
        ("aGVsbG8gd29ybGQ=", "", "hello world"),
        ("aGVsbG8\ngd29ybGQ", "", "hello world"),
        ("a-_b", "text/plain", "k\ufffd\ufffd"),
        ("no Base64!", "image/png", "no Base64!"),
        (b64encode("hé".encode("utf-16")).decode(), "", "\ufeffhé"),
        (b64encode(b"\x89PNG\0\1").decode(), "image/png", None),
        (b64encode(b"\xff\xd8\xff").decode(), "image/jpeg", None),
        (b64encode(b"plain after all").decode(), "image/jpeg", "plain after all"),
    ],
)
def test_text_of_a_blob(value: str, mime: str, text: str | None) -> None:
    found = blob_text(Shown(value, Part.BLOB, "blob", False, mime, None))
    assert (found or "").removeprefix("\ufeff") == (text or "").removeprefix("\ufeff")
