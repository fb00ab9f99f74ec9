"""What a record holds of a decision, and what it never holds."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.model import (
    Caller,
    Direction,
    ErrorKind,
    Finding,
    GatewayProtocol,
    Headers,
    Kind,
    Mode,
    Operation,
    Phase,
    Severity,
    Tier,
)
from guardsvc.observe.audit.canonical import canonical
from guardsvc.observe.audit.record import MAX_ARGUMENTS, Encoder, timestamp
from tests.observe.audits import KEY, OTHER_KEY
from tests.observe.decisions import decision, operation, outcome

SECRET = "hunter2-hunter2"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
AT = 1_790_000_000.1239

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def encoded(*args: Any, include_arguments: bool = False, **more: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(
        Encoder("3", KEY, include_arguments=include_arguments).encode(
            decision(*args, **more), AT, policy_name="main", size=512
        )
    )
    return record


def of_arguments(arguments: Any, **more: Any) -> dict[str, Any]:
    return encoded(operation=operation(payload={"name": "search", "arguments": arguments}), **more)


@pytest.mark.parametrize(
    ("about", "include_arguments", "shown"),
    [
        ({}, False, ""),
        ({}, True, "what matched"),
        ({"direction": Direction.RESPONSE, "phase": Phase.TOOLS_LIST}, False, "what matched"),
        ({"direction": Direction.RESPONSE, "phase": Phase.TOOL_RESULT}, False, ""),
        ({"phase": Phase.TOOLS_LIST}, False, ""),
    ],
)
def test_what_matched_is_shown_of_listings_only_or_where_arguments_are(
    about: dict[str, Any], include_arguments: bool, shown: str
) -> None:
    found = Finding(rule="r1", severity=Severity.HIGH, excerpt="what matched")
    record = encoded(
        "deny", outcome("first", findings=(found,)), operation=operation(**about), include_arguments=include_arguments
    )
    (told,) = record["guards"][0]["findings"]
    assert told.get("excerpt", "") == shown


def test_a_record_has_what_is_known() -> None:
    found = Finding(
        rule="r1",
        severity=Severity.HIGH,
        where="/arguments/q",
        threats=("SAF-T1102",),
        excerpt=SECRET,
        suppressed_by="e",
    )
    record = encoded(
        "deny",
        outcome("first", findings=(found,), mode=Mode.SHADOW),
        outcome("api", tier=Tier.HTTP, verdict="deny", code="guard_timeout", error=ErrorKind.TIMEOUT, message=SECRET),
        operation=operation(
            payload={"name": "search", "arguments": {"q": SECRET}, "requestState": "state"},
            caller=Caller(tenant="acme", principal="ann", verified=True, address="10.0.0.7", source="jwt"),
            headers=Headers([("Mcp-Session-Id", "session"), ("X-Request-Id", "r-1"), ("traceparent", TRACEPARENT)]),
            revision="2025-11-25",
        ),
        details={"detail": "at /params"},
    )

    assert SECRET not in json.dumps(record)
    assert record.pop("session") != record.pop("request_state")
    assert re.fullmatch(r"[0-9a-f]{64}", record.pop("arguments_digest"))
    assert record == {
        "type": "decision",
        "time": "2026-09-21T14:13:20.123Z",
        "decision_id": "018f",
        "worker": "3",
        "verdict": "deny",
        "applied": "deny",
        "mode": "enforce",
        "reason": "access_denied",
        "guard": "list",
        "detail": "at /params",
        "tenant": "acme",
        "principal": "ann",
        "verified": True,
        "source": "jwt",
        "address": "10.0.0.7",
        "protocol": "ext_authz",
        "direction": "request",
        "phase": "tool_invoke",
        "kind": "request",
        "method": "tools/call",
        "server": "library",
        "subject": "search",
        "subject_kind": "tool",
        "revision": "2025-11-25",
        "size": 512,
        "rules": ["r1"],
        "threats": ["SAF-T1102"],
        "guards": [
            {
                "guard": "first",
                "type": "access_list",
                "tier": "native",
                "mode": "shadow",
                "verdict": "allow",
                "duration_us": 300,
                "findings": [
                    {
                        "rule": "r1",
                        "severity": "high",
                        "where": "/arguments/q",
                        "threats": ["SAF-T1102"],
                        "suppressed_by": "e",
                    }
                ],
            },
            {
                "guard": "api",
                "type": "access_list",
                "tier": "http",
                "mode": "enforce",
                "verdict": "deny",
                "duration_us": 300,
                "reason": "guard_timeout",
                "error": "timeout",
            },
        ],
        "policy": "abcd",
        "policy_name": "main",
        "duration_us": 1000,
        "trace_id": TRACE,
        "span_id": SPAN,
        "request_id": "r-1",
    }


def test_shadow_says_what_was_applied() -> None:
    record = encoded("deny", mode=Mode.SHADOW)

    assert (record["verdict"], record["applied"], record["mode"]) == ("deny", "allow", "shadow")


def test_what_another_policy_noticed_is_told_apart() -> None:
    record = encoded(earlier=(Finding(rule="theirs", severity=Severity.LOW),))

    assert record["earlier"] == [{"rule": "theirs", "severity": "low"}]
    assert record["rules"] == ["theirs"]


def test_secrets_are_digests() -> None:
    headers = Headers([("mcp-session-id", SECRET), ("authorization", f"Bearer {SECRET}"), ("cookie", SECRET)])
    payload = {"name": "search", "arguments": {"password": SECRET}, "requestState": SECRET, "_meta": {"token": SECRET}}
    record = encoded(operation=operation(headers=headers, payload=payload, path=f"/mcp?token={SECRET}"))

    assert SECRET not in json.dumps(record)
    assert len({record["session"], record["arguments_digest"]}) == 2
    assert record["session"] == record["request_state"] == KEY.session.hex(SECRET.encode())


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("file:///reports/2026.csv", "file:///reports/2026.csv"),
        (f"https://ann:{SECRET}@host/a@b", "https://…@host/a@b"),
        (f"https://host/a?token={SECRET}#x", "https://host/a?…"),
        (f"https://host/a#{SECRET}", "https://host/a#…"),
        ("urn:a@b", "urn:a@b"),
    ],
)
def test_a_resource_is_named_without_credentials(uri: str, shown: str) -> None:
    read = operation(phase=Phase.RESOURCE_READ, method="resources/read", subject=uri, payload={"uri": uri})

    record = encoded(operation=read)
    assert (record["subject"], record["subject_kind"]) == (shown, "resource")
    assert SECRET not in json.dumps(record)


def test_a_tool_is_named_as_it_is() -> None:
    assert encoded(operation=operation(subject="a?b#c"))["subject"] == "a?b#c"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [1, {"x": 1, "y": 2}]}, {"b": [1, {"y": 2, "x": 1}], "a": 1}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": [0]}, {"a": [-0.0]}),
        ({"a": 10**20}, {"a": 1e20}),
        ({"a": {"b": [100]}}, {"a": {"b": [1e2]}}),
    ],
)
def test_equal_arguments_have_equal_digests(one: Any, other: Any) -> None:
    assert of_arguments(one)["arguments_digest"] == of_arguments(other)["arguments_digest"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1.5}),
        ({"a": None}, {}),
        ({"a": ["b", "c"]}, {"a": ["c", "b"]}),
        ({"a": "\u00e9"}, {"a": "e\u0301"}),
    ],
)
def test_other_arguments_have_other_digests(one: Any, other: Any) -> None:
    assert of_arguments(one)["arguments_digest"] != of_arguments(other)["arguments_digest"]


@given(json_values)
def test_canonical_bytes_mean_the_value_and_do_not_depend_on_its_spelling(value: Any) -> None:
    data = canonical(value)

    assert json.loads(data) == value
    assert canonical(json.loads(data)) == data
    assert canonical(json.loads(json.dumps(value, sort_keys=True, indent=1))) == data


def test_digests_depend_on_the_key() -> None:
    made = decision(operation=operation(payload={"name": "search", "arguments": {"q": 1}}))
    one, other = (
        json.loads(Encoder("0", key, include_arguments=False).encode(made, AT, policy_name="", size=0))
        for key in (KEY, OTHER_KEY)
    )

    assert one["arguments_digest"] != other["arguments_digest"]


def test_arguments_are_shown_where_the_operator_says_so() -> None:
    assert "arguments" not in of_arguments({"q": "x"})
    assert of_arguments({"q": "x", "n": 1.0}, include_arguments=True)["arguments"] == {"n": 1, "q": "x"}


def test_large_arguments_are_a_digest_even_then() -> None:
    record = of_arguments({"q": "x" * MAX_ARGUMENTS}, include_arguments=True)

    assert "arguments" not in record
    assert "arguments_digest" in record


@pytest.mark.parametrize("payload", [None, {}, {"arguments": None}, [], "text", {"arguments": {}}])
def test_payloads_of_any_shape(payload: Any) -> None:
    record = encoded(operation=operation(payload=payload))

    assert ("arguments_digest" in record) is (payload == {"arguments": {}})


def test_a_result_is_a_digest() -> None:
    result = {"content": [{"type": "text", "text": SECRET}]}
    record = encoded(
        operation=operation(direction=Direction.RESPONSE, phase=Phase.TOOL_RESULT, kind=Kind.RESULT, payload=result)
    )

    assert re.fullmatch(r"[0-9a-f]{64}", record["result_digest"])
    assert "arguments_digest" not in record
    assert SECRET not in json.dumps(record)


@pytest.mark.parametrize(
    ("header", "meta", "trace"),
    [
        (TRACEPARENT, None, TRACE),
        (None, TRACEPARENT, TRACE),
        (TRACEPARENT, f"00-{'1' * 32}-{SPAN}-01", TRACE),
        (f"00-{'0' * 32}-{SPAN}-01", None, None),
        (f"00-{TRACE}-{'0' * 16}-01", None, None),
        (TRACEPARENT.upper(), None, None),
        ("nonsense", TRACEPARENT, None),
        (None, 7, None),
        (None, None, None),
    ],
)
def test_the_trace_is_the_header_s_or_that_of_the_params(header: str | None, meta: Any, trace: str | None) -> None:
    fields = [] if header is None else [("traceparent", header)]
    payload = {"name": "search", "_meta": {"traceparent": meta}} if meta else {"name": "search"}

    assert encoded(operation=operation(headers=Headers(fields), payload=payload)).get("trace_id") == trace


def test_several_servers_are_named() -> None:
    record = encoded(operation=operation(server=None, servers=("a", "b")))

    assert (record["servers"], record.get("server")) == (["a", "b"], None)


def test_hostile_values_stay_inside_their_line_and_short() -> None:
    hostile = 'x\n{"type":"decision","verdict":"allow"}\r\x1b[2J\u2028\x00"' * 1_000
    finding = Finding(rule=hostile, severity=Severity.HIGH, where=hostile, threats=("T",) * 1_000, excerpt=hostile)
    made = decision(
        "deny",
        outcome(verdict="deny", error=ErrorKind.EXCEPTION, message=hostile, findings=(finding,) * 1_000),
        operation=operation(
            method=hostile,
            subject=hostile,
            caller=Caller(tenant=hostile, principal=hostile, address=hostile),
            headers=Headers([("x-request-id", hostile)]),
        ),
        details={"detail": hostile},
    )
    line = Encoder("0", KEY, include_arguments=True).encode(made, AT, policy_name="p", size=1)

    assert len(line) < 64_000
    assert all(byte >= 0x20 for byte in line)
    assert json.loads(line)["verdict"] == "deny"


@pytest.mark.parametrize("wrong", ["\ud800", b"bytes", object()])
def test_what_a_guard_should_not_say_costs_no_record(wrong: Any) -> None:
    finding = Finding(rule=wrong, severity=Severity.LOW)
    record = encoded("deny", outcome(findings=(finding,)))

    assert (record["decision_id"], record["verdict"], record["policy"]) == ("018f", "deny", "abcd")


def test_every_protocol_and_phase() -> None:
    for protocol in GatewayProtocol:
        for phase in Phase:
            record = encoded(operation=operation(protocol=protocol, phase=phase))
            assert (record["protocol"], record["phase"]) == (protocol.value, phase.value)


def test_an_operation_of_which_nothing_is_known() -> None:
    bare = Operation(
        protocol=GatewayProtocol.CLI,
        direction=Direction.REQUEST,
        phase=Phase.OTHER,
        kind=Kind.TRANSPORT,
        method="",
    )

    assert encoded(operation=bare)["kind"] == "transport"


@pytest.mark.parametrize(("at", "text"), [(0.0, "1970-01-01T00:00:00.000Z"), (1.9996, "1970-01-01T00:00:01.999Z")])
def test_timestamps_never_run_ahead(at: float, text: str) -> None:
    assert timestamp(at) == text
