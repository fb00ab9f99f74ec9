"""Reads the JSON form of a question: the body of ``POST /v1/security/evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.gateways.exchange import Asker
from guardsvc.gateways.guard_service.decode import MAX_FINDINGS, MAX_SERVERS, Question, caller_of
from guardsvc.gateways.guard_service.json_members import ContractError, Members, Problem, read_small, split
from guardsvc.gateways.statement import Statement, StatementError
from guardsvc.mcp import Limits, Refusal
from guardsvc.mcp.strict_json import decode, encode
from guardsvc.model import (
    REQUEST_PHASES,
    RESPONSE_PHASES,
    Caller,
    Direction,
    Finding,
    GatewayProtocol,
    Headers,
    Kind,
    Phase,
    Severity,
)

if TYPE_CHECKING:
    from guardsvc.policy import Policy

__all__ = ["MEMBERS", "JsonQuestion", "decode_json"]

MEMBERS = (
    "operation",
    "direction",
    "kind",
    "method",
    "id",
    "subject",
    "tools",
    "payload",
    "revision",
    "headers",
    "http_method",
    "path",
    "host",
    "findings",
    "context",
    "timeout_ms",
)
"""Members of a body."""
CONTEXT = ("server_name", "servers", "identity", "metadata")
IDENTITY = ("principal", "tenant", "verified", "address")
FINDING = ("rule", "severity", "where", "threats", "excerpt", "suppressed_by")
MAX_TIMEOUT_MS = 600_000
MAX_THREATS = 100
SCHEMA, SCHEMA_OF_MCP = "input_schema", "inputSchema"

_METHODS = {
    Phase.TOOLS_LIST: "tools/list",
    Phase.TOOL_INVOKE: "tools/call",
    Phase.TOOL_RESULT: "tools/call",
    Phase.PROMPTS_LIST: "prompts/list",
    Phase.PROMPT_GET: "prompts/get",
    Phase.PROMPT_RESULT: "prompts/get",
    Phase.RESOURCES_LIST: "resources/list",
    Phase.RESOURCE_READ: "resources/read",
    Phase.RESOURCE_RESULT: "resources/read",
}
"""The method of a phase where the body says none."""


class JsonQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What one body asks.

    Attributes:
        question: the same as over gRPC.
        seconds: the time its caller gives, None where it says none.
        lists_tools: whether tools came, and go back, as ``tools`` of the body.
        renamed: whether their schemas came as ``input_schema``.
    """

    question: Question
    seconds: float | None = None
    lists_tools: bool = False
    renamed: bool = False


def decode_json(body: bytes, policy: Policy, *, peer: str, believed: bool, learns: bool = False) -> JsonQuestion:
    """Read one body.

    Args:
        body: as it came.
        policy: in force; its bounds count for tools.
        peer: as ``grpc.ServicerContext.peer()`` gives it.
        believed: whether the peer is believed. From any other nothing but the message itself counts.
        learns: whether catalogs may be learned from what a believed peer shows.

    Raises:
        ContractError: the body is not one that the contract allows.
    """
    raw = split(body)
    payload, tools = raw.pop("payload", None), raw.pop("tools", None)
    problems: list[Problem] = []
    members = Members(read_small(raw, problems), "", MEMBERS, problems)
    renamed = False
    if tools is not None and payload is None:
        payload, renamed = _listed(tools, policy.rules.response_limits)
    elif tools is not None:
        members.note("tools", "is there together with payload")
    statement = _statement(members, b"" if payload in (None, b"null") else payload, lists_tools=tools is not None)
    servers, caller = _context(members, problems)
    findings = _findings(members, problems)
    timeout = members.either("timeout_ms", int)
    if timeout is not None and not 0 < timeout <= MAX_TIMEOUT_MS:
        members.note("timeout_ms", f"is not from 1 to {MAX_TIMEOUT_MS}", timeout)
    if statement is None or problems:
        raise ContractError(*problems)
    try:
        statement.check()
    except StatementError as error:
        name = "operation" if error.member == "phase" else error.member
        raise ContractError(Problem(name, error.problem)) from None
    question = Question(
        statement=msgspec.structs.replace(statement, servers=servers),
        asker=Asker(protocol=GatewayProtocol.GUARD_SERVICE, caller=caller, can_modify=True, learnable=learns),
        findings=findings,
    )
    return JsonQuestion(
        question=question if believed else question.of_nobody(peer),
        seconds=None if timeout is None else timeout / 1000,
        lists_tools=tools is not None,
        renamed=renamed,
    )


def _statement(members: Members, payload: bytes, *, lists_tools: bool) -> Statement | None:
    phase = members.choose("operation", Phase)
    if phase is None:
        members.note("operation", f"is needed, one of {', '.join(Phase)}")
        return None
    direction = members.choose("direction", Direction, _direction(phase, lists_tools=lists_tools))
    if direction is None:
        members.note("direction", f"is needed, one of {', '.join(Direction)}: {phase} occurs in both")
        return None
    if lists_tools and (phase is not Phase.TOOLS_LIST or direction is not Direction.RESPONSE):
        members.note("tools", f"is what a response of operation {Phase.TOOLS_LIST} has; others have a payload")
    answers = direction is Direction.RESPONSE or phase is Phase.INPUT_RESPONSE
    kind = members.choose("kind", Kind, Kind.RESULT if answers else Kind.REQUEST)
    return Statement(
        direction=direction,
        phase=phase,
        kind=kind or Kind.REQUEST,
        method=members.read("method", str, _METHODS.get(phase, "")),
        id=members.either("id", str, int),
        subject=members.either("subject", str),
        payload=payload,
        headers=_headers(members),
        revision=members.read("revision", str, ""),
        http_method=members.read("http_method", str, ""),
        path=members.read("path", str, ""),
        host=members.read("host", str, ""),
    )


def _direction(phase: Phase, *, lists_tools: bool) -> Direction | None:
    if lists_tools or phase not in REQUEST_PHASES:
        return Direction.RESPONSE
    return Direction.REQUEST if phase not in RESPONSE_PHASES else None


def _listed(tools: bytes, limits: Limits) -> tuple[bytes, bool]:
    """The result that has these tools, and whether their schemas had another name.

    What cannot be read goes on as it is: it is the message's fault, and refused with the code of it.
    """
    as_given = b'{"tools":' + tools + b"}"
    if f'"{SCHEMA}"'.encode() not in tools:
        return as_given, False
    try:
        listed = decode(as_given, limits)["tools"]
        if type(listed) is not list or any(type(each) is dict and SCHEMA_OF_MCP in each for each in listed):
            return as_given, False
        named = [_renamed(each, SCHEMA, SCHEMA_OF_MCP) for each in listed]
    except Refusal:
        return as_given, False
    return encode({"tools": named}), True


def _renamed(tool: Any, old: str, new: str) -> Any:
    if type(tool) is not dict:
        return tool
    return {new if name == old else name: value for name, value in tool.items()}


def _headers(members: Members) -> Headers:
    """Header fields: of each name a value, or several in their order."""
    fields: list[tuple[str, str]] = []
    for name, told in members.read("headers", dict, {}).items():
        values = told if type(told) is list else [told]
        if any(type(value) is not str for value in values):
            members.note(f"headers.{name[:80]}", "is not a string or an array of strings")
            continue
        fields += ((name, value if value.isascii() else value.encode().decode("latin-1")) for value in values)
    return Headers(fields)


def _context(members: Members, problems: list[Problem]) -> tuple[tuple[str, ...], Caller]:
    context = Members(members.read("context", dict, {}), "context", CONTEXT, problems)
    name = context.either("server_name", str)
    servers = context.strings("servers", MAX_SERVERS)
    if name is not None and servers not in ((), (name,)):
        context.note("servers", "is not the one entry that server_name is")
    context.read("metadata", dict, {})
    identity = context.either("identity", str, dict)
    if type(identity) is not dict:
        caller = caller_of(tenant=None, principal=identity, verified=False, address=None)
    else:
        told = Members(identity, "context.identity", IDENTITY, problems)
        caller = caller_of(
            tenant=told.either("tenant", str),
            principal=told.either("principal", str),
            verified=told.read("verified", bool, default=False),
            address=told.either("address", str),
        )
    return (servers if name is None else (name,)), caller


def _findings(members: Members, problems: list[Problem]) -> tuple[Finding, ...]:
    told = members.read("findings", list, [])
    if len(told) > MAX_FINDINGS:
        members.note("findings", f"has {len(told)} entries, {MAX_FINDINGS} are allowed")
        return ()
    return tuple(_finding(each, f"findings[{number}]", problems) for number, each in enumerate(told))


def _finding(told: Any, path: str, problems: list[Problem]) -> Finding:
    if type(told) is not dict:
        problems.append(Problem(path, "is not an object"))
        told = {}
    members = Members(told, path, FINDING, problems)
    severity = members.choose("severity", Severity)
    if severity is None:
        members.note("severity", f"is needed, one of {', '.join(Severity)}")
    return Finding(
        rule=members.read("rule", str, ""),
        severity=severity or Severity.INFO,
        where=members.read("where", str, ""),
        threats=members.strings("threats", MAX_THREATS),
        excerpt=members.read("excerpt", str, ""),
        suppressed_by=members.read("suppressed_by", str, ""),
    )
