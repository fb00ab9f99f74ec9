"""Health: ``grpc.health.v1`` for every service of the process, until it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Health"]


class Health(HealthServicer):
    """Says SERVING until ``end``, then NOT_SERVING.

    The servicer of grpcio-health-checking never ends a Watch, so that one watching client would hold
    up the end of the process for the whole grace. This one says NOT_SERVING and closes the stream.

    Args:
        services: names of the services beside the empty name, which stands for all.
    """

    def __init__(self, services: Collection[str]) -> None:
        self._services = frozenset({"", *services})
        self._ended = asyncio.Event()

    def end(self) -> None:
        """From now on nothing is served."""
        self._ended.set()

    async def Check(  # noqa: N802  named by the contract
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> HealthCheckResponse:
        """The status of a service; NOT_FOUND for one that is not there."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return HealthCheckResponse(status=self._status(request))

    async def Watch(  # noqa: N802  named by the contract
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """The status of a service now and once more at the end."""
        first = self._status(request)
        await context.write(HealthCheckResponse(status=first))
        await self._ended.wait()
        if first != (last := self._status(request)):
            await context.write(HealthCheckResponse(status=last))

    def _status(self, request: HealthCheckRequest) -> HealthCheckResponse.ServingStatus:
        if request.service not in self._services:
            return HealthCheckResponse.SERVICE_UNKNOWN
        return HealthCheckResponse.NOT_SERVING if self._ended.is_set() else HealthCheckResponse.SERVING
