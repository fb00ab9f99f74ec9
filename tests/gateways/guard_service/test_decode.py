"""What a caller may say, and what of it counts."""

from __future__ import annotations

from typing import Any

import pytest

from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract
from guardsvc.gateways.guard_service.decode import MAX_FINDINGS, MAX_SERVERS, Question, decode
from guardsvc.gateways.statement import Statement, StatementError
from guardsvc.model import (
    Caller,
    Direction,
    Finding,
    GatewayProtocol,
    Headers,
    Kind,
    Phase,
    Severity,
)
from tests.gateways.guard_service.questions import CALL, LIST, RESULT, question

Proto = contract.Phase


def read(request: contract.EvaluateRequest, *, believed: bool = True, peer: str = "unix:") -> Question:
    return decode(request, peer=peer, believed=believed)


def fault(*args: Any, **fields: Any) -> str:
    with pytest.raises(StatementError) as caught:
        read(question(*args, **fields))
    return str(caught.value)


def test_everything_about_a_call() -> None:
    asked = read(
        question(
            headers=[contract.Header(name="X-A", value=b"\xe9"), contract.Header(name="x-a", value=b"2")],
            server="files",
            subject="read",
            revision="2025-06-18",
            http_method="POST",
            path="/mcp",
            host="mcp.example",
        )
    )
    assert asked.statement == Statement(
        direction=Direction.REQUEST,
        phase=Phase.TOOL_INVOKE,
        kind=Kind.REQUEST,
        method="tools/call",
        id=1,
        servers=("files",),
        subject="read",
        payload=b'{"name": "read", "arguments": {"path": "/a"}}',
        headers=Headers([("x-a", "\xe9"), ("x-a", "2")]),
        revision="2025-06-18",
        http_method="POST",
        path="/mcp",
        host="mcp.example",
    )
    assert (asked.asker.protocol, asked.asker.can_modify) == (GatewayProtocol.GUARD_SERVICE, True)
    assert asked.asker.caller == Caller(
        tenant="acme", principal="ann", verified=True, address="203.0.113.9", source="guard_service"
    )


@pytest.mark.parametrize(
    ("fields", "read_as"), [({"int_id": 0}, 0), ({"int_id": None, "string_id": ""}, ""), ({"int_id": None}, None)]
)
def test_ids(fields: dict[str, Any], read_as: Any) -> None:
    assert read(question(**fields)).statement.id == read_as


@pytest.mark.parametrize("member", ["protocol", "direction", "phase", "kind"])
@pytest.mark.parametrize("value", [None, 0])
def test_what_the_contract_asks_for_must_be_given(member: str, value: int | None) -> None:
    assert fault(**{member: value}) == f"operation.{member}: not given"


@pytest.mark.parametrize("member", ["protocol", "direction", "phase", "kind"])
@pytest.mark.parametrize("value", [99, -1, 2**31 - 1])
def test_a_value_of_a_newer_contract_is_refused(member: str, value: int) -> None:
    assert fault(**{member: value}).startswith(f"operation.{member}: {value} is no ")


@pytest.mark.parametrize(
    ("base", "fields", "member"),
    [
        (CALL, {"phase": Proto.PHASE_TOOL_RESULT}, "phase"),
        (CALL, {"phase": Proto.PHASE_OTHER}, "phase"),
        (CALL, {"phase": Proto.PHASE_CONNECTION}, "phase"),
        (CALL, {"method": ""}, "method"),
        (CALL, {"method": "http/get_stream"}, "method"),
        (CALL, {"method": "ping"}, "phase"),
        (CALL, {"kind": contract.Kind.KIND_RESULT}, "phase"),
        (CALL, {"kind": contract.Kind.KIND_TRANSPORT}, "phase"),
        (CALL, {"kind": contract.Kind.KIND_TRANSPORT, "phase": Proto.PHASE_CONNECTION}, "method"),
        (
            CALL,
            {"kind": contract.Kind.KIND_TRANSPORT, "phase": Proto.PHASE_CONNECTION, "method": "http/get_stream"},
            "payload",
        ),
        (CALL, {"kind": contract.Kind.KIND_ERROR, "phase": Proto.PHASE_INPUT_RESPONSE}, "method"),
        (RESULT, {"phase": Proto.PHASE_TOOLS_LIST}, "phase"),
        (RESULT, {"phase": Proto.PHASE_TOOL_INVOKE}, "phase"),
        (RESULT, {"phase": Proto.PHASE_OTHER}, "phase"),
        (LIST, {"phase": Proto.PHASE_OTHER}, "phase"),
        (LIST, {"kind": contract.Kind.KIND_TRANSPORT}, "phase"),
        (RESULT, {"kind": contract.Kind.KIND_REQUEST, "method": "sampling/createMessage"}, "phase"),
        (CALL, {"server": "a", "servers": ["b"]}, "servers"),
        (CALL, {"server": "a", "servers": ["a", "b"]}, "servers"),
        (CALL, {"servers": ["a"] * (MAX_SERVERS + 1)}, "servers"),
    ],
)
def test_a_statement_that_contradicts_itself_names_the_member(
    base: dict[str, Any], fields: dict[str, Any], member: str
) -> None:
    assert fault(base, **fields).startswith(f"operation.{member}: ")


@pytest.mark.parametrize(
    ("base", "fields"),
    [
        (CALL, {"kind": contract.Kind.KIND_RESULT, "phase": Proto.PHASE_INPUT_RESPONSE}),
        (CALL, {"kind": contract.Kind.KIND_RESULT, "phase": Proto.PHASE_INPUT_RESPONSE, "method": ""}),
        (CALL, {"kind": contract.Kind.KIND_ERROR, "phase": Proto.PHASE_INPUT_RESPONSE, "method": ""}),
        (RESULT, {"phase": Proto.PHASE_INPUT_REQUEST}),
        (RESULT, {"method": "", "phase": Proto.PHASE_OTHER}),
        (RESULT, {"kind": contract.Kind.KIND_ERROR}),
        (RESULT, {"method": "tasks/result"}),
        (
            RESULT,
            {
                "kind": contract.Kind.KIND_REQUEST,
                "method": "sampling/createMessage",
                "phase": Proto.PHASE_INPUT_REQUEST,
            },
        ),
        (
            RESULT,
            {
                "kind": contract.Kind.KIND_NOTIFICATION,
                "method": "notifications/message",
                "phase": Proto.PHASE_OTHER,
            },
        ),
        (LIST, {}),
    ],
)
def test_messages_of_both_directions(base: dict[str, Any], fields: dict[str, Any]) -> None:
    assert read(question(base, **fields)).statement.phase.name == Proto.Name({**base, **fields}["phase"]).removeprefix(
        "PHASE_"
    )


def test_from_a_peer_that_is_not_believed_nothing_but_the_message_counts() -> None:
    finding = contract.Finding(rule="r", severity=contract.Severity.SEVERITY_LOW)
    asked = read(question(server="files", findings=[finding]), believed=False, peer="ipv4:10.0.0.7:4132")
    assert asked.asker.caller == Caller(address="10.0.0.7")
    assert asked.statement.servers == ()
    assert asked.findings == ()
    assert asked.statement.payload


@pytest.mark.parametrize(
    ("caller", "read_as"),
    [
        ({}, Caller()),
        ({"verified": True}, Caller()),
        ({"tenant": "t", "verified": True}, Caller(tenant="t", source="guard_service")),
        ({"principal": "p"}, Caller(principal="p", source="guard_service")),
        ({"tenant": "", "principal": ""}, Caller()),
    ],
)
def test_callers(caller: dict[str, Any], read_as: Caller) -> None:
    assert read(question(caller=contract.Caller(**caller))).asker.caller == read_as


def test_findings_so_far() -> None:
    finding = contract.Finding(
        rule="r",
        severity=contract.Severity.SEVERITY_CRITICAL,
        where="/a",
        threats=["T"],
        excerpt="x",
        suppressed_by="e",
    )
    assert read(question(findings=[finding])).findings == (
        Finding(rule="r", severity=Severity.CRITICAL, where="/a", threats=("T",), excerpt="x", suppressed_by="e"),
    )
    assert fault(findings=[contract.Finding(rule="r")]) == "findings.severity: not given"
    assert fault(findings=[finding] * (MAX_FINDINGS + 1)).startswith("findings: ")
