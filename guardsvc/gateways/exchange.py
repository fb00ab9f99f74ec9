"""Exchange: one HTTP request from interpretation to decisions, the same for every gateway protocol that sees HTTP."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.engine import FactSources, decide, refuse
from guardsvc.mcp import HttpRequest, Message, Refusal, interpret
from guardsvc.model import Caller, Decision, Direction, GatewayProtocol, Kind, Operation, Phase, subject_kind
from guardsvc.policy import AmbiguousServerError, IdentityError, Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.model import Finding

__all__ = ["Asker", "Exchange", "judge", "refuse_unread"]


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks about the request, and for whom.

    Attributes:
        protocol: the gateway protocol.
        caller: who sent the request.
        refusal: why the caller is refused whatever it asks, None where it is not.
        server_id: what the gateway calls the MCP server, if it says so.
        can_modify: whether the protocol can carry a changed payload.
        learnable: whether catalogs may be learned from what it shows.
    """

    protocol: GatewayProtocol
    caller: Caller = Caller()
    refusal: IdentityError | None = None
    server_id: str | None = None
    can_modify: bool = False
    learnable: bool = False


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about one HTTP request: all its messages pass, or none.

    Attributes:
        decisions: one per message; more than one for batches and for retries that carry input responses.
        batch: whether the body was a batch.
        id_readable: False where the JSON-RPC id cannot be read in exactly one way.
    """

    decisions: tuple[Decision, ...]
    batch: bool = False
    id_readable: bool = True

    @property
    def refusal(self) -> Decision | None:
        """The first decision that keeps the request from passing, or None."""
        return next((d for d in self.decisions if d.applied not in ("allow", "modify")), None)

    @property
    def leading(self) -> Decision:
        """The decision the request is reported under: the refusal, else the first."""
        return self.refusal or self.decisions[0]

    @property
    def modified(self) -> Decision | None:
        """The decision whose payload is to go on, None where it goes on as it came."""
        return next((d for d in reversed(self.decisions) if d.applied == "modify"), None)

    def with_earlier(self, findings: tuple[Finding, ...]) -> Exchange:
        """The same, with what others had noticed before on record under the leading decision."""
        leading = self.leading
        told = msgspec.structs.replace(leading, earlier=findings)
        return msgspec.structs.replace(
            self, decisions=tuple(told if decision is leading else decision for decision in self.decisions)
        )


async def judge(
    policy: Policy,
    request: HttpRequest,
    asker: Asker,
    *,
    deadline: float,
    sources: FactSources,
) -> Exchange:
    """Interpret a request strictly and decide about each of its messages.

    Args:
        policy: the policy for all of them.
        request: the request as the gateway passed it on.
        asker: the gateway protocol and the caller.
        deadline: when the decisions must stand, on the clock of ``time.perf_counter``.
        sources: where facts come from.
    """
    started = perf_counter()
    try:
        interpretation = interpret(request, policy.rules)
    except Refusal as refusal:
        operation = _unread(refusal, request, asker)
        details = {**refusal.details, "detail": refusal.detail}
        decision = refuse(policy, operation, refusal.code, details=details, started=started)
        # The other requests of a batch that cannot be read wait for answers too, under ids that nobody knows.
        readable = not refusal.batch and (refusal.answerable or refusal.kind not in (None, Kind.REQUEST))
        return Exchange(decisions=(decision,), batch=refusal.batch, id_readable=readable)
    decisions = [
        await _judge_message(policy, message, request, asker, deadline, sources) for message in interpretation.messages
    ]
    return Exchange(decisions=tuple(decisions), batch=interpretation.batch)


def refuse_unread(policy: Policy, request: HttpRequest, asker: Asker, code: str) -> Exchange:
    """A denial of a request whose messages nobody has read, or not to the end: their ids are not known."""
    decision = refuse(policy, _operation_of(request, asker), code)
    return Exchange(decisions=(decision,), id_readable=False)


async def _judge_message(
    policy: Policy,
    message: Message,
    request: HttpRequest,
    asker: Asker,
    deadline: float,
    sources: FactSources,
) -> Decision:
    try:
        kind = subject_kind(message.phase, message.method, message.payload)
        place = policy.servers.place(server_id=asker.server_id, host=request.host, kind=kind, subject=message.subject)
    except AmbiguousServerError:
        return refuse(policy, _operation(message, request, asker), "ambiguous_server")
    operation = _operation(message, request, asker, server=place.server, servers=place.servers, subject=place.subject)
    if asker.refusal is not None:
        return refuse(policy, operation, asker.refusal.code, details={"detail": str(asker.refusal)})
    return await decide(policy, operation, deadline=deadline, can_modify=asker.can_modify, sources=sources)


def _operation(message: Message, request: HttpRequest, asker: Asker, **place: object) -> Operation:
    fields: Mapping[str, object] = {"subject": message.subject, **place}
    return Operation(
        protocol=asker.protocol,
        direction=Direction.REQUEST,
        phase=message.phase,
        kind=message.kind,
        method=message.method,
        id=message.id,
        payload=message.payload,
        caller=asker.caller,
        headers=request.headers,
        revision=message.revision,
        http_method=request.method,
        path=request.path,
        host=request.host,
        **fields,  # type: ignore[arg-type]
    )


def _unread(refusal: Refusal, request: HttpRequest, asker: Asker) -> Operation:
    return _operation_of(request, asker, kind=refusal.kind or Kind.REQUEST, method=refusal.method, id=refusal.id)


def _operation_of(request: HttpRequest, asker: Asker, **known: Any) -> Operation:
    """The operation of a request as far as it is known without its messages."""
    return Operation(
        protocol=asker.protocol,
        direction=Direction.REQUEST,
        phase=Phase.OTHER,
        caller=asker.caller,
        headers=request.headers,
        http_method=request.method,
        path=request.path,
        host=request.host,
        **({"kind": Kind.REQUEST, "method": ""} | known),
    )
