"""One service, and how each gateway protocol asks it about the same operation, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc

from guardsvc._proto.agentgateway.dev.ext_mcp import ext_mcp_pb2 as ext_mcp
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingResponse
from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract
from guardsvc.gateways.ext_authz import ExtAuthz
from guardsvc.gateways.ext_mcp import ExtMcp
from guardsvc.gateways.ext_proc import ExtProc
from guardsvc.gateways.guard_service import GuardService
from guardsvc.gateways.guard_service.http import PATH, HttpGuardService
from guardsvc.gateways.sight import ProtocolName
from guardsvc.mcp.revisions import phase_of, response_phase_of
from guardsvc.model import Direction
from guardsvc.observe import Metrics, Recorder
from guardsvc.policy import Policy
from guardsvc.server.evaluate_listener import EvaluateListener
from guardsvc.server.listener_settings import ListenerSettings
from tests.gateways.ext_authz.checks import attributes, check_request
from tests.gateways.ext_proc import streams

PREFIXES = {"tools/call": ("name", "files_"), "prompts/get": ("name", "files_"), "resources/read": ("uri", "files+")}
UNKNOWN_HOST = "gateway.example"


@dataclass(frozen=True)
class Message:
    """One MCP message as its sender has written it.

    Attributes:
        method: of the request, also where the message is a result.
        payload: JSON text of ``params`` or ``result``; None where there is none.
        is_result: whether it is the result of that request.
        prefixed: whether the client writes names with the gateway's prefix, and the gateway names no server.
        server: that the gateway names.
        subject: of the request that a result answers.
    """

    method: str
    payload: bytes | None = None
    is_result: bool = False
    prefixed: bool = False
    server: str | None = None
    subject: str | None = None

    @property
    def envelope(self) -> bytes:
        """The JSON-RPC message."""
        member = b"result" if self.is_result else b"params"
        payload = b"" if self.payload is None else b',"' + member + b'":' + self.payload
        method = b"" if self.is_result else b',"method":' + json.dumps(self.method).encode()
        return b'{"jsonrpc":"2.0","id":7' + method + payload + b"}"

    @property
    def servers(self) -> list[str]:
        return [] if self.server is None else [self.server]


CALL_OF_READ = Message("tools/call", b'{"name":"files_read"}', prefixed=True)


@dataclass(frozen=True)
class Answer:
    """What a protocol makes of the message: the decision, the reason of a denial, the payload of a change."""

    decision: str
    reason: str | None = None
    payload: Any = None


def denied(error: Mapping[str, Any]) -> Answer:
    return Answer("deny", error["data"]["reason"])


class Protocols:
    """Asks by any protocol."""

    def __init__(self, channel: grpc.aio.Channel, session: aiohttp.ClientSession, url: str) -> None:
        self._channel = channel
        self._session = session
        self._url = url

    async def ask(self, protocol: ProtocolName, message: Message) -> Answer:
        """Ask about the message as a gateway of this protocol would."""
        return await getattr(self, protocol)(message)  # type: ignore[no-any-return]

    async def ext_authz(self, message: Message) -> Answer:
        extensions = {} if message.server is None else {"mcp_server": message.server}
        check = check_request(attributes(message.envelope, extensions=extensions, host=UNKNOWN_HOST))
        answer = CheckResponse.FromString(await self.unary(ExtAuthz.SERVICE, "Check", check))
        if answer.status.code == 0:
            return Answer("allow")
        return denied(json.loads(answer.denied_response.body)["error"])

    async def ext_proc(self, message: Message) -> Answer:
        if message.is_result:
            sealed = streams.token(method=message.method, subject=message.subject, server=message.server, id=7)
            first = streams.response_headers(streams.JSON, sealed=sealed)
            side = "response"
        else:
            first = streams.request_headers()
            side = "request"
        metadata = () if message.server is None else (("mcp_server", message.server),)
        answers = await self.stream([first, *streams.pieces(side, message.envelope)], metadata=metadata)
        body = bytearray()
        for answer in answers:
            if answer.HasField("immediate_response"):
                return denied(json.loads(answer.immediate_response.body)["error"])
            told = answer.request_body if side == "request" else answer.response_body
            body += told.response.body_mutation.streamed_response.body
        if bytes(body) == message.envelope:
            return Answer("allow")
        sent = json.loads(body)
        if "error" in sent:
            return denied(sent["error"])
        return Answer("modify", payload=sent["result" if message.is_result else "params"])

    async def ext_mcp(self, message: Message) -> Answer:
        """As agentgateway: names in requests are the server's own, and what fans out has no params."""
        services = message.servers or ["files"]
        if message.is_result:
            response = ext_mcp.McpResponse(
                service_names=services, method=message.method, mcp_response=message.payload or b"{}"
            )
            response.metadata_context["corr"] = streams.token(
                method=message.method, subject=message.subject, server=message.server
            )
            data = await self.unary(ExtMcp.SERVICE, "CheckResponse", response.SerializeToString())
            answer: Any = ext_mcp.McpResponseResult.FromString(data)
        else:
            request = ext_mcp.McpRequest(service_names=services, method=message.method)
            if message.method in PREFIXES and message.payload is not None:
                _, prefix = PREFIXES[message.method]
                request.mcp_request = message.payload.replace(prefix.encode(), b"", int(message.prefixed))
            request.headers.add(key="content-type", value=b"application/json")
            data = await self.unary(ExtMcp.SERVICE, "CheckRequest", request.SerializeToString())
            answer = ext_mcp.McpRequestResult.FromString(data)
        match answer.WhichOneof("result"):
            case "pass":
                return Answer("allow")
            case "mutated":
                return Answer("modify", payload=json.loads(answer.mutated))
        return denied({"data": json.loads(answer.error.mcp_error)})

    async def guard_service(self, message: Message) -> Answer:
        decision = await self.state("guard_service", message)
        verdict = str(decision.WhichOneof("verdict"))
        payload = json.loads(decision.modify.payload) if verdict == "modify" else None
        return Answer(verdict, decision.deny.code or None, payload)

    async def http(self, message: Message) -> Answer:
        told = await self.state("http", message)
        return Answer(told["decision"], told.get("reason", {}).get("code"), told.get("payload"))

    async def state(
        self,
        protocol: ProtocolName,
        message: Message,
        *,
        kind: str | None = None,
        direction: Direction | None = None,
        seconds: float = 30,
        **more: Any,
    ) -> Any:
        """Say what the message is, over gRPC or HTTP, and get the decision as it is told; ``more`` is said too."""
        direction = direction or (Direction.RESPONSE if message.is_result else Direction.REQUEST)
        kind = kind or ("result" if message.is_result else "request")
        phase = _phase(message, kind, direction)
        if protocol == "http":
            return await self._state_json(message, kind, direction, phase, more)
        operation = contract.Operation(
            protocol=contract.GATEWAY_PROTOCOL_EXT_PROC,
            direction=f"DIRECTION_{direction.name}",
            phase=f"PHASE_{phase.upper()}",
            kind=f"KIND_{kind.upper()}",
            method=message.method,
            servers=message.servers,
            payload=message.payload or b"",
        )
        if kind in ("request", "result", "error"):
            operation.int_id = 7
        if message.subject is not None:
            operation.subject = message.subject
        data = contract.EvaluateRequest(operation=operation, **more).SerializeToString()
        answer = await self.unary(GuardService.SERVICE, "Evaluate", data, seconds=seconds)
        return contract.EvaluateResponse.FromString(answer).decision

    async def _state_json(
        self, message: Message, kind: str, direction: Direction, phase: str, more: Mapping[str, Any]
    ) -> Any:
        body: dict[str, Any] = {
            "operation": phase,
            "direction": direction.value,
            "kind": kind,
            "method": message.method,
            "context": {"servers": message.servers},
            **more,
        }
        if kind in ("request", "result", "error"):
            body["id"] = 7
        if message.subject is not None:
            body["subject"] = message.subject
        text = json.dumps(body).encode()
        if message.payload is not None:
            text = text[:-1] + b',"payload":' + message.payload + b"}"
        headers = {"content-type": "application/json"}
        async with self._session.post(self._url, data=text, headers=headers) as answer:
            # Where a payload is no JSON the body around it is none: there is no decision.
            return {"decision": "fault"} if answer.status == 400 else await answer.json()

    async def stream(
        self, messages: Sequence[Any], *, metadata: Any = (), seconds: float = 30
    ) -> list[ProcessingResponse]:
        """What ext_proc answers to these messages, until one ends the exchange or that side of it."""
        call: Any = self._channel.stream_stream(f"/{ExtProc.SERVICE}/Process")(metadata=metadata, timeout=seconds)
        for message in messages:
            await call.write(message.SerializeToString())
        answers: list[ProcessingResponse] = []
        while (data := await call.read()) is not grpc.aio.EOF:
            answers.append(ProcessingResponse.FromString(data))
            if _ends(answers[-1], headers_only=len(messages) == 1):
                break
        call.cancel()
        return answers

    async def unary(self, service: str, method: str, data: bytes, seconds: float = 30) -> bytes:
        """The answer to one call."""
        call: Any = self._channel.unary_unary(f"/{service}/{method}")
        answer: bytes = await call(data, timeout=seconds)
        return answer


def _ends(answer: ProcessingResponse, *, headers_only: bool) -> bool:
    if headers_only or answer.HasField("immediate_response"):
        return True
    bodies = (answer.request_body, answer.response_body)
    return any(body.response.body_mutation.streamed_response.end_of_stream for body in bodies)


def _phase(message: Message, kind: str, direction: Direction) -> str:
    if direction is Direction.REQUEST:
        return "input_response" if kind in ("result", "error") else phase_of(message.method).value
    if kind in ("result", "error"):
        return response_phase_of(message.method).value
    return "other"


@asynccontextmanager
async def serving(chain: Policy) -> AsyncIterator[Protocols]:
    """A service with this policy, which all protocols ask."""
    metrics = Metrics("0")
    recorder = Recorder(metrics, ["tools/call", "tools/list"])
    server = grpc.aio.server()
    sealed: Any = (lambda: chain, streams.SEAL, recorder, {})
    guard_service = GuardService(lambda: chain, recorder, {})
    services = (ExtAuthz(*sealed), ExtProc(*sealed), ExtMcp(*sealed), guard_service)
    server.add_generic_rpc_handlers(tuple(service.handler() for service in services))
    port = server.add_insecure_port("127.0.0.1:0")
    listener = EvaluateListener("http", ListenerSettings(address="127.0.0.1:0", serves="http"), 1, metrics)
    address = listener.bind(HttpGuardService(guard_service, 1 << 20).application)
    await server.start()
    await listener.start()
    try:
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            aiohttp.ClientSession() as session,
        ):
            yield Protocols(channel, session, f"http://{address}{PATH}")
    finally:
        await server.stop(None)
        await listener.stop(0)
