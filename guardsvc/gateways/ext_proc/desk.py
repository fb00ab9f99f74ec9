"""Desk: has requests and messages of one stream judged, recorded, and refused where nobody can judge them."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from guardsvc.gateways.admission import OverloadedError
from guardsvc.gateways.denial import Denial, deny
from guardsvc.gateways.exchange import Asker, Exchange, refuse_unread
from guardsvc.gateways.ext_proc.modified import is_sendable
from guardsvc.gateways.holding import deciding
from guardsvc.gateways.keep import keep
from guardsvc.gateways.server_message import Origin, ServerMessage, answers, refuse_unread_message
from guardsvc.model import GatewayProtocol, Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from guardsvc.engine import FactSources
    from guardsvc.gateways.entrance import Intake
    from guardsvc.gateways.seal import Seal
    from guardsvc.mcp import HttpRequest
    from guardsvc.model import Caller, Decision
    from guardsvc.observe import Recorder
    from guardsvc.policy import Policy

__all__ = ["Desk", "deny_message"]


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What all streams of the service share.

    Attributes:
        policy: gives the policy in force; asked for each request and each message.
        seal: opens correlation tokens.
        recorder: is told of every decision.
        sources: where facts come from.
        intake: judges, and counts what is under way.
    """

    policy: Callable[[], Policy]
    seal: Seal
    recorder: Recorder
    sources: FactSources
    intake: Intake

    async def judge_request(self, policy: Policy, request: HttpRequest, asker: Asker) -> Exchange:
        """Decide about a request.

        Args:
            policy: in force.
            request: which has come whole, or as far as it may.
            asker: for whom.
        """
        deadline = perf_counter() + policy.deadline

        def judge() -> Awaitable[Exchange]:
            return self.intake.judging.request(policy, request, asker, deadline=deadline, sources=self.sources)

        exchange = await self._judge(judge, lambda code: refuse_unread(policy, request, asker, code))
        if exchange.refusal is None and not is_sendable(exchange):
            exchange = refuse_unread(policy, request, asker, "modification_unsupported")
        return await self._keep(exchange, policy, len(request.body), deadline)

    async def refuse_request(self, policy: Policy, request: HttpRequest, asker: Asker, code: str) -> Exchange:
        """A denial of a request that nobody has read, or not to the end."""
        exchange = refuse_unread(policy, request, asker, code)
        return await self._keep(exchange, policy, len(request.body), perf_counter() + policy.deadline)

    async def judge_message(
        self, policy: Policy, message: ServerMessage, caller: Caller, *, learns: bool, deadline: float
    ) -> Exchange:
        """Decide about a message of a server.

        Args:
            policy: in force.
            message: the message.
            caller: of the request it answers.
            learns: whether catalogs may be learned from it.
            deadline: when the decision must stand, on the clock of ``time.perf_counter``.
        """
        asker = Asker(protocol=GatewayProtocol.EXT_PROC, caller=caller, can_modify=True, learnable=learns)

        def judge() -> Awaitable[Exchange]:
            return self.intake.judging.message(policy, message, asker, deadline=deadline, sources=self.sources)

        exchange = await self._judge(judge, lambda code: refuse_unread_message(policy, message, asker, code))
        if message.origin is not None and any(_is_other(message.origin, each) for each in exchange.decisions):
            self.recorder.uncorrelated("other_request")
        return await self._keep(exchange, policy, len(message.body), deadline)

    async def refuse_message(self, policy: Policy, message: ServerMessage, caller: Caller, code: str) -> Exchange:
        """A denial of a message that nobody has read, or not to the end."""
        asker = Asker(protocol=GatewayProtocol.EXT_PROC, caller=caller)
        exchange = refuse_unread_message(policy, message, asker, code)
        return await self._keep(exchange, policy, len(message.body), perf_counter() + policy.deadline)

    async def _judge(self, judge: Callable[[], Awaitable[Exchange]], refused: Callable[[str], Exchange]) -> Exchange:
        with self.recorder.inflight():
            try:
                with deciding(self.intake.admission):
                    return await judge()
            except OverloadedError as error:
                self.intake.admission.tell(error.limit)
                return refused("overloaded")

    async def _keep(self, exchange: Exchange, policy: Policy, size: int, deadline: float) -> Exchange:
        kept = await keep(exchange, self.recorder, policy, size=size, deadline=deadline)
        for decision in kept.decisions:
            self.recorder.record(decision)
        return kept


def deny_message(exchange: Exchange, policy: Policy, origin: Origin | None) -> Denial:
    """How a refused message is told to the client, which waits for the answer to its request.

    Args:
        exchange: with a refusal.
        policy: that refused.
        origin: the request, where it is known.
    """
    single = None if origin is None else origin.id
    told = msgspec.structs.replace(
        exchange,
        batch=exchange.batch and single is None,
        decisions=tuple(_as_request(decision, single) for decision in exchange.decisions),
    )
    settings = policy.settings
    return deny(told, status=settings.denials.status, accept=None, challenge=settings.identity.challenge)


def _as_request(decision: Decision, request_id: str | int | None) -> Decision:
    """The decision as if it were about the request that the message answers."""
    operation = decision.operation
    if request_id is None and operation.kind in (Kind.RESULT, Kind.ERROR):
        request_id = operation.id
    kind = Kind.NOTIFICATION if request_id is None else Kind.REQUEST
    return msgspec.structs.replace(decision, operation=msgspec.structs.replace(operation, kind=kind, id=request_id))


def _is_other(origin: Origin, decision: Decision) -> bool:
    operation = decision.operation
    return (
        operation.kind is Kind.RESULT
        and not origin.method.startswith("http/")
        and operation.id is not None
        and not answers(origin, operation.id)
    )
