"""Interpret: from the HTTP request to the messages, in the order in which refusals win."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from guardsvc.mcp import (
    BodyState,
    HttpRequest,
    Interpretation,
    InterpretationRules,
    Limits,
    Refusal,
    interpret,
)
from guardsvc.mcp.interpret import MAX_HEADER_BYTES
from guardsvc.model import Globs, Headers, Kind, RequestId

JSON = ("content-type", "application/json")
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
BATCHES = InterpretationRules(batches=True)


def post(body: Any = PING, *fields: tuple[str, str], state: BodyState = BodyState.WHOLE, **more: Any) -> HttpRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpRequest(
        method="POST",
        path="/mcp",
        host="h",
        headers=Headers(fields or [JSON]),
        body=data,
        body_state=state,
        **more,
    )


def refusal_of(request: HttpRequest, rules: InterpretationRules | None = None) -> Refusal:
    with pytest.raises(Refusal) as refused:
        interpret(request, rules or InterpretationRules())
    return refused.value


def ping(request_id: RequestId) -> dict[str, Any]:
    return {**PING, "id": request_id}


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_header_fields_have_a_bound(method: str) -> None:
    rest = ("accept", "," * (MAX_HEADER_BYTES - sum(map(len, JSON)) - len("accept")))
    fits, exceeds = Headers([JSON, rest]), Headers([JSON, rest, ("x", "")])
    assert interpret(msgspec.structs.replace(post(), method=method, headers=fits)).messages
    refusal = refusal_of(msgspec.structs.replace(post(), method=method, headers=exceeds))
    assert refusal.code == "too_large"


@pytest.mark.parametrize(
    "fields",
    [
        [JSON],
        [("Content-Type", "Application/JSON")],
        [("content-type", "application/json; charset=utf-8")],
        [("content-type", 'application/json ;charset="UTF-8"')],
        [JSON, ("content-encoding", "identity")],
    ],
)
def test_accepted_fields(fields: list[tuple[str, str]]) -> None:
    interpretation = interpret(post(PING, *fields))
    assert isinstance(interpretation, Interpretation)
    assert not interpretation.batch
    assert [message.method for message in interpretation.messages] == ["ping"]


@pytest.mark.parametrize(
    ("code", "request_"),
    [
        ("content_encoding", post(PING, JSON, ("content-encoding", "gzip"))),
        ("content_encoding", post(PING, JSON, ("content-encoding", "identity, gzip"))),
        ("content_encoding", post(PING, JSON, ("content-encoding", ""))),
        ("content_encoding", post(PING, JSON, ("content-encoding", "identity"), ("content-encoding", "br"))),
        ("content_encoding", post(PING, ("content-encoding", "gzip"))),
        ("content_type", post(PING, ("accept", "*/*"))),
        ("content_type", post(PING, JSON, JSON)),
        ("content_type", post(PING, ("content-type", "application/json,application/json"))),
        ("content_type", post(PING, ("content-type", "text/plain"))),
        ("content_type", post(PING, ("content-type", "application/json; charset=utf-16"))),
        ("content_type", post(PING, ("content-type", "application/json; charset=utf-8; charset=utf-7"))),
        ("content_type", post(PING, ("content-type", "application/jsonp"))),
        ("content_type", post(PING, ("content-type", "application/json\n"))),
        ("content_type", post(b"", ("content-type", "text/plain"))),
        ("missing_body", post(b"")),
        ("missing_body", post(PING, state=BodyState.ABSENT)),
        ("missing_body", post(b"", state=BodyState.PARTIAL)),
        ("partial_body", post(PING, state=BodyState.PARTIAL)),
        ("lossy_body", post(PING, state=BodyState.LOSSY)),
        ("invalid_json", post(b"{")),
        ("header_mismatch", post(PING, JSON, ("mcp-method", "tools/list"))),
        ("batch_not_allowed", post([PING])),
    ],
)
def test_refused_fields_and_bodies(code: str, request_: HttpRequest) -> None:
    assert refusal_of(request_).code == code


def test_rules() -> None:
    assert interpret(post(state=BodyState.LOSSY), InterpretationRules(lossy_body=True)).messages
    assert refusal_of(post(), InterpretationRules(limits=Limits(max_bytes=9))).code == "too_large"
    (message,) = interpret(post(), InterpretationRules(mcp_paths=Globs(["/other"]))).messages
    assert (message.kind, message.method) == (Kind.TRANSPORT, "http/other")


def test_a_mismatch_echoes_the_id_and_names_the_header() -> None:
    refusal = refusal_of(post(ping("x"), JSON, ("mcp-name", "t")))
    assert (refusal.code, refusal.id, refusal.method) == ("header_mismatch", "x", "ping")
    assert refusal.answerable
    assert refusal.details == {"header": "mcp-name"}


def test_a_batch_is_its_messages_in_order() -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
    interpretation = interpret(post([ping(1), note, answer, ping("1")]), BATCHES)
    assert interpretation.batch
    assert [message.kind for message in interpretation.messages] == [
        Kind.REQUEST,
        Kind.NOTIFICATION,
        Kind.RESULT,
        Kind.REQUEST,
    ]


META_LATEST = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}


@pytest.mark.parametrize(
    ("code", "body", "fields", "request_id"),
    [
        ("invalid_message", [], [], None),
        ("invalid_message", [PING, 5], [], None),
        ("invalid_message", [[PING]], [], None),
        ("batch_not_allowed", [PING], [("mcp-protocol-version", "2025-06-18")], None),
        ("batch_not_allowed", [PING], [("mcp-protocol-version", "x")], None),
        ("batch_not_allowed", [ping(n) for n in range(101)], [], None),
        ("batch_not_allowed", [{**PING, "method": "initialize"}], [], 1),
        ("batch_not_allowed", [{**PING, "params": META_LATEST}], [], 1),
        ("bad_id", [PING, PING], [], None),
        ("bad_id", [ping(1), {**PING, "id": None}], [], None),
        ("bad_params", [ping(1), {**PING, "id": 2, "params": 5}], [], 2),
        ("duplicate_key", b'[{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}]', [], None),
        ("header_mismatch", [PING], [("mcp-method", "ping")], None),
        ("header_mismatch", [PING], [("mcp-name", "x")], None),
        ("header_mismatch", [PING], [("mcp-protocol-version", "2025-03-26")] * 2, None),
    ],
)
def test_refused_batches(code: str, body: Any, fields: list[tuple[str, str]], request_id: RequestId | None) -> None:
    refusal = refusal_of(post(body, JSON, *fields), BATCHES)
    assert (refusal.code, refusal.id, refusal.batch) == (code, request_id, True)


def test_batches_of_the_revision_are_accepted_with_its_header() -> None:
    request = post([ping(n) for n in range(100)], JSON, ("mcp-protocol-version", "2025-03-26"))
    assert len(interpret(request, BATCHES).messages) == 100
