"""The same message gets the same decision and the same answer whichever way it comes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract
from guardsvc.cli.check.run import CheckOptions, run_check
from guardsvc.gateways.ext_authz import ExtAuthz
from guardsvc.gateways.guard_service import GuardService
from guardsvc.gateways.seal import Seal
from guardsvc.gateways.sight import PROTOCOLS, SIGHT, ProtocolName
from guardsvc.mcp.revisions import phase_of
from guardsvc.model import Deny, Operation
from guardsvc.observe import Metrics, Recorder
from guardsvc.policy.settings import ServerSettings
from guardsvc.server.configuration import load_configuration
from tests.engine.scripted import guard, policy
from tests.gateways.ext_authz.checks import FIELDS, attributes, check_request
from tests.gateways.ext_proc.streams import judge_words
from tests.gateways.posted import judged, notification, request, result
from tests.gateways.protocols import PREFIXES, Answer, Message, serving

CONFIGURATION = """
policy:
  integrity: {batches: true, max_bytes: 4096}
  servers:
    files: {hosts: [files.example], tool_prefixes: [f_]}
    mail: {hosts: [mail.example], tool_prefixes: [m_]}
  guards:
    - type: access_list
      settings:
        default: deny
        rules:
          - {action: allow, methods: ["@lifecycle", "@list"]}
          - {action: deny, tools: ["secret*"]}
          - {action: allow, tools: ["*"], principals: [ann], servers: [files]}
          - {action: allow, methods: [client/result], verified: true}
"""
BODIES: dict[str, Any] = {
    "allowed": request(name="f_read", arguments={"x": 1}),
    "denied tool": request(name="f_secret", arguments={}),
    "another server's tool": request(name="m_send"),
    "no prefix": request(name="read"),
    "list": request("tools/list", "a", cursor="x"),
    "unknown method": request("x/y"),
    "notification": notification(),
    "client result": result(),
    "retry": request(name="f_read", requestState="s"),
    "batch": [request(name="f_read"), request(request_id=2, name="f_secret")],
    "batch of notifications": [notification(), notification()],
    "duplicate key": b'{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}',
    "case variant": {**request(), "Method": "ping"},
    "not JSON": b"{",
    "too large": request(name="x" * 5000),
    "bad id": request(request_id=1.5),
    "bad params": {**request(), "params": []},
    "empty": b"",
}


class Context:
    def peer(self) -> str:
        return "unix:"

    def time_remaining(self) -> None:
        return None


def without_id(text: str) -> Any:
    """A body without what differs from decision to decision."""
    body = json.loads(text)
    for answer in body if isinstance(body, list) else [body]:
        assert len(answer["error"]["data"].pop("decision_id")) == 32
    return body


@pytest.mark.parametrize("principal", [None, "ann", "bob"])
@pytest.mark.parametrize("host", ["files.example", "mail.example:80", "nowhere"])
@pytest.mark.parametrize("name", BODIES)
def test_ext_authz_and_the_command_line_agree(
    name: str, host: str, principal: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = BODIES[name] if isinstance(BODIES[name], bytes) else json.dumps(BODIES[name]).encode()
    file, configuration = tmp_path / "body", tmp_path / "guardsvc.yaml"
    file.write_bytes(body)
    configuration.write_text(CONFIGURATION)

    policy = load_configuration(configuration).policy
    service = ExtAuthz(lambda: policy, Seal((b"k" * 32,)), Recorder(Metrics("0"), []), {})
    check = check_request(attributes(body, host=host, principal=principal or ""))
    context: Any = Context()
    answer = CheckResponse.FromString(asyncio.run(service.check(check, context)))

    options = CheckOptions(
        file=str(file),
        config=str(configuration),
        lines=False,
        server=None,
        host=host,
        tenant=None,
        principal=principal,
        verified=principal is not None,
        headers=(),
    )
    capsys.readouterr()
    refused = False
    try:
        run_check(options, as_json=True)
    except SystemExit as ended:
        refused = ended.code == 1
    told = json.loads(capsys.readouterr().out)

    assert refused is (answer.status.code != 0)
    metadata = dict(answer.dynamic_metadata)
    leading = next((d for d in told["decisions"] if d["verdict"] != "allow"), told["decisions"][0])
    assert (metadata["verdict"], metadata.get("reason")) == (told["applied"], leading["reason"])
    assert metadata.get("server") == leading["server"]
    if refused:
        denied = answer.denied_response
        assert denied.status.code == told["client"]["status"]
        assert without_id(denied.body) == without_id(json.dumps(told["client"]["body"]))


STATED = (
    "allowed",
    "denied tool",
    "another server's tool",
    "no prefix",
    "list",
    "unknown method",
    "notification",
    "client result",
    "retry",
    "bad params",
)
"""The bodies that a caller of GuardService can state: it has read one message of them."""


def stated(body: dict[str, Any], *, host: str, principal: str | None) -> bytes:
    """The message as a caller of GuardService tells of it."""
    kind = "result" if "result" in body else "request" if "id" in body else "notification"
    method = body.get("method", "")
    phase = "input_response" if kind == "result" else phase_of(method).value
    operation = contract.Operation(
        protocol=contract.GatewayProtocol.GATEWAY_PROTOCOL_EXT_PROC,
        direction=contract.Direction.DIRECTION_REQUEST,
        phase=f"PHASE_{phase.upper()}",
        kind=f"KIND_{kind.upper()}",
        method=method,
        payload=json.dumps(body.get("params", body.get("result"))).encode(),
        headers=[contract.Header(name=name, value=value.encode()) for name, value in (*FIELDS.items(), ("host", host))],
        http_method="POST",
        path="/mcp",
    )
    if "id" in body:
        setattr(operation, "string_id" if isinstance(body["id"], str) else "int_id", body["id"])
    if principal is not None:
        operation.caller.CopyFrom(contract.Caller(principal=principal, verified=True))
    data: bytes = contract.EvaluateRequest(operation=operation).SerializeToString()
    return data


@pytest.mark.parametrize("principal", [None, "ann", "bob"])
@pytest.mark.parametrize("host", ["files.example", "mail.example:80", "nowhere"])
@pytest.mark.parametrize("name", STATED)
def test_ext_authz_and_guard_service_agree(name: str, host: str, principal: str | None, tmp_path: Path) -> None:
    (tmp_path / "guardsvc.yaml").write_text(CONFIGURATION)
    policy = load_configuration(tmp_path / "guardsvc.yaml").policy
    recorder, context = Recorder(Metrics("0"), []), cast("Any", Context())
    ext_authz = ExtAuthz(lambda: policy, Seal((b"k" * 32,)), recorder, {})
    guard_service = GuardService(lambda: policy, recorder, {})

    check = check_request(attributes(json.dumps(BODIES[name]).encode(), host=host, principal=principal or ""))
    answer = CheckResponse.FromString(asyncio.run(ext_authz.check(check, context)))
    data = asyncio.run(guard_service.evaluate(stated(BODIES[name], host=host, principal=principal), context))
    decision = contract.EvaluateResponse.FromString(data).decision

    metadata = dict(answer.dynamic_metadata)
    assert decision.WhichOneof("verdict") == metadata["verdict"]
    assert decision.deny.code == metadata.get("reason", "")
    assert decision.policy_hash == policy.hash
    if decision.HasField("deny"):
        told = json.loads(answer.denied_response.body)["error"]
        details = json.loads(decision.deny.details or b"{}")
        assert decision.deny.message == told["message"]
        assert {key: value for key, value in told["data"].items() if key not in ("decision_id", "reason")} == details


def test_the_bodies_are_not_all_judged_alike(tmp_path: Path) -> None:
    """What the comparison above is worth: allowed and refused for many reasons."""
    (tmp_path / "guardsvc.yaml").write_text(CONFIGURATION)
    policy = load_configuration(tmp_path / "guardsvc.yaml").policy
    reasons = set()
    for body in BODIES.values():
        exchange = asyncio.run(judged(policy, body, host="files.example"))
        reasons.add(exchange.leading.code)
    assert reasons >= {
        None,
        "access_denied",
        "duplicate_key",
        "case_variant_key",
        "invalid_json",
        "too_large",
        "bad_id",
    }


FINE = Answer("allow")
REFUSED = Answer("deny", "access_denied")
UNSUPPORTED = Answer("deny", "modification_unsupported")
TEXTS: dict[str, Answer] = {"fine": FINE, "BAD": REFUSED, "SWAP": Answer("modify")}


def params(method: str, text: str, *, prefixed: bool) -> bytes:
    """Params that say something, of a subject with or without the gateway's prefix."""
    by, prefix = PREFIXES[method]
    value: dict[str, Any] = {by: (prefix if prefixed else "") + ("note://1" if by == "uri" else "read")}
    if by == "name":
        value["arguments"] = {"text": text}
    else:
        value["uri"] += f"/{text}"
    return json.dumps(value).encode()


def result_of(method: str, text: str, *, prefixed: bool) -> bytes:
    """A result that says something."""
    name = ("files_" if prefixed else "") + "read"
    results: dict[str, Any] = {
        "initialize": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "serverInfo": {"name": "s", "version": "1"},
            "instructions": text,
        },
        "tools/list": {"tools": [{"name": name, "description": text, "inputSchema": {"type": "object"}}]},
        "prompts/list": {"prompts": [{"name": name, "description": text}]},
        "resources/list": {"resources": [{"uri": "a:b", "name": text}]},
        "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "a:{b}", "name": text}]},
        "tools/call": {"content": [{"type": "text", "text": text}]},
        "prompts/get": {"messages": [{"role": "user", "content": {"type": "text", "text": text}}]},
        "resources/read": {"contents": [{"uri": "a:b", "text": text}]},
        "completion/complete": {"completion": {"values": [text]}},
    }
    return json.dumps(results[method]).encode()


def named(*, prefixed: bool) -> dict[str, Any]:
    return {"prefixed": True} if prefixed else {"server": "files"}


CASES: dict[str, tuple[Message, Answer]] = {
    **{
        f"{method} {text}{' by its prefix' * prefixed}": (
            Message(method, params(method, text, prefixed=prefixed), **named(prefixed=prefixed)),
            # A modification may not make another subject of it.
            Answer("deny", "guard_bad_answer") if (method, text) == ("resources/read", "SWAP") else answer,
        )
        for method in PREFIXES
        for text, answer in TEXTS.items()
        for prefixed in (False, True)
    },
    **{
        f"forbidden tool{' by its prefix' * prefixed}": (
            Message(
                "tools/call",
                json.dumps({"name": "files_delete" if prefixed else "delete"}).encode(),
                **named(prefixed=prefixed),
            ),
            Answer("deny", "tool_of_files"),
        )
        for prefixed in (False, True)
    },
    "the same tool of another server": (Message("tools/call", b'{"name":"delete"}', server="mail"), FINE),
    **{
        f"{method} request": (Message(method, server="files"), FINE)
        for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "ping")
    },
    "unknown method": (Message("x/forbidden", server="files"), Answer("deny", "method_forbidden")),
    **{
        f"params: {reason}": (Message("tools/call", payload, server="files"), Answer("deny", reason))
        for reason, payload in {
            "duplicate_key": b'{"name":"read","arguments":{"a":1,"a":2}}',
            "case_variant_key": b'{"name":"read","Name":"delete"}',
            "too_deep": b'{"name":"read","arguments":' + b'{"a":' * 70 + b"1" + b"}" * 71,
            "bad_params": b"[]",
            "invalid_params": b'{"name":1}',
            "invalid_json": b'{"name":"read",}',
            "lone_surrogate": b'{"name":"read","arguments":{"a":"\\ud800"}}',
        }.items()
    },
    **{
        f"{method} result {text}{' of prefixed names' * prefixed}": (
            Message(
                method,
                result_of(method, text, prefixed=prefixed),
                is_result=True,
                server="files",
                subject="read" if method == "tools/call" else None,
            ),
            answer,
        )
        for method in (
            "initialize",
            "tools/list",
            "prompts/list",
            "resources/list",
            "resources/templates/list",
            "tools/call",
            "prompts/get",
            "resources/read",
            "completion/complete",
        )
        for text, answer in TEXTS.items()
        for prefixed in ((False, True) if method in ("tools/list", "prompts/list") else (False,))
    },
    **{
        f"result: {reason}": (
            Message("tools/call", payload, is_result=True, server="files"),
            Answer("deny", reason),
        )
        for reason, payload in {
            "duplicate_key": b'{"content":[],"content":[]}',
            "case_variant_key": b'{"Content":[]}',
            "not_a_number": b'{"content":[],"n":NaN}',
        }.items()
    },
}


def judge_names_and_words(operation: Operation) -> Any:
    if operation.method == "x/forbidden":
        return Deny(code="method_forbidden", message="No.")
    if (operation.server, operation.subject) == ("files", "delete"):
        return Deny(code="tool_of_files", message="No.")
    return judge_words(operation)


NO_JSON = frozenset({"invalid_json", "lone_surrogate", "not_a_number"})
"""What makes the body of a question over HTTP none, if a payload has it."""


def expected(protocol: ProtocolName, message: Message, answer: Answer) -> Answer:
    """The answer, or a denial where the protocol cannot carry a change, as its row says."""
    if protocol == "http" and answer.reason in NO_JSON:
        return Answer("fault")
    if answer.decision != "modify":
        return answer
    ability = next(row for row in SIGHT if row.name == ("change_results" if message.is_result else "change_requests"))
    if not ability.can(protocol):
        return UNSUPPORTED
    return Answer("modify", payload=json.loads((message.payload or b"").replace(b"SWAP", b"GOOD")))


def sees(protocol: ProtocolName, message: Message) -> bool:
    name = "results" if message.is_result else "requests"
    return next(row for row in SIGHT if row.name == name).can(protocol)


@pytest.fixture(scope="module")
def servers() -> dict[str, ServerSettings]:
    return {
        "files": ServerSettings(tool_prefixes=("files_",), uri_prefixes=("files+",)),
        "mail": ServerSettings(tool_prefixes=("mail_",), uri_prefixes=("mail+",)),
    }


@pytest.mark.parametrize("name", CASES)
async def test_every_protocol_that_sees_it_decides_the_same(name: str, servers: dict[str, ServerSettings]) -> None:
    message, answer = CASES[name]
    async with serving(policy(guard("g", judge_names_and_words), servers=servers)) as protocols:
        told = {protocol: await protocols.ask(protocol, message) for protocol in PROTOCOLS if sees(protocol, message)}
    wanted = {protocol: expected(protocol, message, answer) for protocol in told}
    if message.prefixed and "ext_mcp" in wanted and answer.decision == "modify":
        # What the gateway shows without its prefix goes back without.
        wanted["ext_mcp"] = Answer("modify", payload=told["ext_mcp"].payload)
        prefix = PREFIXES[message.method][1]
        assert json.dumps(told["ext_mcp"].payload) == json.dumps(wanted["http"].payload).replace(prefix, "", 1)
    assert told == wanted
