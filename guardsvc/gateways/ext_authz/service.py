"""The gRPC side of ext_authz: raw bytes in, raw bytes out, every fault an error status."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from guardsvc.gateways.exchange import judge
from guardsvc.gateways.ext_authz.request import asker_of, http_request_of
from guardsvc.gateways.ext_authz.response import encode
from guardsvc.gateways.peers import is_trusted

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.engine import FactSources
    from guardsvc.gateways.seal import Seal
    from guardsvc.observe import Recorder
    from guardsvc.policy import Policy

__all__ = ["ExtAuthz"]

log = structlog.get_logger(__name__)


class ExtAuthz:
    """Answers Check.

    Args:
        policy: gives the policy in force; asked once per Check.
        seal: makes correlation tokens.
        recorder: is told of every decision once the answer is built.
        sources: where facts come from.
    """

    SERVICE = "envoy.service.auth.v3.Authorization"

    def __init__(self, policy: Callable[[], Policy], seal: Seal, recorder: Recorder, sources: FactSources) -> None:
        self._policy = policy
        self._seal = seal
        self._recorder = recorder
        self._sources = sources

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to add to a ``grpc.aio`` server."""
        handlers = {"Check": grpc.unary_unary_rpc_method_handler(self.check)}
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(self.SERVICE, handlers)
        return handler

    async def check(self, data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        """Decide about one HTTP request.

        Args:
            data: a serialised ``CheckRequest``.
            context: of the call; its deadline bounds the decision.

        Returns:
            A serialised ``CheckResponse``.

        Raises:
            grpc.aio.AbortError: INVALID_ARGUMENT where the bytes are no CheckRequest, INTERNAL where
                guardsvc itself fails. The gateway then fails as it is configured to.
        """
        arrived = perf_counter()
        try:
            attributes = CheckRequest.FromString(data).attributes
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a CheckRequest")
        policy = self._policy()
        with self._recorder.inflight():
            try:
                request = http_request_of(attributes)
                exchange = await judge(
                    policy,
                    request,
                    asker_of(attributes, trusted=is_trusted(context.peer())),
                    deadline=arrived + _budget(policy, context.time_remaining()),
                    sources=self._sources,
                )
                answer = encode(
                    exchange,
                    denial_status=policy.settings.denials.status,
                    accept=request.headers.get("accept"),
                    seal=self._seal,
                ).SerializeToString()
            except Exception:
                log.exception("check_failed")
                self._recorder.fault(self.SERVICE)
                await context.abort(grpc.StatusCode.INTERNAL, "the check failed")
        for decision in exchange.decisions:
            self._recorder.record(decision)
        return answer


def _budget(policy: Policy, remaining: float | None) -> float:
    """Seconds for the decision: the gateway's deadline less the reserve, or the policy's own where it sets none."""
    if remaining is None:
        return policy.deadline
    return max(remaining - policy.reserve, 0.0)
