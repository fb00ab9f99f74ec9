"""The gRPC side of ExtMcp: raw bytes in, raw bytes out, every fault an error status."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from guardsvc._proto.agentgateway.dev.ext_mcp.ext_mcp_pb2 import McpRequest, McpResponse
from guardsvc.gateways.call import CallService
from guardsvc.gateways.entrance import Entrance, Intake
from guardsvc.gateways.ext_mcp.answers import answer_request, answer_response, checked
from guardsvc.gateways.ext_mcp.correlation import Correlated, correlate
from guardsvc.gateways.ext_mcp.request import MODIFIABLE, asker_of, statement_of
from guardsvc.gateways.keep import keep
from guardsvc.gateways.peers import Believes, local
from guardsvc.gateways.server_message import ServerMessage, refuse_unread_message
from guardsvc.gateways.statement import StatementError
from guardsvc.model import Direction, GatewayProtocol, Headers
from guardsvc.policy import AmbiguousServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.engine import FactSources
    from guardsvc.gateways.admission import Shed
    from guardsvc.gateways.exchange import Asker, Exchange
    from guardsvc.gateways.seal import Seal
    from guardsvc.model import Decision
    from guardsvc.observe import Recorder
    from guardsvc.policy import Policy

__all__ = ["ExtMcp"]

Context = Any
"""``grpc.aio.ServicerContext``, which is generic only to type checkers."""
Answered = tuple[bytes, tuple["Decision", ...]]


class ExtMcp(CallService):
    """Answers CheckRequest and CheckResponse.

    Args:
        policy: gives the policy in force; asked once per call.
        seal: makes and opens correlation tokens.
        recorder: is told of every decision once the answer is built.
        sources: where facts come from.
        believes: whether a peer is believed when it names a caller or servers, or hands on a decision.
        intake: what it shares of the load with other services; one of its own, without bounds, by default.
        learns: whether catalogs may be learned from what believed peers show.
    """

    SERVICE = "agentgateway.dev.ext_mcp.ExtMcp"
    PROTOCOL = GatewayProtocol.EXT_MCP

    def __init__(
        self,
        policy: Callable[[], Policy],
        seal: Seal,
        recorder: Recorder,
        sources: FactSources,
        believes: Believes = local,
        *,
        intake: Intake | None = None,
        learns: bool = True,
    ) -> None:
        super().__init__(policy, recorder, sources, believes, intake)
        self._seal = seal
        self._learns = learns

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to add to a ``grpc.aio`` server."""
        methods = {
            "CheckRequest": (self.check_request, self.shed_request),
            "CheckResponse": (self.check_response, self.shed_response),
        }
        return Entrance(self.SERVICE, methods, self._intake)

    async def shed_request(self, context: Context, limit: Shed) -> bytes:
        """Answer a CheckRequest that there is no room for."""
        return self._refuse_unread(
            context, limit, lambda _, exchange: answer_request(exchange, self._seal), Direction.REQUEST
        )

    async def shed_response(self, context: Context, limit: Shed) -> bytes:
        """Answer a CheckResponse that there is no room for; nobody else would judge it."""
        return self._refuse_unread(context, limit, lambda _, exchange: answer_response(exchange), Direction.RESPONSE)

    async def check_request(self, data: bytes, context: Context) -> bytes:
        """Decide about one request before it goes to its servers.

        Args:
            data: a serialised ``McpRequest``.
            context: of the call; its deadline, or the policy's own, bounds the decision.

        Returns:
            A serialised ``McpRequestResult``.

        Raises:
            OverloadedError: a large body, and there is no room for it.
            grpc.aio.AbortError: INVALID_ARGUMENT where the bytes are no such message, INTERNAL where guardsvc
                itself fails. The gateway then fails as it is configured to.
        """
        arrived = perf_counter()
        believed, peer = self._believes(context), context.peer()
        try:
            request = McpRequest.FromString(data)
            statement = statement_of(request, believed=believed)
        except (DecodeError, StatementError) as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not an McpRequest: {error}"[:200])

        async def work(policy: Policy, deadline: float) -> Answered:
            asker = asker_of(
                request.metadata_context,
                statement.headers,
                policy.identity,
                peer=peer,
                believed=believed,
                can_modify=request.HasField("mcp_request") and request.method in MODIFIABLE,
            )
            judge = self._intake.judging.statement
            exchange = await judge(policy, statement, asker, deadline=deadline, sources=self._sources)
            exchange = checked(exchange, request.method)
            return await self._keep(
                exchange, policy, len(statement.payload), deadline, lambda made: answer_request(made, self._seal)
            )

        return await self._answer_call(context, work, arrived=arrived)

    async def check_response(self, data: bytes, context: Context) -> bytes:
        """Decide about a result before it goes to the client.

        Args:
            data: a serialised ``McpResponse``.
            context: of the call; its deadline, or the policy's own for responses, bounds the decision.

        Returns:
            A serialised ``McpResponseResult``.

        Raises:
            OverloadedError: as for requests.
            grpc.aio.AbortError: as for requests.
        """
        arrived = perf_counter()
        believed, peer = self._believes(context), context.peer()
        try:
            response = McpResponse.FromString(data)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not an McpResponse")

        async def work(policy: Policy, deadline: float) -> Answered:
            asker = asker_of(
                response.metadata_context,
                Headers(),
                policy.identity,
                peer=peer,
                believed=believed,
                can_modify=True,
                learnable=believed and self._learns,
            )
            exchange = await self._judge_response(policy, response, asker, deadline, believed=believed)
            size = len(response.mcp_response)
            return await self._keep(checked(exchange, response.method), policy, size, deadline, answer_response)

        return await self._answer_call(context, work, arrived=arrived, direction=Direction.RESPONSE)

    async def _judge_response(
        self, policy: Policy, response: McpResponse, asker: Asker, deadline: float, *, believed: bool
    ) -> Exchange:
        message = ServerMessage(body=response.mcp_response, result_only=True)
        names = tuple(response.service_names) if believed else ()
        try:
            servers = policy.servers.place_among(names, kind=None, subject=None).servers if names else ()
        except AmbiguousServerError:
            return refuse_unread_message(policy, message, asker, "ambiguous_server")
        found = (
            correlate(response.metadata_context, self._seal, method=response.method, servers=servers)
            if believed
            else Correlated(stray="missing")
        )
        if found.stray is not None:
            self._recorder.uncorrelated(found.stray)
            if asker.refusal is not None:
                return refuse_unread_message(policy, message, asker, asker.refusal.code)
        message, asker = found.applied(message, asker)
        judge = self._intake.judging.message
        return await judge(policy, message, asker, deadline=deadline, sources=self._sources)

    async def _keep(
        self,
        exchange: Exchange,
        policy: Policy,
        size: int,
        deadline: float,
        write: Callable[[Exchange], bytes],
    ) -> Answered:
        """Write the answer before it is kept: one that cannot be must leave no record of what was not told."""
        answer = write(exchange)
        kept = await keep(exchange, self._recorder, policy, size=size, deadline=deadline)
        return (answer if kept is exchange else write(kept)), kept.decisions
