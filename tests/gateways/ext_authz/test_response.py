"""What a CheckResponse may say: only ``status.code`` decides, and 0 is an allow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc.gateways.exchange import Exchange
from guardsvc.gateways.ext_authz.response import DECISION_ID_HEADER, encode
from guardsvc.gateways.seal import Seal
from guardsvc.model import REASONS, Caller, Decision, Kind, Mode, Operation
from tests.engine.scripted import CALL

SEAL = Seal((b"k" * 32,))
FORBIDDEN = {"content-length", "transfer-encoding", "host", "connection"}


def decision(**fields: Any) -> Decision:
    given: dict[str, Any] = {"id": "d1", "operation": CALL, "verdict": "allow", "mode": Mode.ENFORCE}
    return Decision(**(given | fields))


def encoded(*decisions: Decision, status: int = 200, accept: str | None = None, **more: Any) -> CheckResponse:
    exchange = Exchange(decisions=decisions, **more)
    response = encode(exchange, denial_status=status, accept=accept, seal=SEAL)
    return CheckResponse.FromString(response)


def options(response: CheckResponse) -> list[HeaderValueOption]:
    ok = response.ok_response
    return [*ok.headers, *ok.response_headers_to_add, *response.denied_response.headers]


DENIED = decision(verdict="deny", code="access_denied", message="No.")


def test_an_allow_sets_the_decision_id_on_both_sides_and_nothing_else() -> None:
    response = encoded(decision())
    assert response.status.code == 0
    assert response.WhichOneof("http_response") == "ok_response"
    for fields in (response.ok_response.headers, response.ok_response.response_headers_to_add):
        assert [(option.header.key, option.header.value) for option in fields] == [(DECISION_ID_HEADER, "d1")]
    assert list(response.ok_response.headers_to_remove) == []


def test_a_denial_is_a_response_with_status_headers_and_body() -> None:
    response = encoded(DENIED)
    assert response.status.code == 7
    assert response.WhichOneof("http_response") == "denied_response"
    denied = response.denied_response
    assert denied.status.code == 200
    assert {option.header.key: option.header.value for option in denied.headers} == {
        "content-type": "application/json",
        DECISION_ID_HEADER: "d1",
    }
    assert json.loads(denied.body)["error"]["data"]["reason"] == "access_denied"


@pytest.mark.parametrize(
    ("status", "accept", "code", "fields"),
    [
        (403, None, 403, {"content-type": "application/json"}),
        (200, "text/event-stream", 200, {"content-type": "text/event-stream"}),
        (403, "text/event-stream", 403, {"content-type": "application/json"}),
    ],
)
def test_status_and_content_type_are_the_policys_and_the_clients(
    status: int, accept: str | None, code: int, fields: dict[str, str]
) -> None:
    denied = encoded(DENIED, status=status, accept=accept).denied_response
    assert denied.status.code == code
    assert fields.items() <= {option.header.key: option.header.value for option in denied.headers}.items()


def test_dynamic_metadata_describe_the_leading_decision() -> None:
    metadata = dict(encoded(DENIED).dynamic_metadata)
    assert metadata == {
        "decision_id": "d1",
        "verdict": "deny",
        "reason": "access_denied",
        "method": "tools/call",
        "server": "files",
        "tool": "read",
        "tenant": "acme",
        "principal": "ann",
    }


def test_an_allow_hands_a_token_to_the_response_phase_and_a_refusal_none() -> None:
    metadata = dict(encoded(decision()).dynamic_metadata)
    correlation = SEAL.open(str(metadata["token"]))
    assert correlation is not None
    assert (correlation.decision_id, correlation.subject) == ("d1", "read")
    assert "reason" not in metadata
    assert "token" not in dict(encoded(DENIED).dynamic_metadata)
    assert "token" not in dict(encoded(decision(), decision(id="d2"), batch=True).dynamic_metadata)


def test_what_is_not_known_is_not_described() -> None:
    bare = Operation(
        protocol=CALL.protocol, direction=CALL.direction, phase=CALL.phase, kind=Kind.RESULT, method="", caller=Caller()
    )
    assert set(dict(encoded(decision(operation=bare)).dynamic_metadata)) == {"decision_id", "verdict", "token"}


def test_under_policy_mode_shadow_a_denial_passes_and_is_described() -> None:
    response = encoded(decision(verdict="deny", code="access_denied", mode=Mode.SHADOW))
    assert response.status.code == 0
    assert dict(response.dynamic_metadata)["verdict"] == "allow"
    assert dict(response.dynamic_metadata)["reason"] == "access_denied"


def test_one_refusal_among_many_decisions_is_a_refusal() -> None:
    response = encoded(decision(), decision(id="d2", verdict="pending", code="approval_required"), batch=True)
    assert response.status.code == 7
    assert dict(response.dynamic_metadata)["decision_id"] == "d2"


@pytest.mark.parametrize("others", [(), (decision(),), (DENIED,)])
def test_a_changed_payload_cannot_be_told_and_is_a_fault_not_an_allow(others: tuple[Decision, ...]) -> None:
    with pytest.raises(ValueError, match="payload"):
        encoded(decision(verdict="modify", payload={}), *others)


def test_no_decision_is_a_fault_not_an_allow() -> None:
    with pytest.raises(IndexError):
        encoded()


texts = st.text(max_size=12)
operations = st.builds(
    lambda kind, request_id, subject, tenant: Operation(
        **{name: getattr(CALL, name) for name in CALL.__struct_fields__}
        | {"kind": kind, "id": request_id, "subject": subject, "caller": Caller(tenant=tenant)}
    ),
    st.sampled_from(Kind),
    st.none() | st.integers(-(2**53), 2**53) | texts,
    st.none() | texts,
    st.none() | texts,
)
decisions = st.builds(
    decision,
    operation=operations,
    verdict=st.sampled_from(["allow", "deny", "pending"]),
    code=st.none() | st.sampled_from(sorted(REASONS)) | st.just("secret_found"),
    message=texts,
    mode=st.sampled_from(Mode),
    details=st.dictionaries(texts, texts, max_size=2),
)


@given(
    made=st.lists(decisions, min_size=1, max_size=3),
    batch=st.booleans(),
    id_readable=st.booleans(),
    status=st.sampled_from([200, 403]),
    accept=st.sampled_from([None, "text/event-stream"]),
)
def test_any_answer_keeps_to_what_gateways_bear(
    made: list[Decision], status: int, accept: str | None, *, batch: bool, id_readable: bool
) -> None:
    response = encoded(*made, status=status, accept=accept, batch=batch, id_readable=id_readable)
    refused = any(d.mode is Mode.ENFORCE and d.verdict != "allow" for d in made)

    assert (response.status.code == 0) is not refused
    assert response.WhichOneof("http_response") == ("denied_response" if refused else "ok_response")
    assert options(response)
    for option in options(response):
        assert option.header.value
        assert not option.header.raw_value
        assert option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        assert option.header.key == option.header.key.lower()
        assert option.header.key not in FORBIDDEN
        assert not option.header.key.startswith(":")
        assert option.header.value.isprintable()
    if refused:
        assert response.denied_response.status.code in {200, 400, 401, 403, 404, 405, 503}
        assert response.denied_response.body
    assert dict(response.dynamic_metadata)["decision_id"] == "d1"
    assert all(isinstance(value, str) for value in dict(response.dynamic_metadata).values())
