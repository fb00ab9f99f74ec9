"""How a refusal is told: JSON-RPC errors under the ids that wait, at the statuses of the reason table."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.gateways.denial import deny
from guardsvc.gateways.exchange import Exchange
from guardsvc.model import (
    ALLOW,
    REASONS,
    Decision,
    Deny,
    Finding,
    Kind,
    Mode,
    Operation,
    Pending,
    Phase,
    Severity,
    reason_for,
)
from tests.engine.scripted import CALL, DENY, guard, policy
from tests.gateways.posted import BATCHES, denied, judged, notification, post, request, result

DENYING = policy(guard("g", DENY))


def decision(*, code: str | None = "access_denied", **fields: Any) -> Decision:
    given: dict[str, Any] = {"id": "d1", "operation": CALL, "verdict": "deny", "mode": Mode.ENFORCE, "code": code}
    return Decision(**(given | fields))


def call(**fields: Any) -> Operation:
    return Operation(**{name: getattr(CALL, name) for name in CALL.__struct_fields__} | fields)


def body_of(text: str) -> Any:
    return json.loads(text)


@pytest.mark.parametrize("request_id", [1, 0, -5, 2**53, "", "a", "1", "é🙂\n", "x" * 1024])
async def test_a_request_gets_an_error_under_its_own_id(request_id: Any) -> None:
    denial = await denied(DENYING, request(request_id=request_id))
    assert denial.status == 200
    assert denial.headers == (("content-type", "application/json"),)
    body = body_of(denial.body)
    assert type(body["id"]) is type(request_id)
    assert body["id"] == request_id
    assert body["jsonrpc"] == "2.0"
    assert set(body) == {"jsonrpc", "id", "error"}
    assert body["error"]["code"] == -32001
    assert body["error"]["message"] == "No."
    assert body["error"]["data"]["reason"] == "access_denied"


@pytest.mark.parametrize("message", [notification(), result(), {**result(), "result": None, "error": 5}])
@pytest.mark.parametrize("status", [200, 403])
async def test_what_awaits_no_answer_gets_a_status_and_an_error_without_an_id(message: Any, status: int) -> None:
    message = {key: value for key, value in message.items() if value is not None}
    if "error" in message:
        message["error"] = {"code": 1, "message": "no"}
    denial = await denied(DENYING, message, status=status)
    assert denial.status == 403
    assert set(body_of(denial.body)) == {"jsonrpc", "error"}


@pytest.mark.parametrize(
    "body", [b"{", b"", {**request(), "id": None}, b'{"id":1,"id":2,"method":"x","jsonrpc":"2.0"}']
)
@pytest.mark.parametrize("status", [200, 403])
async def test_an_id_that_cannot_be_read_is_null_and_the_status_400(body: Any, status: int) -> None:
    denial = await denied(DENYING, body, status=status)
    assert denial.status == 400
    assert body_of(denial.body)["id"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (request(), 200, "access_denied"),
        ({**request(), "params": 5}, 200, "bad_params"),
        ({**notification(), "params": 5}, 400, "bad_params"),
        (post(request(), ("mcp-method", "x")), 400, "header_mismatch"),
        (post(request(), path="/", method="PUT"), 403, "not_mcp"),
    ],
)
async def test_statuses(body: Any, status: int, code: str) -> None:
    denial = await denied(policy(guard("g", DENY), transport=dict.fromkeys(DENYING.transport, "deny")), body)
    assert (denial.status, body_of(denial.body)["error"]["data"]["reason"]) == (status, code)


@pytest.mark.parametrize("code", [*REASONS, "secret_found"])
@pytest.mark.parametrize("policy_status", [200, 403])
@pytest.mark.parametrize("kind", Kind)
def test_the_table_of_reasons_is_what_clients_see(code: str, policy_status: int, kind: Kind) -> None:
    method = "" if kind in (Kind.RESULT, Kind.ERROR) else "x"
    request_id = None if kind in (Kind.NOTIFICATION, Kind.TRANSPORT) else 1
    operation = call(kind=kind, method=method, id=request_id)
    denial = deny(Exchange(decisions=(decision(code=code, operation=operation),)), status=policy_status, accept="*/*")
    reason = reason_for(code)
    awaited = kind is Kind.REQUEST
    assert denial.status == (reason.status or (policy_status if awaited else reason.status_without_id))
    body = body_of(denial.body)
    assert ("id" in body) is awaited
    assert body["error"]["code"] == reason.jsonrpc
    assert body["error"]["message"] == reason.text
    assert body["error"]["data"] == {"decision_id": "d1", "reason": code}
    assert dict(denial.headers).get("allow") == ("POST" if denial.status == 405 else None)


async def test_the_policys_status_is_for_requests_only() -> None:
    assert (await denied(DENYING, request(), status=403)).status == 403


async def test_every_request_of_a_refused_batch_is_answered_once_and_bystanders_are_told_so() -> None:
    chain = policy(guard("g", lambda op: DENY if op.subject == "bad" else ALLOW), rules=BATCHES)
    denial = await denied(
        chain,
        [request(request_id=1), notification(), request(request_id="1", name="bad"), result(), request(request_id=2)],
    )
    answers = body_of(denial.body)
    assert denial.status == 200
    assert [(answer["id"], answer["error"]["data"]["reason"]) for answer in answers] == [
        (1, "batch_refused"),
        ("1", "access_denied"),
        (2, "batch_refused"),
    ]
    assert [answer["error"]["code"] for answer in answers] == [-32001] * 3
    assert len({answer["error"]["data"]["decision_id"] for answer in answers}) == 3


async def test_requests_are_answered_where_a_notification_of_their_batch_was_refused() -> None:
    chain = policy(guard("g", lambda op: DENY if op.kind is Kind.NOTIFICATION else ALLOW), rules=BATCHES)
    denial = await denied(chain, [notification(), request()])
    (answer,) = body_of(denial.body)
    assert (denial.status, answer["id"], answer["error"]["data"]["reason"]) == (200, 1, "batch_refused")


@pytest.mark.parametrize("batch", [[notification()], [notification(), notification()], [result(), notification()]])
async def test_a_batch_that_awaits_nothing_gets_a_status_and_one_error(batch: Any) -> None:
    denial = await denied(policy(guard("g", DENY), rules=BATCHES), batch)
    assert denial.status == 403
    assert set(body_of(denial.body)) == {"jsonrpc", "error"}


@pytest.mark.parametrize("batch", [[], [5], [request(), 5], [request(), {**request(request_id=2), "params": 5}]])
async def test_a_batch_that_cannot_be_read_gets_400_and_one_error_with_id_null(batch: Any) -> None:
    denial = await denied(policy(guard("g"), rules=BATCHES), batch)
    body = body_of(denial.body)
    assert (denial.status, body["id"]) == (400, None)


@pytest.mark.parametrize("refused", [Phase.TOOL_INVOKE, Phase.INPUT_RESPONSE])
async def test_a_refused_retry_is_answered_once_with_the_reason_of_the_part_refused(refused: Phase) -> None:
    chain = policy(guard("g", lambda op: DENY if op.phase is refused else ALLOW), rules=BATCHES)
    retry = request(name="read", requestState="s")
    for body in (retry, [retry]):
        denial = await denied(chain, body)
        answer = body_of(denial.body)
        (answer,) = answer if isinstance(body, list) else [answer]
        assert (denial.status, answer["id"], answer["error"]["data"]["reason"]) == (200, 1, "access_denied")


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        (None, False),
        ("", False),
        ("application/json, text/event-stream", False),
        ("text/event-stream, application/json;q=0.5", False),
        ("text/event-stream, */*", False),
        ("text/event-stream, application/*", False),
        ("text/html", False),
        ("text/event-stream", True),
        ("Text/Event-Stream; q=1", True),
        ("text/html, text/event-stream", True),
    ],
)
async def test_a_client_that_reads_events_only_gets_one_event(accept: str | None, *, events: bool) -> None:
    nasty = policy(guard("g", Deny(code="x", message="a\nb\r\n\u2028data: c", details={"k": "\n\n"})))
    denial = await denied(nasty, request(request_id="\r\n\r\n"), accept=accept)
    assert dict(denial.headers)["content-type"] == ("text/event-stream" if events else "application/json")
    data = denial.body
    if events:
        event, line, *rest = data.split("\n")
        assert (event, rest) == ("event: message", ["", ""])
        assert "\r" not in data
        assert line.startswith("data: ")
        data = line.removeprefix("data: ")
    assert body_of(data)["id"] == "\r\n\r\n"
    assert body_of(data)["error"]["message"] == "a\nb\r\n\u2028data: c"


async def test_a_refusal_that_is_no_answer_is_no_event() -> None:
    denial = await denied(DENYING, notification(), accept="text/event-stream")
    assert denial.headers == (("content-type", "application/json"),)
    assert body_of(denial.body)["error"]["data"]["reason"] == "access_denied"


def test_details_stand_beside_what_guardsvc_says_and_never_in_its_place() -> None:
    details = {"decision_id": "forged", "reason": "forged", "limit": 5}
    denial = deny(Exchange(decisions=(decision(details=details),)), status=200, accept=None)
    assert body_of(denial.body)["error"]["data"] == {"decision_id": "d1", "reason": "access_denied", "limit": 5}


async def test_threats_are_told_once_each_sorted_and_bounded() -> None:
    def found(*threats: str) -> Finding:
        return Finding(rule="r", severity=Severity.HIGH, threats=threats, excerpt="sk-secret", where="/arguments")

    some = Deny(code="x", message="", findings=(found("T2", "T1"), found("T1")))
    data = body_of((await denied(policy(guard("g", some)), request())).body)["error"]["data"]
    assert data["threats"] == ["T1", "T2"]
    many = Deny(code="x", message="", findings=(found(*(f"T{number:03}" for number in reversed(range(100)))),))
    denial = await denied(policy(guard("g", many)), request())
    assert body_of(denial.body)["error"]["data"]["threats"] == [f"T{number:03}" for number in range(16)]
    assert "sk-secret" not in denial.body


async def test_pending_is_told_with_what_to_approve() -> None:
    chain = policy(guard("g", Pending(approval="ticket-7", message="")))
    error = body_of((await denied(chain, request())).body)["error"]
    assert (error["code"], error["message"]) == (-32001, reason_for("approval_required").text)
    assert error["data"]["approval"] == "ticket-7"


async def test_a_denial_repeats_nothing_of_the_request_but_its_id() -> None:
    exchange = await judged(DENYING, request(name="hidden_tool", arguments={"password": "hunter2"}))
    denial = deny(exchange, status=200, accept=None)
    assert "hidden_tool" not in denial.body
    assert "hunter2" not in denial.body


texts = st.text(max_size=20)


@given(
    request_id=st.integers(-(2**53), 2**53) | texts,
    message=texts,
    details=st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts | st.lists(texts), max_size=4),
    status=st.sampled_from([200, 403]),
    accept=st.sampled_from([None, "text/event-stream", "*/*"]),
    copies=st.integers(1, 3),
)
def test_whatever_is_told_is_json_in_utf_8(
    *,
    request_id: Any,
    message: str,
    details: dict[str, Any],
    status: int,
    accept: str | None,
    copies: int,
) -> None:
    said = decision(operation=call(id=request_id), message=message, details=details)
    exchange = Exchange(decisions=(said,) * copies, batch=copies > 1)
    denial = deny(exchange, status=status, accept=accept)
    text = denial.body.encode().decode()
    if dict(denial.headers)["content-type"] == "text/event-stream":
        (line,) = [line for line in text.split("\n") if line.startswith("data: ")]
        text = line.removeprefix("data: ")
    answers = json.loads(text)
    (answer,) = answers if copies > 1 else [answers]
    assert answer["id"] == request_id
    assert answer["error"]["data"] == {**details, "decision_id": "d1", "reason": "access_denied"}
    assert answer["error"]["message"] == (message or "Denied by policy.")


@pytest.mark.parametrize(
    ("wait", "seconds"), [(1, "1"), (1000, "1"), (1001, "2"), (0, "0"), ("1000", None), (True, None), (None, None)]
)
@pytest.mark.parametrize("message", [request(), notification()])
async def test_a_refusal_that_says_when_to_come_again_says_it_in_a_header_too(
    wait: Any, seconds: str | None, message: Any
) -> None:
    limited = Deny(code="rate_limited", message="", details={"retry_after_ms": wait})
    denial = await denied(policy(guard("g", limited)), message)
    assert dict(denial.headers).get("retry-after") == seconds
    assert denial.status == (200 if "id" in message else 429)
