"""Messages: one JSON value is one reading, or a refusal with a code."""

from __future__ import annotations

from typing import Any

import pytest

from guardsvc.mcp.message import Message, parse, parse_response
from guardsvc.mcp.refusal import Refusal
from guardsvc.model import Kind, Phase

VERSION = "io.modelcontextprotocol/protocolVersion"
LATEST = "2026-07-28"


def request(method: str = "tools/call", **members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, **members}


def call(**params: Any) -> dict[str, Any]:
    return request(params={"name": "t", **params})


def meta(**members: Any) -> dict[str, Any]:
    return call(_meta=members)


def answer(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, **members}


def complete(ref: Any) -> dict[str, Any]:
    return request("completion/complete", params={"ref": ref})


REFUSED: list[tuple[str, Any]] = [
    ("invalid_message", None),
    ("invalid_message", "text"),
    ("invalid_message", []),
    ("invalid_message", {}),
    ("invalid_message", {"id": 1, "method": "ping"}),
    ("invalid_message", {"jsonrpc": 2.0, "id": 1, "method": "ping"}),
    ("invalid_message", {"jsonrpc": "2", "id": 1, "method": "ping"}),
    ("invalid_message", {"jsonrpc": "2.0", "id": 1, "method": None}),
    ("invalid_message", {"jsonrpc": "2.0", "id": 1, "method": ""}),
    ("invalid_message", request("m" * 257)),
    ("invalid_message", request(result={})),
    ("invalid_message", request(error=None)),
    ("invalid_message", answer()),
    ("invalid_message", answer(result={}, error={"code": 1, "message": ""})),
    ("invalid_message", answer(result=[])),
    ("invalid_message", {"jsonrpc": "2.0", "result": {}}),
    ("invalid_message", {"jsonrpc": "2.0", "error": {"code": 1, "message": ""}}),
    ("invalid_message", answer(error="no")),
    ("invalid_message", answer(error={"code": 1.0, "message": ""})),
    ("invalid_message", answer(error={"code": True, "message": ""})),
    ("invalid_message", answer(error={"code": 1})),
    ("unknown_method", request("http/get_stream")),
    ("bad_id", request(id=None)),
    ("bad_id", request(id=True)),
    ("bad_id", request(id=1.0)),
    ("bad_id", request(id={})),
    ("bad_id", request(id=[1])),
    ("bad_id", request(id="x" * 1025)),
    ("bad_id", {"jsonrpc": "2.0", "id": None, "result": {}}),
    ("number_range", request(id=2**53 + 1)),
    ("number_range", request(id=-(2**53) - 1)),
    ("number_range", answer(result={}, id=2**60)),
    ("number_range", answer(error={"code": 2**60, "message": ""})),
    ("number_range", meta(progressToken=2**60)),
    ("number_range", request("notifications/cancelled", params={"requestId": -(2**60)})),
    ("number_range", request("notifications/progress", params={"progress": 2**60})),
    ("number_range", call(task={"ttl": 2**60})),
    ("bad_params", request(params=None)),
    ("bad_params", request(params=[])),
    ("bad_params", request(params="name")),
    ("invalid_params", request(params={"name": 1})),
    ("invalid_params", request(params={"name": None})),
    ("invalid_params", request("resources/read", params={"uri": ["a"]})),
    ("invalid_params", request(params={"name": "t" * 8193})),
    ("invalid_params", request("resources/read", params={"uri": "u" * 8193})),
    ("invalid_params", complete({"type": "ref/resource", "uri": "u" * 8193})),
    ("invalid_params", complete("a")),
    ("invalid_params", complete({"type": "ref/prompt", "name": 1})),
    ("case_variant_key", request(Method="tools/list")),
    ("case_variant_key", request(JSONRPC="2.0")),
    ("case_variant_key", request(Params={})),
    ("case_variant_key", {**request(), "\uff4dethod": "x"}),
    ("case_variant_key", request(paramS={})),
    ("case_variant_key", {**request(), "param\u017f": {}}),
    ("case_variant_key", request(extra=1, EXTRA=2)),
    ("case_variant_key", {"jsonrpc": "2.0", "id": 1, "METHOD": "ping"}),
    ("case_variant_key", call(Name="u")),
    ("case_variant_key", request(params={"NAME": "u"})),
    ("case_variant_key", call(Arguments={})),
    ("case_variant_key", request("resources/read", params={"URI": "u"})),
    ("case_variant_key", call(_Meta={})),
    ("case_variant_key", request("vendor/x", params={"_META": {}})),
    ("case_variant_key", meta(progresstoken=1)),
    ("case_variant_key", meta(**{VERSION.upper(): LATEST})),
    ("case_variant_key", meta(TraceParent="00-")),
    ("case_variant_key", meta(**{"io.modelcontextprotocol/clientInfo": {"Name": "x"}})),
    ("case_variant_key", complete({"type": "ref/prompt", "Name": "x"})),
    ("case_variant_key", request("completion/complete", params={"argument": {"VALUE": "x"}})),
    ("case_variant_key", request("initialize", params={"clientInfo": {"VERSION": "1"}})),
    ("case_variant_key", answer(Result={})),
    ("case_variant_key", answer(result={"Action": "accept"})),
    ("case_variant_key", answer(error={"code": 1, "message": "", "Code": 2})),
    ("case_variant_key", call(inputResponses={"q": {"Action": "accept"}})),
    ("case_variant_key", call(RequestState="s")),
]

ACCEPTED = [
    request("ping"),
    request("vendor/own"),
    request("m" * 256),
    request(extra=1, other=2),
    request(id=2**53),
    request(id=-(2**53)),
    request(id=""),
    request(id="x" * 1024),
    request(params={}),
    call(arguments={"Name": 1, "name": 2, "NAME": 2**70, "id": None}),
    call(arguments=[]),
    request("resources/read", params={"uri": "u" * 8192}),
    call(vendor=1),
    request("vendor/own", params={"Name": 1, "URI": 2**70}),
    meta(**{"com.example/x": 1, "progressToken": 2**53}),
    call(inputResponses={"Q": {}, "q": {"action": "accept", "content": {"Action": 1}}}),
    answer(result={}),
    answer(result={"content": {"Role": 1}}),
    answer(error={"code": 2**53, "message": "", "data": {"Code": 1}}),
    answer(error={"code": -1, "message": ""}, id=None),
    complete({"type": "ref/other", "name": 1}),
]


@pytest.mark.parametrize(("code", "value"), REFUSED, ids=lambda value: repr(value)[:70])
def test_refuses_with_the_code(code: str, value: Any) -> None:
    with pytest.raises(Refusal) as refused:
        parse(value)
    assert refused.value.code == code


@pytest.mark.parametrize("value", ACCEPTED, ids=lambda value: repr(value)[:70])
def test_accepts_a_near_miss(value: dict[str, Any]) -> None:
    message = parse(value)[0]
    assert message.id == value["id"]
    assert message.method == value.get("method", "")


@pytest.mark.parametrize(
    ("value", "kind", "phase", "subject"),
    [
        (call(), Kind.REQUEST, Phase.TOOL_INVOKE, "t"),
        (request(), Kind.REQUEST, Phase.TOOL_INVOKE, None),
        (request("tools/list"), Kind.REQUEST, Phase.TOOLS_LIST, None),
        (request("prompts/get", params={"name": "p"}), Kind.REQUEST, Phase.PROMPT_GET, "p"),
        (request("resources/read", params={"uri": "u:1"}), Kind.REQUEST, Phase.RESOURCE_READ, "u:1"),
        (request("resources/subscribe", params={"uri": "u"}), Kind.REQUEST, Phase.RESOURCE_READ, "u"),
        (complete({"type": "ref/prompt", "name": "p", "uri": "u"}), Kind.REQUEST, Phase.OTHER, "p"),
        (complete({"type": "ref/resource", "uri": "u"}), Kind.REQUEST, Phase.OTHER, "u"),
        (complete({"uri": "u"}), Kind.REQUEST, Phase.OTHER, None),
        (request("server/discover"), Kind.REQUEST, Phase.CONNECTION, None),
        (
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            Kind.NOTIFICATION,
            Phase.CONNECTION,
            None,
        ),
        (answer(result={"action": "accept"}), Kind.RESULT, Phase.INPUT_RESPONSE, None),
        (answer(error={"code": 1, "message": "no"}), Kind.ERROR, Phase.INPUT_RESPONSE, None),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_kind_phase_and_subject(value: dict[str, Any], kind: Kind, phase: Phase, subject: str | None) -> None:
    (message,) = parse(value)
    assert (message.kind, message.phase, message.subject) == (kind, phase, subject)
    payload = value.get("params", value.get("result", value.get("error")))
    assert message.payload is payload


@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "resources/read", "tasks/update"])
def test_a_retry_with_input_is_two_messages(method: str) -> None:
    given = {"inputResponses": {"q": {"action": "accept"}}, "requestState": "s"}
    subject = {"uri" if method == "resources/read" else "name": "x"}
    retry, response = parse(request(method, params={**subject, **given}))
    assert (retry.kind, retry.payload) == (Kind.REQUEST, {**subject, **given})
    assert response == Message(
        kind=Kind.RESULT,
        phase=Phase.INPUT_RESPONSE,
        method=method,
        id=1,
        subject=None if method == "tasks/update" else "x",
        payload=given,
        revision=retry.revision,
    )


def test_only_the_members_present_are_input() -> None:
    assert parse(call(requestState="s"))[1].payload == {"requestState": "s"}
    assert parse(call(inputResponses=None))[1].payload == {"inputResponses": None}
    assert len(parse(request("tools/list", params={"requestState": "s"}))) == 1
    assert len(parse(call(arguments={"requestState": "s"}))) == 1


@pytest.mark.parametrize(
    ("value", "header", "revision"),
    [
        (call(), None, "2025-03-26"),
        (call(), "2025-06-18", "2025-06-18"),
        (meta(**{VERSION: LATEST}), "2025-06-18", LATEST),
        (meta(**{VERSION: 5}), "2025-06-18", "2025-06-18"),
        (call(_meta=5), None, "2025-03-26"),
        (request("initialize", params={"protocolVersion": "2024-11-05"}), None, "2024-11-05"),
        (request("initialize", params={"protocolVersion": "2024-11-05"}), "2025-06-18", "2025-06-18"),
        (request("initialize", params={"protocolVersion": 1}), None, "2025-03-26"),
        (request("initialize"), None, "2025-03-26"),
        (call(protocolVersion="2024-11-05"), None, "2025-03-26"),
        (meta(**{VERSION: "2099-01-01"}), None, "2099-01-01"),
        (meta(**{VERSION: "x" * 100}), None, "x" * 64),
        (answer(result={"_meta": {VERSION: LATEST}}), None, LATEST),
    ],
)
def test_revision(value: dict[str, Any], header: str | None, revision: str) -> None:
    assert parse(value, header)[0].revision == revision


def test_an_answer_of_a_server_has_the_phase_of_what_it_answers() -> None:
    assert parse_response(answer(result={"tools": []}), "tools/list") == Message(
        kind=Kind.RESULT, phase=Phase.TOOLS_LIST, method="tools/list", id=1, payload={"tools": []}
    )
    assert parse_response(answer(result={}), "").phase is Phase.OTHER
    error = parse_response({**answer(error={"code": 1, "message": "no"}), "id": None}, "tools/call", "2025-06-18")
    assert (error.kind, error.phase, error.id, error.revision) == (Kind.ERROR, Phase.TOOL_RESULT, None, "2025-06-18")


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("invalid_message", []),
        ("invalid_message", {"id": 1, "result": {}}),
        ("invalid_message", answer()),
        ("invalid_message", answer(result=[])),
        ("invalid_message", answer(result={}, method="ping")),
        ("invalid_message", {"jsonrpc": "2.0", "result": {}}),
        ("bad_id", {**answer(result={}), "id": None}),
        ("case_variant_key", {**answer(result={}), "Result": {}}),
        ("case_variant_key", answer(result={"tools": [], "Tools": []})),
        ("case_variant_key", answer(result={"structuredcontent": {}})),
        ("case_variant_key", answer(result={"serverInfo": {"Name": "x"}})),
    ],
)
def test_what_is_no_answer_of_a_server_or_not_one_reading_of_it_is_refused(code: str, value: Any) -> None:
    with pytest.raises(Refusal) as caught:
        parse_response(value, "tools/list")
    assert caught.value.code == code
