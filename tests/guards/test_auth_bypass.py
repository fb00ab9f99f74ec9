"""What ``auth_bypass`` is built of, and that it is sound on anything; what it refuses is in its cases."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from guardsvc.gateways.ext_authz.request import http_request_of
from guardsvc.guards.native.auth_bypass import AuthBypass, AuthBypassSettings
from guardsvc.guards.native.auth_bypass.origin import host_of, origin_of
from guardsvc.guards.native.auth_bypass.rules import RULES
from guardsvc.mcp import HttpRequest, interpret
from guardsvc.model import (
    ALLOW,
    REASONS,
    Allow,
    Caller,
    Deny,
    Direction,
    GatewayProtocol,
    GuardContext,
    Headers,
    Kind,
    Operation,
    Phase,
    SettingsError,
)
from guardsvc.state import SESSION_OWNER, Ownership, SessionFact
from tests.guards.cases import load_cases
from tests.guards.pointers import resolve
from tests.timing import assert_linear

if TYPE_CHECKING:
    from collections.abc import Callable

CONTEXT = GuardContext(guard_id="auth_bypass")
CORPUS = os.environ.get("GUARDSVC_CORPUS")
CAPTURE = Path(__file__).parents[2] / "guardsvc/cli/bench/check_request.bin"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=20,
)
NAMES = st.sampled_from(
    [
        *(":path", ":method", ":authority", "host", "origin", "authorization", "mcp-session-id"),
        *("content-length", "transfer-encoding", "x-user-id", "x_user_id", "x-http-method"),
    ]
)
STRICT: dict[str, Any] = {
    "authorization": {"required": True, "schemes": ["bearer"]},
    "jwt": {"expected": True, "verified": True, "audiences": ["me"], "issuers": ["us"]},
    "origins": [],
    "hosts": ["files.example"],
    "sessions": {},
}


def build(context: GuardContext = CONTEXT, **settings: Any) -> AuthBypass:
    return AuthBypass(AuthBypassSettings.model_validate(settings), context)


def call(arguments: Any = None, *, headers: Headers = Headers(), path: str = "/mcp", **more: Any) -> Operation:  # noqa: B008
    fields: dict[str, Any] = {
        "protocol": GatewayProtocol.EXT_AUTHZ,
        "direction": Direction.REQUEST,
        "phase": Phase.TOOL_INVOKE,
        "kind": Kind.REQUEST,
        "method": "tools/call",
        "subject": "search",
        "http_method": "POST",
        **more,
    }
    return Operation(payload={"name": "search", "arguments": arguments}, headers=headers, path=path, **fields)


def captured() -> HttpRequest:
    check = CheckRequest()
    check.ParseFromString(CAPTURE.read_bytes())
    return http_request_of(check.attributes)


def operation_of(request: HttpRequest) -> Operation:
    message = interpret(request).messages[0]
    return call(headers=request.headers, path=request.path, http_method=request.method, id=message.id)


def test_every_rule_has_a_case_and_every_code_a_row() -> None:
    shown = {rule for case in load_cases() if case.guard == "auth_bypass" for rule in case.rules}
    assert shown >= set(RULES)
    assert {rule.code for rule in RULES.values() if rule.code} <= set(REASONS)


def test_what_envoy_passes_on_is_allowed() -> None:
    assert build().evaluate(operation_of(captured()), {}) == ALLOW


@pytest.mark.parametrize("http_method", ["POST", ""])
def test_what_a_gateway_does_not_show_is_not_missed(http_method: str) -> None:
    operation = call({"query": "cats"}, path="", http_method=http_method)
    assert build().evaluate(operation, {}) == ALLOW


@pytest.mark.parametrize(
    ("asked", "fields", "rules"),
    [
        ("files.example", [], []),
        ("files.example:443", [("host", "Files.example")], []),
        ("evil.example", [], ["host"]),
        ("files.example", [(":authority", "evil.example")], ["header_conflict", "host"]),
        ("evil.example", [("host", "files.example")], ["header_conflict"]),
    ],
)
def test_the_host_counts_that_a_gateway_tells_without_the_fields(
    asked: str, fields: list[tuple[str, str]], rules: list[str]
) -> None:
    operation = call(headers=Headers([("accept", "application/json"), *fields]), host=asked)
    verdict = build(hosts=["files.example"]).evaluate(operation, {})
    assert [finding.rule for finding in verdict.findings] == rules
    assert isinstance(verdict, Deny) == bool(rules)


def test_the_request_of_a_retry_is_judged_once() -> None:
    guard = build(sessions={}, authorization={"required": True})
    headers = Headers([("x-user-id", "1"), ("mcp-session-id", "a1")])
    answers = call(headers=headers, phase=Phase.INPUT_RESPONSE, kind=Kind.RESULT)
    assert guard.needs(answers) == {}
    assert guard.evaluate(answers, {}) == ALLOW


def test_nothing_is_asked_for_without_a_session() -> None:
    headers = Headers([("mcp-session-id", "a1")])
    assert build().needs(call(headers=headers)) == {}
    assert build(sessions={}).needs(call()) == {}
    need = build(sessions={}).needs(call(headers=headers))[SESSION_OWNER]
    assert need.owner is None
    assert "a1" not in need.session


def test_the_owner_is_the_whole_verified_name() -> None:
    guard, headers = build(sessions={}), Headers([("mcp-session-id", "a1")])
    callers = [
        Caller(tenant=tenant, principal=principal, verified=True)
        for tenant, principal in (("a", "b"), (None, "b"), ("b", "a"), ("a", None))
    ]
    owners = [guard.needs(call(headers=headers, caller=caller))[SESSION_OWNER].owner for caller in callers]
    assert len(set(owners)) == len(owners)
    assert owners[-1] is None


def test_the_worst_finding_names_the_reason_and_what_is_set_aside_does_not() -> None:
    guard = build()
    headers = Headers([("authorization", "Bearer"), ("content-length", "1"), ("transfer-encoding", "chunked")])
    operation = call(headers=headers)
    verdict = guard.evaluate(operation, {})
    assert isinstance(verdict, Deny)
    assert verdict.code == "auth_bypass_detected"
    rest = tuple(finding for finding in verdict.findings if finding.rule == "authorization_malformed")
    reconsidered = guard.reconsider(operation, rest)
    assert isinstance(reconsidered, Deny)
    assert reconsidered.code == "authorization_invalid"


def test_a_session_that_cannot_be_bound_is_told_and_allowed() -> None:
    verdict = build(sessions={}).evaluate(call(), {SESSION_OWNER: SessionFact(Ownership.FULL)})
    assert isinstance(verdict, Allow)
    assert [finding.rule for finding in verdict.findings] == ["session_not_bound"]


def test_no_more_than_so_many_tokens_are_told() -> None:
    headers = Headers([("authorization", "Bearer opaque-0123456789")])
    verdict = build().evaluate(call(["opaque-0123456789"] * 100, headers=headers), {})
    assert len(verdict.findings) == 16


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"sessions": {"storage": "http://redis"}}, ("sessions", "storage")),
        ({"sessions": {"storage": "redis://h:p:p"}}, ("sessions", "storage")),
    ],
)
def test_settings_that_only_the_guard_can_judge(settings: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as error:
        build(**settings)
    assert error.value.path == path
    assert "h:p" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"jwt": {"algorithms": ["RS256", "None"]}},
        {"origins": ["app.example"]},
        {"origins": ["https://app.example/mcp"]},
        {"identity_headers": ["X-User"]},
        {"identity_headers": ["x-*-user"]},
        {"paths": ["mcp"]},
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, SettingsError)):
        build(**settings)


def test_memory_of_several_workers_must_be_meant() -> None:
    several = GuardContext(guard_id="auth_bypass", workers=2)
    with pytest.raises(SettingsError) as error:
        build(several, sessions={})
    assert error.value.path == ("sessions", "per_worker")
    build(several)
    build(several, sessions={"per_worker": True})
    build(several, sessions={"storage": "redis://127.0.0.1:6379/0"})


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        ("https://a.example", "https://a.example"),
        ("HTTP://A.example:80", "http://a.example"),
        ("https://[::1]:8080", "https://[::1]:8080"),
        ("file://", "file://"),
        ("vscode-webview://x1", "vscode-webview://x1"),
        ("https://", None),
        ("https://a.example/", None),
        ("https://a@b.example", None),
        ("", None),
    ],
)
def test_origins(value: str, origin: str | None) -> None:
    assert origin_of(value) == origin


@pytest.mark.parametrize(
    ("authority", "host"),
    [("A.example:80", "a.example"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a.example.", "a.example"), ("", "")],
)
def test_hosts(authority: str, host: str) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize("settings", [{}, STRICT], ids=["default", "strict"])
@given(
    arguments=JSON,
    fields=st.lists(st.tuples(NAMES | st.text(max_size=10), st.text(st.characters(max_codepoint=255))), max_size=8),
    path=st.text("/.%;\\?&=aA25cfF#", max_size=40) | st.text(max_size=20),
    verified=st.booleans(),
)
def test_anything_is_judged(
    settings: dict[str, Any], arguments: Any, fields: list[tuple[str, str]], path: str, verified: bool
) -> None:
    caller = Caller(principal="ada" if verified else None, verified=verified)
    operation = call(arguments, headers=Headers(fields), path=path, caller=caller)
    guard = build(**settings)
    guard.needs(operation)
    verdict = guard.evaluate(operation, {SESSION_OWNER: SessionFact(Ownership.OTHER)})
    for finding in verdict.findings:
        assert finding.rule in RULES
        resolve(operation.payload, finding.where)


@given(header=st.text(max_size=60) | JSON.map(json.dumps), rest=st.text("abc.-_=", max_size=20))
def test_any_token_is_read(header: str, rest: str) -> None:
    part = base64.urlsafe_b64encode(header.encode()).rstrip(b"=").decode()
    headers = Headers([("authorization", f"Bearer {part}.{part}.{rest}")])
    for settings in ({}, STRICT):
        for finding in build(**settings).evaluate(call(headers=headers), {}).findings:
            assert header not in finding.excerpt or not header or header in ("alg", "kid", "signature")


@pytest.mark.parametrize(
    "piece", ["/..;", "%25", "%2f", "a=b&", "eyJ", "?access_token=", "; ", "opaque-012345678"], ids=repr
)
def test_time_is_linear(piece: str) -> None:
    guard = build(**STRICT)

    def asked(size: int) -> Callable[[], object]:
        text = piece * (size // len(piece))
        headers = Headers([("authorization", f"Bearer {text[:40_000]}x"), ("origin", text[:20_000])])
        operation = call({"query": text, "more": [text[:1000]] * (size // 1000)}, headers=headers, path=f"/{text}")
        return lambda: guard.evaluate(operation, {})

    assert_linear(asked, 400_000)


@pytest.mark.skipif(CORPUS is None, reason="GUARDSVC_CORPUS is not set")
def test_calls_of_real_agents_pass() -> None:
    guard = build()
    request = captured()
    for line in (Path(CORPUS or "") / "benign_args.jsonl").read_text().splitlines():
        row = json.loads(line)
        operation = call(row["arguments"], headers=request.headers, subject=row.get("tool"))
        assert guard.evaluate(operation, {}).findings == (), row["tool"]
