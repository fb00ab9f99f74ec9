"""Streams as a gateway opens them, without a socket, and what the client sees of an exchange."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import msgspec

from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse
from guardsvc.gateways.entrance import Intake
from guardsvc.gateways.ext_proc import ExtProc
from guardsvc.gateways.ext_proc.wire import EXT_AUTHZ, FILTER, BodyMode
from guardsvc.gateways.seal import Seal
from guardsvc.model import ALLOW, Decision, Deny, Finding, Mode, Modify, Operation, Severity
from guardsvc.observe import Metrics, Recorder
from guardsvc.policy import Policy
from tests.engine.scripted import CALL

SEAL = Seal((b"k" * 32,))
FDS, BUFFERED = BodyMode.FULL_DUPLEX_STREAMED, BodyMode.BUFFERED
JSON = ("content-type", "application/json")
EVENTS = ("content-type", "text/event-stream")
BAD = "BAD"
REDACTED = "GOOD"


def judge_words(operation: Operation) -> Any:
    """Refuses what holds the word BAD, changes SWAP into GOOD."""
    text = json.dumps(operation.payload)
    if BAD in text:
        return Deny(code="access_denied", message="No.", findings=(Finding(rule="r", severity=Severity.HIGH),))
    if "SWAP" in text:
        return Modify(payload=json.loads(text.replace("SWAP", REDACTED)))
    return ALLOW


def token(seal: Seal = SEAL, **fields: Any) -> str:
    """What ext_authz hands on of a call of the tool ``read`` with id 7."""
    operation = msgspec.structs.replace(CALL, **{"id": 7, **fields})
    return seal.token(Decision(id="d", operation=operation, verdict="allow", mode=Mode.ENFORCE))


def response_headers(
    *fields: tuple[str, str],
    sealed: str | None = None,
    details: str | None = "via_upstream",
    status: str = "200",
    end: bool = False,
    mode: BodyMode | None = FDS,
) -> ProcessingRequest:
    """The header fields of a response, as the first message of a stream unless ``mode`` is None."""
    request = ProcessingRequest()
    told = request.response_headers
    told.end_of_stream = end
    for name, value in ((":status", status), *fields):
        told.headers.headers.add(key=name, raw_value=value.encode())
    if sealed is not None:
        request.metadata_context.filter_metadata[EXT_AUTHZ].fields["token"].string_value = sealed
    if details is not None:
        request.attributes[FILTER].fields["response.code_details"].string_value = details
    if mode is not None:
        request.protocol_config.response_body_mode = mode.value  # type: ignore[assignment]  # enums are numbers on the wire
    return request


def request_headers(
    *fields: tuple[str, str], method: str = "POST", end: bool = False, mode: BodyMode = FDS, then: BodyMode = FDS
) -> ProcessingRequest:
    """The header fields of a request, the first message of a stream."""
    request = ProcessingRequest()
    told = request.request_headers
    told.end_of_stream = end
    pseudo = ((":method", method), (":path", "/mcp"), (":authority", "h"))
    for name, value in (*pseudo, JSON, ("accept", "application/json, text/event-stream"), *fields):
        told.headers.headers.add(key=name, raw_value=value.encode())
    request.protocol_config.request_body_mode = mode.value  # type: ignore[assignment]  # enums are numbers on the wire
    request.protocol_config.response_body_mode = then.value  # type: ignore[assignment]  # enums are numbers on the wire
    return request


def body(side: str, data: bytes, *, end: bool = False) -> ProcessingRequest:
    """Some bytes of a body."""
    request = ProcessingRequest()
    told = request.request_body if side == "request" else request.response_body
    told.body, told.end_of_stream = data, end
    return request


def trailers(side: str) -> ProcessingRequest:
    """The end of a body that has trailer fields behind it."""
    request = ProcessingRequest()
    (request.request_trailers if side == "request" else request.response_trailers).SetInParent()
    return request


def pieces(side: str, *parts: bytes) -> list[ProcessingRequest]:
    """A body that comes in parts."""
    return [body(side, part, end=number == len(parts)) for number, part in enumerate(parts, start=1)]


class Context:
    """A servicer context that is fed by a test. A number among the messages is a pause in seconds."""

    def __init__(self, messages: Sequence[ProcessingRequest | bytes | float], peer: str) -> None:
        self._messages = list(messages)
        self._peer = peer
        self.answers: list[ProcessingResponse] = []
        self.seen: list[int] = []
        self.read_count = 0

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> Any:
        return (("mcp_server", "files"),)

    async def read(self) -> Any:
        while self._messages:
            message = self._messages.pop(0)
            if isinstance(message, float):
                await asyncio.sleep(message)
                continue
            self.read_count += 1
            return message if isinstance(message, bytes) else message.SerializeToString()
        return grpc.aio.EOF

    async def write(self, data: bytes) -> None:
        self.answers.append(ProcessingResponse.FromString(data))
        self.seen.append(self.read_count)

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise grpc.aio.AbortError(code, details)


@dataclass
class Seen:
    """What the other side of the gateway sees.

    Attributes:
        headers: whether the header fields went on.
        body: what went on of the body.
        ended: whether its end did.
        denial: status and body of an answer in its place.
        status: why the stream was aborted.
        answers: all of them.
    """

    headers: bool = False
    body: bytes = b""
    ended: bool = False
    denial: tuple[int, bytes] | None = None
    status: grpc.StatusCode | None = None
    answers: list[ProcessingResponse] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    @property
    def error(self) -> Any:
        assert self.denial is not None
        return json.loads(self.denial[1])


async def exchange(
    policy: Policy,
    *messages: ProcessingRequest | bytes | float,
    side: str = "response",
    peer: str = "unix:",
    metrics: Metrics | None = None,
    intake: Intake | None = None,
    came: bytes = b"",
) -> Seen:
    """Let the service answer a stream; ``came`` is the whole body, which a gateway that buffers has itself."""
    context: Any = Context(messages, peer)
    recorder = Recorder(metrics or Metrics("0"), ["tools/call"])
    service = ExtProc(lambda: policy, SEAL, recorder, {}, lambda call: call.peer() == "unix:", intake=intake)
    seen = Seen(answers=context.answers, at=context.seen)
    try:
        await service.process(None, context)
    except grpc.aio.AbortError as error:
        seen.status = error.args[0]
    for answer in context.answers:
        _apply(seen, answer, side, came)
    return seen


def _apply(seen: Seen, answer: ProcessingResponse, side: str, came: bytes) -> None:
    which = answer.WhichOneof("response")
    assert which is not None, "an answer that says nothing"
    assert seen.denial is None, "an answer after the last"
    seen.kinds.append(which)
    if which == "immediate_response":
        seen.denial = answer.immediate_response.status.code, answer.immediate_response.body
        seen.fields |= _fields(answer.immediate_response.headers)
    elif which == f"{side}_headers":
        seen.headers = True
        mutation = getattr(answer, which).response.header_mutation
        seen.fields |= _fields(mutation)
        seen.removed += mutation.remove_headers
    elif which == f"{side}_body":
        assert seen.headers, "a body before its header fields"
        response = getattr(answer, which).response
        seen.fields |= _fields(response.header_mutation)
        seen.removed += response.header_mutation.remove_headers
        match response.body_mutation.WhichOneof("mutation"):
            case "streamed_response":
                assert not seen.ended, "a body after its end"
                piece = response.body_mutation.streamed_response
                assert len(piece.body) <= 65_536
                seen.body += piece.body
                seen.ended = piece.end_of_stream
            case "body":
                seen.body, seen.ended = response.body_mutation.body, True
            case None:
                seen.body, seen.ended = came, True


def _fields(mutation: Any) -> dict[str, str]:
    for option in mutation.set_headers:
        assert not option.header.value, "ext_proc reads raw_value only"
        assert option.append_action == 2
    return {option.header.key: option.header.raw_value.decode() for option in mutation.set_headers}


def result(text: str = "fine", request_id: Any = 7) -> bytes:
    """The result of a call of a tool, with blanks that no writer of ours would leave."""
    value = {"jsonrpc": "2.0", "id": request_id, "result": {"content": [{"type": "text", "text": text}]}}
    return json.dumps(value, indent=1).encode()


def event(data: bytes, end: bytes = b"\n") -> bytes:
    """An event of these data, a line for each of theirs."""
    lines = [b"event: message", *(b"data: " + line for line in data.split(b"\n")), b"", b""]
    return end.join(lines)


def notification(text: str = "fine") -> bytes:
    value = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}}
    return json.dumps(value).encode()


def question(text: str = "fine") -> bytes:
    value = {"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {"messages": [text]}}
    return json.dumps(value).encode()
