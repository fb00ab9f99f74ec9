"""Statement: one MCP message as a caller states it, without its HTTP request, checked against its own payload.

Callers read the message before they ask. What they say of it is held against what the payload says, so
that a call is never judged as another one than the server will see.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.engine import FactSources, decide, refuse
from guardsvc.gateways.exchange import Asker, Exchange
from guardsvc.mcp import Limits, Message, Refusal, TransportKind
from guardsvc.mcp.headers import VERSION_HEADER, find_mismatch, find_version_mismatch
from guardsvc.mcp.message import bounded_revision, parse, parse_response
from guardsvc.mcp.revisions import phase_of, response_phase_of
from guardsvc.mcp.strict_json import decode, encode
from guardsvc.model import (
    REQUEST_PHASES,
    RESPONSE_PHASES,
    Direction,
    Headers,
    Kind,
    Operation,
    Phase,
    RequestId,
    subject_kind,
)
from guardsvc.policy import AmbiguousServerError

if TYPE_CHECKING:
    from guardsvc.model import Decision
    from guardsvc.policy import Place, Policy

__all__ = ["Statement", "StatementError", "judge_response", "judge_statement", "refuse_unread_statement"]

_CALLS = (Kind.REQUEST, Kind.NOTIFICATION)
_SERVER_QUESTIONS = frozenset({"elicitation/create", "roots/list", "sampling/createMessage"})
_PHASES_OF = {Direction.REQUEST: REQUEST_PHASES, Direction.RESPONSE: RESPONSE_PHASES}


class StatementError(ValueError):
    """A statement contradicts itself; its caller has a fault.

    Attributes:
        member: the member of the statement that is wrong.
        problem: what is wrong with it.
    """

    def __init__(self, member: str, problem: str) -> None:
        super().__init__(f"{member}: {problem}")
        self.member = member
        self.problem = problem


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says of a message; as ``Operation``, but for what follows.

    Attributes:
        servers: canonical names or ids of the servers it may reach; empty where the caller knows none.
        subject: with or without the gateway's prefix; None where the payload says it.
        payload: JSON text; empty where the message has none.
        revision: empty where the payload or the headers say it.
        own_names: whether the payload has the server's own names, and the headers perhaps those of the gateway.
    """

    direction: Direction
    phase: Phase
    kind: Kind
    method: str = ""
    id: RequestId | None = None
    servers: tuple[str, ...] = ()
    subject: str | None = None
    payload: bytes = b""
    headers: Headers = Headers()
    revision: str = ""
    http_method: str = ""
    path: str = ""
    host: str = ""
    own_names: bool = False

    def check(self) -> None:
        """Hold direction, phase, kind and method against each other.

        Raises:
            StatementError: no message is all of this.
        """
        if self.phase not in _PHASES_OF[self.direction]:
            raise StatementError("phase", f"{self.phase} does not occur in a {self.direction}")
        if self.kind is Kind.TRANSPORT:
            self._check_transport()
            return
        if self.method.startswith("http/"):
            raise StatementError("method", f"{self.method} is no method of a {self.kind}")
        legal = self._legal_phases()
        if self.phase not in legal:
            raise StatementError("phase", f"{self.phase} is not one of {', '.join(sorted(legal))}")

    def _check_transport(self) -> None:
        if self.direction is not Direction.REQUEST or self.phase is not Phase.CONNECTION:
            raise StatementError("phase", "a request of the transport is a request of phase connection")
        if self.method not in set(TransportKind):
            raise StatementError("method", f"not one of {', '.join(TransportKind)}")
        if self.payload:
            raise StatementError("payload", "a request of the transport has none")

    def _legal_phases(self) -> frozenset[Phase]:
        if self.kind in _CALLS:
            if not self.method:
                raise StatementError("method", f"a {self.kind} has one")
            if self.direction is Direction.REQUEST:
                return frozenset({phase_of(self.method)})
            return frozenset({Phase.INPUT_REQUEST}) if self.method in _SERVER_QUESTIONS else RESPONSE_PHASES
        if self.direction is Direction.REQUEST:
            if self.kind is Kind.ERROR and self.method:
                raise StatementError("method", "an error of the client has none")
            return frozenset({Phase.INPUT_RESPONSE})
        return frozenset({response_phase_of(self.method), Phase.INPUT_REQUEST}) if self.method else RESPONSE_PHASES


async def judge_statement(
    policy: Policy,
    statement: Statement,
    asker: Asker,
    *,
    deadline: float,
    sources: FactSources,
) -> Exchange:
    """Read a statement strictly and decide about it; a call that answers questions is judged with its answers.

    Args:
        policy: the policy.
        statement: which has passed ``check``.
        asker: the gateway protocol and the caller.
        deadline: when the decision must stand, on the clock of ``time.perf_counter``.
        sources: where facts come from.
    """
    started = perf_counter()
    try:
        messages = _read(statement, policy.rules.limits_of(statement.direction))
    except Refusal as refusal:
        return _refused(policy, statement, asker, refusal, started)
    decisions: list[Decision] = []
    for message in messages:
        # The answer has room for one payload, that of the call itself.
        can_modify = asker.can_modify and not decisions
        decisions.append(await _judge(policy, statement, message, asker, deadline, sources, can_modify=can_modify))
    return Exchange(decisions=tuple(decisions))


async def judge_response(
    policy: Policy,
    body: bytes,
    statement: Statement,
    asker: Asker,
    *,
    deadline: float,
    sources: FactSources,
) -> Exchange:
    """Read a server's whole JSON-RPC answer strictly and decide about it.

    Args:
        policy: the policy.
        body: the answer.
        statement: what is known of it, the method of the request above all; kind, id, phase and payload
            are taken from the answer.
        asker: the gateway protocol and the caller.
        deadline: when the decision must stand, on the clock of ``time.perf_counter``.
        sources: where facts come from.
    """
    started = perf_counter()
    try:
        answer = parse_response(decode(body, policy.rules.response_limits), statement.method)
    except Refusal as refusal:
        statement = msgspec.structs.replace(statement, kind=refusal.kind or statement.kind, id=refusal.id)
        return _refused(policy, statement, asker, refusal, started)
    read = msgspec.structs.replace(
        statement, kind=answer.kind, id=answer.id, phase=answer.phase, payload=encode(answer.payload)
    )
    return await judge_statement(policy, read, asker, deadline=deadline, sources=sources)


def refuse_unread_statement(policy: Policy, statement: Statement, asker: Asker, code: str) -> Exchange:
    """A denial of a message whose payload nobody has read, or not to the end."""
    return Exchange(decisions=(refuse(policy, _operation(statement, asker), code),))


def _refused(policy: Policy, statement: Statement, asker: Asker, refusal: Refusal, started: float) -> Exchange:
    details = {**refusal.details, "detail": refusal.detail}
    operation = _operation(statement, asker)
    return Exchange(decisions=(refuse(policy, operation, refusal.code, details=details, started=started),))


async def _judge(
    policy: Policy,
    statement: Statement,
    message: Message,
    asker: Asker,
    deadline: float,
    sources: FactSources,
    *,
    can_modify: bool,
) -> Decision:
    read = {
        "phase": message.phase,
        "kind": message.kind,
        "payload": message.payload,
        "revision": message.revision,
    }
    try:
        place = _place(policy, statement, message)
    except AmbiguousServerError:
        return refuse(policy, _operation(statement, asker, subject=message.subject, **read), "ambiguous_server")
    operation = _operation(statement, asker, server=place.server, servers=place.servers, subject=place.subject, **read)
    if asker.refusal is not None:
        return refuse(policy, operation, asker.refusal.code, details={"detail": str(asker.refusal)})
    if not _agrees(statement, message, place):
        return refuse(policy, operation, "statement_mismatch")
    return await decide(policy, operation, deadline=deadline, can_modify=can_modify, sources=sources)


def _place(policy: Policy, statement: Statement, message: Message) -> Place:
    kind = subject_kind(message.phase, message.method, message.payload)
    subject = None if statement.own_names else message.subject
    if statement.servers:
        place = policy.servers.place_among(statement.servers, kind=kind, subject=subject)
    else:
        host = statement.headers.get(":authority") or statement.headers.get("host") or ""
        place = policy.servers.place(server_id=None, host=host, kind=kind, subject=subject)
    return replace(place, subject=message.subject) if statement.own_names else place


def _agrees(statement: Statement, message: Message, place: Place) -> bool:
    """Whether subject and revision are those of the payload."""
    if statement.subject not in (None, message.subject, place.subject):
        return False
    return statement.revision in ("", message.revision) or statement.method == "initialize"


def _read(statement: Statement, limits: Limits) -> tuple[Message, ...]:
    version = statement.headers.get(VERSION_HEADER) or statement.revision or None
    if statement.kind is Kind.TRANSPORT:
        if mismatch := find_version_mismatch(statement.headers):
            raise Refusal("header_mismatch", f"{mismatch.header}: {mismatch.problem}")
        revision = bounded_revision(version)
        return (Message(kind=statement.kind, phase=statement.phase, method=statement.method, revision=revision),)
    payload = decode(statement.payload, limits) if statement.payload else None
    if statement.direction is Direction.RESPONSE:
        return (_read_response(statement, payload, version),)
    messages = _read_request(statement, payload, version)
    if mismatch := find_mismatch(statement.headers, messages[0], prefixed=statement.own_names):
        raise Refusal("header_mismatch", f"{mismatch.header}: {mismatch.problem}", details={"header": mismatch.header})
    return messages


def _read_request(statement: Statement, payload: Any, version: str | None) -> tuple[Message, ...]:
    if statement.kind in _CALLS:
        return parse(_call(statement, payload), version)
    if not statement.method:
        return parse(_answer(statement, payload), version)
    retry = parse({**_call(statement, payload), "id": _id(statement)}, version)
    if len(retry) == 1:
        raise Refusal("invalid_params", "the payload answers no question")
    return retry[1:]


def _read_response(statement: Statement, payload: Any, version: str | None) -> Message:
    if statement.kind in _CALLS:
        message = parse(_call(statement, payload), version)[0]
    else:
        message = parse_response(_answer(statement, payload), statement.method, version)
    # Which request it answers, or which tool asks, only the caller knows.
    return msgspec.structs.replace(message, phase=statement.phase, subject=statement.subject)


def _call(statement: Statement, payload: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"jsonrpc": "2.0", "method": statement.method}
    if statement.kind is Kind.REQUEST:
        value["id"] = _id(statement)
    if statement.payload:
        value["params"] = payload
    return value


def _answer(statement: Statement, payload: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": _id(statement), statement.kind.value: payload}


def _id(statement: Statement) -> RequestId:
    """The id. A gateway may not show it, and nothing that is judged depends on it."""
    return "" if statement.id is None else statement.id


def _operation(statement: Statement, asker: Asker, **read: Any) -> Operation:
    fields: dict[str, Any] = {
        "phase": statement.phase,
        "kind": statement.kind,
        "revision": bounded_revision(statement.revision or None),
        **read,
    }
    return Operation(
        protocol=asker.protocol,
        direction=statement.direction,
        method=statement.method,
        id=statement.id,
        caller=asker.caller,
        headers=statement.headers,
        http_method=statement.http_method,
        path=statement.path,
        host=statement.host,
        learnable=asker.learnable,
        **fields,
    )
