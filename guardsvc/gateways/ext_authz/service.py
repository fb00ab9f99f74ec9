"""The gRPC side of ext_authz: raw bytes in, raw bytes out, every fault an error status."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from guardsvc.gateways.call import CallService
from guardsvc.gateways.entrance import Entrance, Intake
from guardsvc.gateways.ext_authz.request import asker_of, http_request_of
from guardsvc.gateways.ext_authz.response import encode
from guardsvc.gateways.keep import keep
from guardsvc.gateways.peers import Believes, local
from guardsvc.model import Direction, GatewayProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.engine import FactSources
    from guardsvc.gateways.admission import Shed
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.gateways.seal import Seal
    from guardsvc.model import Decision
    from guardsvc.observe import Recorder
    from guardsvc.policy import Policy

__all__ = ["ExtAuthz"]


class ExtAuthz(CallService):
    """Answers Check.

    Args:
        policy: gives the policy in force; asked once per Check.
        seal: makes correlation tokens.
        recorder: is told of every decision once the answer is built.
        sources: where facts come from.
        believes: whether a peer is believed when it names a caller.
        intake: what it shares of the load with other services; one of its own, without bounds, by default.
    """

    SERVICE = "envoy.service.auth.v3.Authorization"
    PROTOCOL = GatewayProtocol.EXT_AUTHZ

    def __init__(
        self,
        policy: Callable[[], Policy],
        seal: Seal,
        recorder: Recorder,
        sources: FactSources,
        believes: Believes = local,
        *,
        intake: Intake | None = None,
    ) -> None:
        super().__init__(policy, recorder, sources, believes, intake)
        self._judge = self._intake.judging.request
        self._seal = seal

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to add to a ``grpc.aio`` server."""
        return Entrance(self.SERVICE, {"Check": (self.check, self.shed)}, self._intake)

    async def shed(self, context: Any, limit: Shed) -> bytes:
        """Answer a Check that there is no room for."""
        return self._refuse_unread(
            context, limit, lambda policy, exchange: self._write(exchange, policy, accept=None), Direction.REQUEST
        )

    async def check(self, data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        """Decide about one HTTP request.

        Args:
            data: a serialised ``CheckRequest``.
            context: of the call; its deadline bounds the decision.

        Returns:
            A serialised ``CheckResponse``.

        Raises:
            OverloadedError: a large body, and there is no room for it.
            grpc.aio.AbortError: INVALID_ARGUMENT where the bytes are no CheckRequest, INTERNAL where
                guardsvc itself fails. The gateway then fails as it is configured to.
        """
        arrived = perf_counter()
        try:
            attributes = CheckRequest.FromString(data).attributes
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a CheckRequest")

        believed, peer = self._believes(context), context.peer()

        async def work(policy: Policy, deadline: float) -> tuple[bytes, tuple[Decision, ...]]:
            request = http_request_of(attributes)
            exchange = await self._judge(
                policy,
                request,
                asker_of(attributes, request.headers, policy.identity, peer=peer, believed=believed),
                deadline=deadline,
                sources=self._sources,
            )
            # Written before it is kept: an answer that cannot be must leave no record of what was not told.
            accept = request.headers.get("accept")
            answer = self._write(exchange, policy, accept)
            size = len(request.body)
            kept = await keep(exchange, self._recorder, policy, size=size, weight=len(data), deadline=deadline)
            if kept is not exchange:
                answer = self._write(kept, policy, accept)
            return answer, kept.decisions

        return await self._answer_call(context, work, arrived=arrived)

    def _write(self, exchange: Exchange, policy: Policy, accept: str | None) -> bytes:
        return encode(
            exchange,
            denial_status=policy.settings.denials.status,
            accept=accept,
            seal=self._seal,
            challenge=policy.settings.identity.challenge,
        )
