"""``POST /v1/security/evaluate`` by a real client: the contract, its errors, peers, bounds and faults."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from guardsvc.gateways.admission import Admission, Bounds
from guardsvc.gateways.entrance import Intake
from guardsvc.gateways.guard_service import GuardService
from guardsvc.gateways.guard_service.http import PATH, HttpGuardService
from guardsvc.gateways.unread import Unread
from guardsvc.model import Deny, Direction, FailureMode, Finding, GatewayProtocol, Modify, Severity
from guardsvc.observe import Metrics, Recorder
from guardsvc.policy import Policy
from guardsvc.policy.settings import ServerSettings
from guardsvc.server.evaluate_listener import EvaluateListener
from guardsvc.server.listener_settings import ListenerSettings
from tests.engine.scripted import DENY, asked, guard, hook, policy
from tests.gateways.ext_proc.streams import judge_words

MOST = 100_000
SERVERS = {"github": ServerSettings(tool_prefixes=("gh_",))}
LIST: dict[str, Any] = {
    "operation": "tools_list",
    "tools": [{"name": "github_search", "description": "Search repositories", "input_schema": {"type": "object"}}],
    "context": {
        "server_name": "github",
        "identity": "user@example.com",
        "metadata": {"request_id": "req-123", "timestamp": 1734567890},
    },
}
CALL: dict[str, Any] = {
    "operation": "tool_invoke",
    "id": 1,
    "payload": {"name": "search", "arguments": {"q": "x"}},
    "context": {"server_name": "github"},
}


class Asking:
    """A client of the service."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def post(self, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and body of the answer; a body that is no bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"content-type": "application/json", **(headers or {})}
        async with self.session.post(self.url, data=data, headers=fields) as answer:
            return answer.status, await answer.json()

    async def told(self, body: Any) -> Any:
        status, answer = await self.post(body)
        assert status == 200, answer
        return answer


@asynccontextmanager
async def serving(
    chain: Policy,
    *,
    listener: dict[str, Any] | None = None,
    client: ssl.SSLContext | None = None,
    metrics: Metrics | None = None,
    teaches: bool = False,
    **more: Any,
) -> AsyncIterator[Asking]:
    metrics = metrics or Metrics("0")
    settings = ListenerSettings.model_validate({"address": "127.0.0.1:0", "serves": "http", **(listener or {})})
    serves = EvaluateListener("l", settings, 1, metrics)
    service = GuardService(
        lambda: chain, Recorder(metrics, ["tools/call"]), {}, serves.believes, learns=teaches, **more
    )
    address = serves.bind(HttpGuardService(service, MOST).application)
    await serves.start()
    path = settings.path
    connector = aiohttp.UnixConnector(path) if path else aiohttp.TCPConnector(ssl=client or True)
    scheme = "https" if settings.tls else "http"
    host = "h" if path else address
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Asking(session, f"{scheme}://{host}{PATH}")
    finally:
        await serves.stop(0)


async def test_the_contract_of_the_design() -> None:
    details = {"anomaly_score": 0.92, "model_version": "v2.1.0"}
    refusing = guard("ml", Deny(code="ml_anomaly_detected", message="Unusual.", details=details))
    async with serving(policy(refusing, servers=SERVERS)) as asking:
        answer = await asking.told(LIST)
    assert len(answer.pop("decision_id")) == 32
    assert answer == {
        "decision": "deny",
        "reason": {"code": "ml_anomaly_detected", "message": "Unusual.", "details": details},
        "findings": [],
        "mode": "enforce",
        "policy_hash": "0123",
        "guard": "ml",
    }
    (operation,) = asked(refusing)
    assert (operation.protocol, operation.direction) == (GatewayProtocol.GUARD_SERVICE, Direction.RESPONSE)
    assert (operation.phase.value, operation.method, operation.server) == ("tools_list", "tools/list", "github")
    assert operation.payload["tools"][0]["inputSchema"] == {"type": "object"}
    caller = operation.caller
    assert (caller.principal, caller.verified, operation.learnable) == ("user@example.com", False, False)


async def test_a_list_goes_back_as_it_came() -> None:
    changing = guard("g", lambda op: Modify(payload={"tools": [{**op.payload["tools"][0], "description": "x"}]}))
    async with serving(policy(changing)) as asking:
        answer = await asking.told(LIST)
        bare = await asking.told({**LIST, "tools": [{"name": "a", "inputSchema": {}}]})
    tool = {"name": "github_search", "description": "x", "input_schema": {"type": "object"}}
    assert (answer["decision"], answer["tools"]) == ("modify", [tool])
    assert bare["tools"] == [{"name": "a", "inputSchema": {}, "description": "x"}]
    assert "payload" not in answer


PHASES: dict[str, dict[str, Any]] = {
    "tools_list": {"direction": "request"},
    "tool_invoke": {"payload": {"name": "a"}},
    "tool_result": {"payload": {"content": []}},
    "prompts_list": {"direction": "response", "payload": {"prompts": []}},
    "prompt_get": {"payload": {"name": "a"}},
    "prompt_result": {"payload": {"messages": []}},
    "resources_list": {"direction": "response", "method": "resources/templates/list", "payload": {}},
    "resource_read": {"payload": {"uri": "a:b"}},
    "resource_result": {"payload": {"contents": []}},
    "input_request": {"kind": "request", "method": "roots/list", "id": "s"},
    "input_response": {"payload": {"roots": []}, "id": 1},
    "connection": {"direction": "request", "method": "initialize", "payload": {}},
    "other": {"direction": "request", "kind": "notification", "method": "notifications/cancelled"},
}


@pytest.mark.parametrize("phase", PHASES)
async def test_every_phase(phase: str) -> None:
    seeing = guard("g", DENY)
    async with serving(policy(seeing)) as asking:
        answer = await asking.told({"operation": phase, **PHASES[phase]})
    assert (answer["decision"], answer["reason"]["code"]) == ("deny", "access_denied")
    assert asked(seeing)[0].phase.value == phase


async def test_what_more_there_is_to_say() -> None:
    seeing = guard(
        "g", msgspec.structs.replace(DENY, findings=(Finding(rule="r", severity=Severity.HIGH, where="/a"),))
    )
    body = {
        **CALL,
        "subject": "search",
        "headers": {"x-a": "1", "x-b": ["2", "3"], "mcp-name": "search"},
        "http_method": "POST",
        "path": "/mcp",
        "host": "mcp.example",
        "revision": "2025-06-18",
        "findings": [{"rule": "before", "severity": "low", "threats": ["MCP05"]}],
        "context": {
            "servers": ["github"],
            "identity": {"principal": "ann", "tenant": "acme", "verified": True, "address": "203.0.113.9"},
        },
    }
    async with serving(policy(seeing, servers=SERVERS)) as asking:
        answer = await asking.told(body)
    (operation,) = asked(seeing)
    caller = operation.caller
    assert (caller.tenant, caller.principal, caller.verified, caller.address) == ("acme", "ann", True, "203.0.113.9")
    assert (operation.headers.all("x-b"), operation.http_method) == (("2", "3"), "POST")
    assert (operation.path, operation.host) == ("/mcp", "mcp.example")
    assert (operation.revision, operation.id, operation.subject) == ("2025-06-18", 1, "search")
    assert [finding["rule"] for finding in answer["findings"]] == ["before", "r"]
    assert answer["findings"][1] == {
        "rule": "r",
        "severity": "high",
        "where": "/a",
        "threats": [],
        "excerpt": "",
        "suppressed_by": "",
    }


@pytest.mark.parametrize(("text", "decision"), [("fine", "allow"), ("BAD", "deny"), ("SWAP", "modify")])
async def test_decisions(text: str, decision: str) -> None:
    async with serving(policy(guard("g", judge_words))) as asking:
        answer = await asking.told({**CALL, "payload": {"name": "a", "arguments": {"t": text}}})
    assert answer["decision"] == decision
    assert answer.get("payload") == ({"name": "a", "arguments": {"t": "GOOD"}} if decision == "modify" else None)


async def test_a_shadow_decision_is_an_allow_that_says_what_would_have_been() -> None:
    async with serving(policy(guard("g", DENY), mode="shadow")) as asking:
        answer = await asking.told(CALL)
    assert (answer["decision"], answer["mode"]) == ("allow", "shadow")
    assert answer["would_have"]["decision"] == "deny"
    assert answer["would_have"]["reason"]["code"] == "access_denied"
    assert "reason" not in answer


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ('{"name":"a","name":"b"}', "duplicate_key"),
        ('{"name":"a","Name":"b"}', "case_variant_key"),
        ("[]", "bad_params"),
        ('{"name":"x","arguments":' + "[" * 90 + "]" * 90 + "}", "too_deep"),
    ],
)
async def test_payloads_are_the_messages_fault(payload: str, code: str) -> None:
    async with serving(policy(guard("g"))) as asking:
        answer = await asking.told(f'{{"operation":"tool_invoke","payload": {payload} }}'.encode())
    assert (answer["decision"], answer["reason"]["code"]) == ("deny", code)


async def test_tools_that_can_be_read_in_two_ways_are_refused() -> None:
    async with serving(policy(guard("g"))) as asking:
        for tool in ('{"name":"a","name":"b","input_schema":{}}', '{"name":"a","Name":"b"}'):
            answer = await asking.told(f'{{"operation":"tools_list","tools":[{tool}]}}'.encode())
            assert answer["decision"] == ("deny" if "input_schema" in tool else "allow")


FAULTS: list[tuple[Any, str, str]] = [
    (b"", "", "not a JSON object"),
    (b"[]", "", "not a JSON object"),
    (b'{"operation":"tools_list"', "", "not a JSON object"),
    (b'\xef\xbb\xbf{"operation":"tools_list"}', "", "not a JSON object"),
    (b'{"operation":"other","operation":"tool_invoke"}', "", "names a member twice"),
    (b'{"\\u006fperation":"tool_invoke"}', "", "names a member twice, or in escapes"),
    (b'{"operation":"tool_invoke","context":{"identity":"a","identity":"b"}}', "context", "duplicate_key"),
    ({}, "operation", "is needed, one of tools_list, tool_invoke"),
    ({"operation": "tool_call"}, "operation", "is not one of tools_list, tool_invoke"),
    ({"operation": 7}, "operation", "is not one of"),
    ({"operation": "tools_list"}, "direction", "is needed, one of request, response"),
    ({"operation": "tool_invoke", "direction": "response"}, "operation", "does not occur in a response"),
    ({**CALL, "tool": "x"}, "tool", "is not one of operation, direction"),
    ({**CALL, "kind": "call"}, "kind", "is not one of request, notification"),
    ({**CALL, "method": "tools/list"}, "operation", "tool_invoke is not one of tools_list"),
    ({**CALL, "id": 1.5}, "id", "is not a string or an integer"),
    ({**CALL, "id": True}, "id", "is not a string or an integer"),
    ({**CALL, "headers": {"a": 1}}, "headers.a", "is not a string or an array of strings"),
    ({**CALL, "context": {"server": "x"}}, "context.server", "is not one of server_name, servers"),
    ({**CALL, "context": {"identity": 7}}, "context.identity", "is not a string or an object"),
    ({**CALL, "context": {"identity": {"sub": "x"}}}, "context.identity.sub", "is not one of principal, tenant"),
    ({**CALL, "context": {"identity": {"verified": "yes"}}}, "context.identity.verified", "is not true or false"),
    ({**CALL, "context": {"server_name": "a", "servers": ["b"]}}, "context.servers", "server_name"),
    ({**CALL, "context": {"servers": [1]}}, "context.servers", "is not an array of strings"),
    ({**CALL, "context": {"servers": ["x"] * 1001}}, "context.servers", "1000 are allowed"),
    ({**CALL, "context": {"metadata": []}}, "context.metadata", "is not an object"),
    ({**CALL, "findings": [7]}, "findings[0]", "is not an object"),
    ({**CALL, "findings": [{"rule": "r"}]}, "findings[0].severity", "is needed, one of info, low"),
    ({**CALL, "findings": [{}] * 101}, "findings", "100 are allowed"),
    ({**CALL, "timeout_ms": 0}, "timeout_ms", "is not from 1 to 600000"),
    ({**CALL, "timeout_ms": 1.5}, "timeout_ms", "is not an integer"),
    ({**CALL, "tools": []}, "tools", "is there together with payload"),
    ({"operation": "tool_invoke", "tools": []}, "direction", "is needed"),
]


@pytest.mark.parametrize(
    ("body", "path", "problem"), FAULTS, ids=[f"{path or 'body'}: {text}" for _, path, text in FAULTS]
)
async def test_a_fault_of_the_caller_is_named(body: Any, path: str, problem: str) -> None:
    if body == {"operation": "tool_invoke", "tools": []}:
        path, problem = "tools", "is what a response of operation tools_list has"
    seeing = guard("g")
    async with serving(policy(seeing)) as asking:
        status, answer = await asking.post(body)
    assert status == 400
    assert any(each["path"] == path and problem in each["problem"] for each in answer["errors"]), answer
    assert asked(seeing) == []


async def test_all_faults_are_told_at_once_with_their_values() -> None:
    async with serving(policy(guard("g"))) as asking:
        _, answer = await asking.post({**CALL, "id": 1.5, "kind": "x", "timeout_ms": -1})
    assert [(each["path"], each["value"]) for each in answer["errors"]] == [
        ("kind", '"x"'),
        ("id", "1.5"),
        ("timeout_ms", "-1"),
    ]


async def test_other_requests_have_their_status() -> None:
    async with serving(policy(guard("g"))) as asking:
        assert (await asking.post(CALL, {"content-type": "text/plain"}))[0] == 415
        assert (await asking.post(CALL, {"origin": "http://127.0.0.1"}))[0] == 403
        assert (await asking.post(CALL, {"content-encoding": "gzip"}))[0] == 415
        status, answer = await asking.post(b" " * (MOST + 1))
        assert (status, answer["errors"][0]["problem"]) == (413, f"the body has more than {MOST} bytes")
        async with asking.session.get(asking.url) as got:
            assert got.status == 405
        async with asking.session.post(asking.url.removesuffix("evaluate"), data=b"{}") as got:
            assert got.status == 404

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(MOST // 1000 + 1):
                yield b" " * 1000

        async with asking.session.post(asking.url, data=pieces(), headers={"content-type": "application/json"}) as got:
            assert got.status == 413


async def test_a_deadline_of_the_caller_counts() -> None:
    slow = hook("slow", after=300, timeout=600)
    async with serving(policy(slow)) as asking:
        answer = await asyncio.wait_for(asking.told({**CALL, "timeout_ms": 60}), 60)
    assert (answer["decision"], answer["reason"]["code"]) == ("deny", "deadline_exceeded")


@pytest.mark.parametrize("failure_mode", FailureMode)
@pytest.mark.parametrize(
    "bounds", [{"decisions": 0, "bytes": MOST}, {"decisions": 9, "bytes": 10}], ids=["calls", "bytes"]
)
async def test_without_room(bounds: dict[str, int], failure_mode: FailureMode) -> None:
    full = Admission(Bounds(**bounds, failure_mode=failure_mode, retry_after_ms=1500))
    async with (
        serving(policy(guard("g")), intake=Intake(admission=full)) as asking,
        asking.session.post(asking.url, json=CALL) as got,
    ):
        answer = await got.json()
        assert (got.status, got.headers.get("retry-after")) == (503, "2")
    assert answer["decision"] == "deny"
    assert full.held == full.decisions == 0


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardsvc.gateways.guard_service.http.READ_WITHIN", 0.05)

    async def halting() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.5)

    async with (
        serving(policy(guard("g"))) as asking,
        asking.session.post(asking.url, data=halting(), headers={"content-type": "application/json"}) as got,
    ):
        assert got.status == 408


async def test_with_the_memory_used_up_nothing_is_read() -> None:
    unread = Unread(8)
    unread.full = True
    async with serving(policy(guard("g")), intake=Intake(unread=unread)) as asking:
        status, answer = await asking.post(CALL)
    assert (status, answer["reason"]["code"]) == (503, "overloaded")


async def test_a_fault_of_guardsvc_is_no_decision() -> None:
    metrics = Metrics("0")
    async with serving(policy(guard("g")), metrics=metrics, intake=Intake(judging=None)) as asking:  # type: ignore[arg-type]
        status, answer = await asking.post(CALL)
    assert (status, answer) == (500, {"errors": [{"path": "", "problem": "the decision failed"}]})
    assert b'guardsvc_gateway_faults_total{service="guardsvc.v1.GuardService"} 1.0' in metrics.exposition()
