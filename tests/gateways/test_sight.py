"""The page says what the data says, and the data what the protocols can: each claim is tried over a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from guardsvc._proto.agentgateway.dev.ext_mcp import ext_mcp_pb2 as ext_mcp
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract
from guardsvc.gateways.ext_authz import ExtAuthz
from guardsvc.gateways.ext_mcp import ExtMcp
from guardsvc.gateways.ext_proc import ExtProc
from guardsvc.gateways.guard_service import GuardService
from guardsvc.gateways.sight import PROTOCOLS, SIGHT, ProtocolName, Row, table
from guardsvc.mcp import InterpretationRules
from guardsvc.model import Direction, Kind, Operation
from guardsvc.policy.response_settings import ResponseSettings
from guardsvc.policy.settings import ServerSettings
from tests.engine.scripted import asked, guard, hook, policy
from tests.gateways.ext_authz.checks import attributes, check_request
from tests.gateways.ext_proc import streams
from tests.gateways.protocols import UNKNOWN_HOST, Answer, Message, Protocols, serving

PAGE = Path(__file__).parents[2] / "docs" / "gateways.md"
SERVERS = {"files": ServerSettings(tool_prefixes=("files_",), uri_prefixes=("files+",))}
CALL = Message("tools/call", b'{"name":"read","arguments":{}}', server="files")
RESULT = Message("tools/call", b'{"content":[]}', is_result=True, server="files", subject="read")


def test_the_page_has_the_table() -> None:
    assert table() in PAGE.read_text(encoding="utf-8")


@dataclass
class Trying:
    """One protocol before a service that tells what it was asked."""

    protocol: ProtocolName
    protocols: Protocols
    seen: Callable[[], list[Operation]]

    async def ask(self, message: Message) -> Answer:
        return await self.protocols.ask(self.protocol, message)

    async def saw(self, message: Message, kind: Kind, direction: Direction) -> bool:
        """Whether the guard was shown such an operation; what a protocol cannot say at all ends as an error."""
        try:
            await self.ask(message)
        except grpc.aio.AioRpcError:
            return False
        return any((op.kind, op.direction) == (kind, direction) for op in self.seen())


@dataclass(frozen=True)
class Raw(Message):
    """A message that is written as it stands, where a protocol shows messages at all."""

    text: bytes = b""

    @property
    def envelope(self) -> bytes:
        return self.text


async def requests(trying: Trying) -> bool:
    return await trying.saw(CALL, Kind.REQUEST, Direction.REQUEST)


async def notifications(trying: Trying) -> bool:
    text = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}'
    return await _stated(trying, Raw("notifications/cancelled", b'{"requestId":1}', text=text), "notification")


async def client_answers(trying: Trying) -> bool:
    text = b'{"jsonrpc":"2.0","id":7,"result":{"roots":[]}}'
    return await _stated(trying, Raw("", b'{"roots":[]}', text=text), "result")


async def transport(trying: Trying) -> bool:
    match trying.protocol:
        case "ext_authz":
            check = attributes(b"", method="GET", headers={":method": "GET", "accept": "text/event-stream"})
            await trying.protocols.unary(ExtAuthz.SERVICE, "Check", check_request(check))
        case "ext_proc":
            first = streams.request_headers(("accept", "text/event-stream"), method="GET", end=True)
            await trying.protocols.stream([first])
        case _:
            return await _stated(trying, Message("http/get_stream"), "transport")
    return trying.seen()[0].kind is Kind.TRANSPORT


async def _stated(trying: Trying, message: Message, kind: str) -> bool:
    """Whether a message of this kind is seen as one, where its sender can say what it is."""
    direction = Direction.REQUEST
    match trying.protocol:
        case "guard_service" | "http":
            await trying.protocols.state(trying.protocol, message, kind=kind, direction=direction)
            return trying.seen()[0].kind is Kind(kind)
    return await trying.saw(message, Kind(kind), direction)


async def batches(trying: Trying) -> bool:
    one = json.loads(CALL.envelope)
    text = json.dumps([one, {**one, "id": 8}]).encode()
    await trying.ask(Raw("tools/call", text, server="files", text=text))
    return len(trying.seen()) == 2


async def results(trying: Trying) -> bool:
    return await trying.saw(RESULT, Kind.RESULT, Direction.RESPONSE)


async def errors(trying: Trying) -> bool:
    text = b'{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m"}}'
    message = Raw("tools/call", b'{"code":1,"message":"m"}', is_result=True, server="files", text=text)
    return await _response(trying, message, "error")


async def server_messages(trying: Trying) -> bool:
    if trying.protocol == "ext_proc":
        event = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}\n\n'
        first = streams.response_headers(streams.EVENTS, sealed=streams.token())
        await trying.protocols.stream([first, *streams.pieces("response", event)])
        return trying.seen()[0].kind is Kind.NOTIFICATION
    message = Message("notifications/message", b'{"level":"info","data":"x"}', is_result=True, server="files")
    return await _response(trying, message, "notification")


async def _response(trying: Trying, message: Message, kind: str) -> bool:
    match trying.protocol:
        case "guard_service" | "http":
            await trying.protocols.state(trying.protocol, message, kind=kind, direction=Direction.RESPONSE)
            return trying.seen()[0].kind is Kind(kind)
    return await trying.saw(message, Kind(kind), Direction.RESPONSE)


async def exact_bytes(trying: Trying) -> bool:
    text = CALL.envelope.replace(b'"id":7', b'"id":8,"id":7')
    return (await trying.ask(Raw(CALL.method, CALL.payload, server="files", text=text))).reason == "duplicate_key"


async def ids(trying: Trying) -> bool:
    await trying.ask(CALL)
    return trying.seen()[0].id == 7


async def servers(trying: Trying) -> bool:
    await trying.ask(CALL)
    return trying.seen()[0].servers == ("files",)


async def prefixed_names(trying: Trying) -> bool:
    await trying.ask(replace(CALL, payload=b'{"name":"files_read","arguments":{}}'))
    return trying.seen()[0].subject == "read"


async def change_requests(trying: Trying) -> bool:
    return (await trying.ask(replace(CALL, payload=b'{"name":"read","arguments":{"a":"SWAP"}}'))).decision == "modify"


async def change_results(trying: Trying) -> bool:
    changed = replace(RESULT, payload=b'{"content":[{"type":"text","text":"SWAP"}]}')
    return (await trying.ask(changed)).decision == "modify"


async def correlation(trying: Trying) -> bool:
    if trying.protocol == "ext_authz":
        data = check_request(attributes(CALL.envelope, host=UNKNOWN_HOST))
        answer = CheckResponse.FromString(await trying.protocols.unary(ExtAuthz.SERVICE, "Check", data))
        return streams.SEAL.open(str(answer.dynamic_metadata["token"])) is not None
    await trying.ask(RESULT)
    return trying.seen()[0].caller.source == "token"


async def findings(trying: Trying) -> bool:
    match trying.protocol:
        case "guard_service":
            told = contract.Finding(rule="before", severity=contract.SEVERITY_LOW)
            decision = await trying.protocols.state("guard_service", CALL, findings=[told])
            return bool(decision.findings)
        case "http":
            told_too = {"rule": "before", "severity": "low"}
            return bool((await trying.protocols.state("http", CALL, findings=[told_too]))["findings"])
        case "ext_mcp":
            return "findings" in ext_mcp.McpRequest.DESCRIPTOR.fields_by_name
    return False


async def deadlines(trying: Trying) -> bool:
    """Whether the decision is there before the time of the call is over."""
    protocols = trying.protocols
    try:
        match trying.protocol:
            case "ext_authz":
                data = check_request(attributes(CALL.envelope, host=UNKNOWN_HOST))
                await protocols.unary(ExtAuthz.SERVICE, "Check", data, seconds=0.3)
            case "ext_proc":
                messages = [streams.request_headers(), *streams.pieces("request", CALL.envelope)]
                await protocols.stream(messages, seconds=0.3)
            case "ext_mcp":
                request = ext_mcp.McpRequest(method="ping", service_names=["files"])
                await protocols.unary(ExtMcp.SERVICE, "CheckRequest", request.SerializeToString(), seconds=0.3)
            case "guard_service":
                await protocols.state("guard_service", CALL, seconds=0.3)
            case "http":
                await asyncio.wait_for(protocols.state("http", CALL, timeout_ms=100), 0.4)
    except (grpc.aio.AioRpcError, TimeoutError):
        return False
    return True


PROBES: dict[str, Callable[[Trying], Awaitable[bool]]] = {
    probe.__name__: probe
    for probe in (
        requests,
        notifications,
        client_answers,
        batches,
        transport,
        results,
        errors,
        server_messages,
        exact_bytes,
        ids,
        servers,
        prefixed_names,
        change_requests,
        change_results,
        correlation,
        findings,
        deadlines,
    )
}


def test_every_claim_is_tried() -> None:
    assert list(PROBES) == [row.name for row in SIGHT]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("row", SIGHT, ids=lambda row: row.name)
async def test_claims(row: Row, protocol: ProtocolName) -> None:
    seeing = guard("g", streams.judge_words)
    guards = (seeing, hook("slow", after=2, timeout=5)) if row.name == "deadlines" else (seeing,)
    settings: dict[str, Any] = {"servers": SERVERS, "responses": ResponseSettings(require_context=False)}
    chain = policy(*guards, rules=InterpretationRules(batches=True), **settings)
    if row.name == "deadlines":
        chain = replace(chain, deadline=1.5)
    async with serving(chain) as protocols:
        assert await PROBES[row.name](Trying(protocol, protocols, lambda: asked(seeing))) is row.can(protocol)


def test_the_services_are_those_of_the_columns() -> None:
    assert {ExtAuthz.PROTOCOL, ExtMcp.PROTOCOL, GuardService.PROTOCOL} <= set(PROTOCOLS)
    assert ExtProc.SERVICE.endswith("ext_proc.v3.ExternalProcessor")
