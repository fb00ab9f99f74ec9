"""Server message: one JSON text that a server sends, read strictly and judged.

A body of a response or the data of an event. What it is, the request says that it answers; where nobody knows
that request, or the message is another one's answer, its shape does.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.engine import FactSources, decide, refuse
from guardsvc.gateways.exchange import Asker, Exchange
from guardsvc.mcp import Message, Refusal, TransportKind
from guardsvc.mcp.interpret import MAX_BATCH
from guardsvc.mcp.message import parse, parse_response
from guardsvc.mcp.shape import points_of
from guardsvc.mcp.strict_json import decode
from guardsvc.model import RESPONSE_PHASES, Direction, Kind, Operation, Phase, RequestId

if TYPE_CHECKING:
    from guardsvc.model import Decision
    from guardsvc.policy import Policy

__all__ = ["Origin", "ServerMessage", "answers", "judge_server_message", "refuse_unread_message"]

_ANSWERS = (Kind.RESULT, Kind.ERROR)
_QUESTIONS = frozenset({"elicitation/create", "roots/list", "sampling/createMessage"})
_QUESTION_MEMBERS = ("inputRequests", "requestState")
_DOCUMENTS = frozenset({TransportKind.WELL_KNOWN, TransportKind.PREFLIGHT, TransportKind.OTHER})


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The request that a response answers, which guardsvc has allowed.

    Attributes:
        decision_id: decision about the request.
        method: its method; ``http/...`` for the transport.
        id: its id, None where it has none.
        servers: canonical names of the servers it may reach.
        subject: tool, prompt or resource, as ``bounded_subject`` gives it.
        revision: revision it was read under, None where that is not known.
    """

    decision_id: str
    method: str
    id: RequestId | None = None
    servers: tuple[str, ...] = ()
    subject: str | None = None
    revision: str | None = None


class ServerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a server sends.

    Attributes:
        body: JSON text.
        origin: the request that it answers, None where nobody knows.
        in_stream: whether it is an event's data; a body may hold answers only.
        path: HTTP path of the request, where it is known.
        result_only: whether the body is the ``result`` of an answer alone, which the gateway has read and matched
            to its request; the ids of both are not known.
    """

    body: bytes
    origin: Origin | None = None
    in_stream: bool = False
    path: str = ""
    result_only: bool = False


async def judge_server_message(
    policy: Policy, message: ServerMessage, asker: Asker, *, deadline: float, sources: FactSources
) -> Exchange:
    """Read a message strictly and decide about it, once for each phase that it belongs to.

    The last of the decisions that modifies has the payload to go on with.

    Args:
        policy: the policy; of a message whose request nobody knows, every guard judges it.
        message: the message.
        asker: the gateway protocol, and the caller of the request.
        deadline: when the decisions must stand, on the clock of ``time.perf_counter``.
        sources: where facts come from.
    """
    started = perf_counter()
    policy = policy if message.origin else policy.strictest
    try:
        value = decode(message.body, policy.rules.response_limits)
        if message.origin is not None and message.origin.method in _DOCUMENTS:
            return await _judge_document(policy, message, value, asker, deadline, sources)
        messages = _read(value, message, batches=policy.rules.batches)
    except Refusal as refusal:
        known: dict[str, Any] = {"kind": refusal.kind or Kind.RESULT, "id": refusal.id}
        operation = _operation(message, asker, phase=Phase.OTHER, method=refusal.method, **known)
        details = {**refusal.details, "detail": refusal.detail}
        return Exchange(
            decisions=(refuse(policy, operation, refusal.code, details=details, started=started),), batch=refusal.batch
        )
    batch = type(value) is list and not message.result_only
    decisions: list[Decision] = []
    for each in messages:
        decisions += await _judge(policy, message, each, asker, deadline, sources, can_modify=not batch)
    return Exchange(decisions=tuple(decisions), batch=batch)


def refuse_unread_message(policy: Policy, message: ServerMessage, asker: Asker, code: str) -> Exchange:
    """A denial of a message that nobody has read, or not to the end."""
    operation = _operation(message, asker, phase=Phase.OTHER, kind=Kind.RESULT, method="")
    return Exchange(decisions=(refuse(policy, operation, code),))


def answers(origin: Origin, request_id: RequestId | None) -> bool:
    """Whether an answer with this id is the one to the request."""
    return origin.id is not None and type(origin.id) is type(request_id) and origin.id == request_id


def _read(value: Any, message: ServerMessage, *, batches: bool) -> tuple[Message, ...]:
    if message.result_only:
        return (_read_result(value, message),)
    if type(value) is not list:
        return (_read_one(value, message),)
    if not batches:
        raise Refusal("batch_not_allowed", "the policy allows no batches", batch=True)
    if not 0 < len(value) <= MAX_BATCH:
        raise Refusal("batch_not_allowed", f"{len(value)} messages, 1 to {MAX_BATCH} are allowed", batch=True)
    return tuple(_read_one(each, message) for each in value)


def _read_one(value: Any, message: ServerMessage) -> Message:
    origin = message.origin
    revision = origin.revision if origin else None
    if type(value) is dict and "method" in value:
        call = parse(value, revision)[0]
        if not message.in_stream:
            raise Refusal("invalid_message", "a body that is no answer", envelope=call.envelope)
        phase = call.phase if call.phase in RESPONSE_PHASES else Phase.OTHER
        return msgspec.structs.replace(
            call, phase=Phase.INPUT_REQUEST if call.method in _QUESTIONS else phase, subject=None
        )
    answer = parse_response(value, "", revision)
    known = origin is not None and (answer.kind is Kind.ERROR or answers(origin, answer.id))
    if origin is None or not known or origin.method.startswith("http/"):
        return answer
    return parse_response(value, origin.method, revision)


def _read_result(value: Any, message: ServerMessage) -> Message:
    origin = message.origin
    method, revision = (origin.method, origin.revision) if origin else ("", None)
    answer = parse_response({"jsonrpc": "2.0", "id": "", "result": value}, method, revision)
    return msgspec.structs.replace(answer, id=None)


async def _judge(
    policy: Policy,
    message: ServerMessage,
    read: Message,
    asker: Asker,
    deadline: float,
    sources: FactSources,
    *,
    can_modify: bool,
) -> list[Decision]:
    """Decide about one message in each of its phases; a refusal ends it, and each sees what the last one made."""
    if policy.settings.responses.require_context and _is_stray(message, read):
        operation = _operation(message, asker, **_read_fields(read))
        return [refuse(policy, operation, "uncorrelated_response")]
    decisions: list[Decision] = []
    payload = read.payload
    known = bool(read.method) or read.kind is not Kind.RESULT
    if read.kind in _ANSWERS and not read.method:
        policy = policy.strictest  # nobody knows to what it answers, so that no scope can tell
    for phase in (read.phase,) if known else points_of(payload):
        operation = _operation(message, asker, **_read_fields(read) | {"phase": phase, "payload": payload})
        decision = await decide(policy, operation, deadline=deadline, can_modify=can_modify, sources=sources)
        decisions.append(decision)
        if decision.applied in ("deny", "pending"):
            return decisions
        if decision.applied == "modify":
            payload = decision.payload
    asked = _questions(read, payload)
    if asked:
        fields = _read_fields(read) | {"phase": Phase.INPUT_REQUEST, "payload": asked}
        operation = _operation(message, asker, **fields)
        decisions.append(await decide(policy, operation, deadline=deadline, can_modify=False, sources=sources))
    return decisions


def _is_stray(message: ServerMessage, read: Message) -> bool:
    """Whether no request that was allowed accounts for the message."""
    origin = message.origin
    if origin is None:
        return True
    if message.result_only:
        return False
    return read.kind is Kind.RESULT and not origin.method.startswith("http/") and not answers(origin, read.id)


def _questions(read: Message, payload: Any) -> dict[str, Any]:
    """What a result asks the client in turn, since 2026-07-28."""
    if read.kind is not Kind.RESULT or type(payload) is not dict or "inputRequests" not in payload:
        return {}
    return {name: payload[name] for name in _QUESTION_MEMBERS if name in payload}


async def _judge_document(
    policy: Policy, message: ServerMessage, value: Any, asker: Asker, deadline: float, sources: FactSources
) -> Exchange:
    """Decide about JSON that is no message, such as authorization metadata."""
    method = message.origin.method if message.origin else ""
    operation = _operation(message, asker, phase=Phase.CONNECTION, kind=Kind.TRANSPORT, method=method, payload=value)
    decision = await decide(policy, operation, deadline=deadline, can_modify=False, sources=sources)
    return Exchange(decisions=(decision,))


def _read_fields(read: Message) -> dict[str, Any]:
    return {
        "phase": read.phase,
        "kind": read.kind,
        "method": read.method,
        "id": read.id,
        "payload": read.payload,
        "revision": read.revision,
    }


def _is_said_by_tool(origin: Origin, kind: Kind) -> bool:
    """Whether it is a notification or a question that comes while a tool runs, in the stream of its call."""
    return origin.method == "tools/call" and kind in (Kind.NOTIFICATION, Kind.REQUEST)


def _operation(message: ServerMessage, asker: Asker, **read: Any) -> Operation:
    origin = message.origin
    servers = origin.servers if origin else ()
    answered = origin is not None and read["kind"] in _ANSWERS and bool(read["method"])
    return Operation(
        protocol=asker.protocol,
        direction=Direction.RESPONSE,
        server=servers[0] if len(servers) == 1 else None,
        servers=servers,
        subject=origin.subject if origin and (answered or _is_said_by_tool(origin, read["kind"])) else None,
        caller=asker.caller,
        path=message.path,
        learnable=asker.learnable and answered,
        **read,
    )
