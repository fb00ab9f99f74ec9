"""Files of traffic: JSON lines and HAR, told apart by their content."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardsvc.mcp import BodyState
from guardsvc.traffic import Form, TrafficError, form_of, read_capture

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def lines(*values: Any) -> bytes:
    return b"\n".join(json.dumps(value).encode() for value in values)


def entry(**more: Any) -> dict[str, Any]:
    request = {
        "method": "POST",
        "url": "https://user:pw@mcp.example:8443/mcp?x=1",
        "headers": [
            {"name": ":authority", "value": "mcp.example"},
            {"name": "Host", "value": "mcp.example"},
            {"name": "Accept", "value": "application/json, text/event-stream"},
        ],
        "postData": {"mimeType": "application/json", "text": json.dumps(PING)},
    }
    return {"startedDateTime": "2026-01-31T12:00:00.500Z", "request": {**request, **more.pop("request", {})}, **more}


def har(*entries: Any) -> bytes:
    return json.dumps({"log": {"version": "1.2", "entries": list(entries)}}).encode()


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"", Form.MESSAGE),
        (b"{nonsense", Form.MESSAGE),
        (lines(PING), Form.MESSAGE),
        (lines(PING) + b"\n", Form.MESSAGE),
        (json.dumps(PING, indent=2).encode(), Form.MESSAGE),
        (json.dumps([PING, PING]).encode(), Form.MESSAGE),
        (lines(PING) + lines(PING), Form.MESSAGE),
        (lines(PING) + b"\nnonsense", Form.MESSAGE),
        (lines({"a": 1}, {"b": 2}), Form.MESSAGE),
        (lines(PING, PING), Form.LINES),
        (lines(PING) + b"\r\n\r\n" + lines(PING), Form.LINES),
        (lines({"message": PING}), Form.LINES),
        (lines({"message": PING, "tenant": "a"}, PING), Form.LINES),
        (har(entry()), Form.HAR),
        (har(), Form.HAR),
        (b'{"log":1}', Form.MESSAGE),
    ],
)
def test_form(data: bytes, form: Form) -> None:
    assert form_of(data) is form


def test_lines() -> None:
    capture = read_capture(lines(PING) + b"\n\n{broken\n", Form.LINES)

    assert [(item.number, item.body) for item in capture.items] == [(1, lines(PING)), (3, b"{broken")]


def test_envelopes() -> None:
    envelope = {"message": PING, "time": "2026-01-31T12:00:00Z", "tenant": "acme", "principal": "ada", "verified": True}
    (item,) = read_capture(lines({**envelope, "server": "files"}), Form.LINES).items

    assert json.loads(item.body) == PING
    assert (item.tenant, item.principal, item.verified, item.server) == ("acme", "ada", True, "files")
    assert item.at == 1769860800
    assert read_capture(lines({"message": PING, "time": 5}), Form.LINES).items[0].at == 5


def test_the_body_of_an_envelope_is_as_it_stands() -> None:
    (item,) = read_capture(b'{"message": {"a":1, "a" : 2}}', Form.LINES).items

    assert item.body == b'{"a":1, "a" : 2}'


@pytest.mark.parametrize("more", [{"tenent": "x"}, {"time": "yesterday"}, {"verified": "yes"}, {"tenant": 1}])
def test_an_envelope_that_is_wrong(more: dict[str, Any]) -> None:
    with pytest.raises(TrafficError, match="line 1: "):
        read_capture(lines({"message": PING, **more}), Form.LINES)


def test_har() -> None:
    other = {"request": {"method": "GET", "url": "https://mcp.example/logo.png", "headers": []}}
    stream = entry(request={"method": "GET", "postData": None, "headers": [{"name": "Mcp-Session-Id", "value": "s"}]})
    capture = read_capture(har(other, entry(), stream), Form.HAR)

    assert (capture.passed_over, [item.number for item in capture.items]) == (1, [2, 3])
    item = capture.items[0]
    assert item.request is not None
    assert (item.request.method, item.request.path, item.request.host) == ("POST", "/mcp?x=1", "mcp.example:8443")
    assert item.request.headers.get("content-type") == "application/json"
    assert ":authority" not in item.request.headers
    assert "host" not in item.request.headers
    assert json.loads(item.body) == PING
    assert item.at == 1769860800.5
    assert not item.refused
    assert capture.items[1].request is not None
    assert capture.items[1].request.body_state is BodyState.ABSENT


@pytest.mark.parametrize(
    ("response", "refused"),
    [
        (None, False),
        ({"status": 200}, False),
        ({"status": 403}, True),
        ({"status": 200, "content": {"text": json.dumps({"error": {"code": -32001}})}}, True),
        ({"status": 200, "content": {"text": json.dumps([{"result": {}}, {"error": {"code": -32003}}])}}, True),
        ({"status": 200, "content": {"text": 'event: message\ndata: {"error":{"code":-32001}}\n'}}, True),
        ({"status": 200, "content": {"text": json.dumps({"error": {"code": -32602}})}}, False),
        ({"status": 200, "content": {"text": "nonsense"}}, False),
    ],
)
def test_what_was_refused_shows_in_the_response(response: Any, refused: bool) -> None:
    (item,) = read_capture(har(entry(response=response)), Form.HAR).items

    assert item.refused is refused


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"log":{}}', b'{"log":{"entries":{}}}', har(1), har({}), har(entry(request={"url": 5}))],
)
def test_what_is_no_har(data: bytes) -> None:
    with pytest.raises(TrafficError):
        read_capture(data, Form.HAR)
