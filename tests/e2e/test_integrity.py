"""What cannot be read in exactly one way is refused with its own code, and the server never sees it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from guardsvc.model import REASONS
from tests.e2e.ask import Answer, Fields, at_the_server, check, denial, send

if TYPE_CHECKING:
    from deploy.demo.stack import Stack

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parents[1] / "cases" / "integrity.yaml").read_text())
FIRST_OF_PROTOCOL_COMPLIANCE = "header_missing"
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
CUT_AT = 64

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"].replace(" ", "_"))


@every_case
def test_envoy_refuses(readings: Stack, case: dict[str, Any]) -> None:
    listener = case.get("gateway")
    answer = send("POST", readings.url(listener), _body(case), _fields(case))
    _assert_answer(case, answer)
    assert not at_the_server(readings, answer.decision_id)


@every_case
def test_check_refuses(readings: Stack, case: dict[str, Any]) -> None:
    _assert_answer(case, denial(check(readings.guardsvc.address, _check_request(case))))


def test_every_code_has_a_case() -> None:
    codes = list(REASONS)
    expected = set(codes[: codes.index(FIRST_OF_PROTOCOL_COMPLIANCE)])
    assert {error[1] for case in CASES for error in case["errors"]} >= expected


def test_batches_are_refused_by_default(stack: Stack) -> None:
    body = b'[{"jsonrpc":"2.0","id":7,"method":"ping"}]'
    answer = send("POST", stack.url(), body, list(HEADERS.items()))
    assert answer.status == 400
    error = json.loads(answer.body)
    assert error["id"] is None
    assert error["error"]["data"]["reason"] == "batch_not_allowed"


def test_an_allowed_batch_reaches_the_server_untouched(readings: Stack) -> None:
    body = b'[ {"jsonrpc":"2.0","id":7,"method":"ping"}, {"jsonrpc":"2.0","id":8,"method":"ping"} ]'
    answer = send("POST", readings.url(), body, list(HEADERS.items()))
    (received,) = at_the_server(readings, answer.decision_id)
    assert received.body == body


@pytest.mark.parametrize("padding", [0, 1])
def test_envoy_refuses_more_than_one_mebibyte_itself(stack: Stack, padding: int) -> None:
    body = b'{"jsonrpc":"2.0","id":7,"method":"ping"}'.ljust(2**20 + padding)
    for _ in range(10):
        answer = send("POST", stack.url(), body, list(HEADERS.items()))
        if answer.status != 503:  # so Envoy answers where the machine gave guardsvc no time
            break
    assert (answer.status == 413) is bool(padding)
    assert (answer.decision_id is None) is bool(padding)


def _body(case: dict[str, Any]) -> bytes:
    body = base64.b64decode(case["base64"]) if "base64" in case else case["body"].encode()
    return body.ljust(case.get("pad_to", 0))


def _fields(case: dict[str, Any]) -> Fields:
    fields: Fields = []
    for name, value in {**HEADERS, **case.get("headers", {})}.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        fields += [(name, each) for each in values]
    return fields


def _check_request(case: dict[str, Any]) -> CheckRequest:
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host = "POST", "/mcp", "127.0.0.1"
    body = _body(case)
    fields = _fields(case)
    http.size = len(body)
    if body:
        fields.append(("x-envoy-auth-partial-body", "true" if case.get("gateway") == "cut" else "false"))
    if case.get("gateway") == "text":
        http.body = body.decode(errors="replace")
        for name, value in fields:
            http.headers[name] = value
        return request
    http.raw_body = body[:CUT_AT] if case.get("gateway") == "cut" else body
    for name, value in fields:
        http.header_map.headers.add(key=name, raw_value=value.encode())
    return request


def _assert_answer(case: dict[str, Any], answer: Answer) -> None:
    text = answer.body.decode()
    media = "application/json"
    if case.get("events"):
        media = "text/event-stream"
        assert text.startswith("event: message\ndata: ")
        assert text.endswith("\n\n")
        text = text.removeprefix("event: message\ndata: ")
    assert (answer.status, answer.headers["content-type"]) == (case["status"], media)
    found = json.loads(text)
    assert isinstance(found, list) is case.get("batch", False)
    errors = found if isinstance(found, list) else [found]
    assert json.dumps([_outline(error) for error in errors]) == json.dumps(case["errors"])  # 1 is not "1" nor true
    assert all(error["jsonrpc"] == "2.0" and error["error"]["message"] for error in errors)
    assert answer.decision_id in {error["error"]["data"]["decision_id"] for error in errors}


def _outline(error: dict[str, Any]) -> list[Any]:
    outline = [error["error"]["code"], error["error"]["data"]["reason"]]
    return [*outline, error["id"]] if "id" in error else outline
