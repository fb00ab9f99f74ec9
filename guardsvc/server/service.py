"""Service: listeners, reload and shutdown of one process."""

from __future__ import annotations

import asyncio
import secrets
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection

import guardsvc
from guardsvc.gateways.ext_authz import ExtAuthz
from guardsvc.gateways.seal import Seal
from guardsvc.mcp.revisions import KNOWN_METHODS
from guardsvc.mcp.transport import TransportKind
from guardsvc.observe import Metrics, Recorder, set_level, shows_debug
from guardsvc.server.health import Health
from guardsvc.server.http import HttpListener
from guardsvc.server.live_policy import LivePolicy
from guardsvc.server.watch import watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from guardsvc.observe.logs import LogLevel
    from guardsvc.server.configuration import Configuration
    from guardsvc.server.settings import SealSettings

__all__ = ["ListenError", "Listening", "Service"]

log = structlog.get_logger(__name__)


class ListenError(Exception):
    """An address cannot be bound."""


@dataclass(frozen=True)
class Listening:
    """Where a started service listens, ``host:port`` each."""

    grpc: str
    metrics: str


class Service:
    """One guardsvc process.

    Args:
        configuration: what it runs.
        path: the file to watch, None where the configuration is built in.
        load: builds the configuration anew from its source.
    """

    def __init__(self, configuration: Configuration, path: Path | None, load: Callable[[], Configuration]) -> None:
        self._content = configuration.content
        self._settings = configuration.service
        self._path = path
        self._metrics = Metrics(guardsvc.__version__)
        self._policy = LivePolicy(configuration, load, self._metrics)
        self._ready = False
        self._ending = asyncio.Event()
        self._reloads: set[asyncio.Task[None]] = set()
        self._health = Health((ExtAuthz.SERVICE, HEALTH))
        self._http = HttpListener(self._settings.metrics.address, self._metrics, self._policy, lambda: self._ready)
        self._grpc = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", self._settings.grpc.max_message_bytes),
                ("grpc.so_reuseport", 0),
            ]
        )

    async def start(self) -> Listening:
        """Listen and become ready.

        Raises:
            ListenError: an address is taken or cannot be bound.
        """
        recorder = Recorder(self._metrics, KNOWN_METHODS | set(TransportKind))
        ext_authz = ExtAuthz(self._policy, _seal(self._settings.seal), recorder, {})
        services = (ExtAuthz.SERVICE, HEALTH)
        self._grpc.add_generic_rpc_handlers((ext_authz.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        reflection.enable_server_reflection((*services, reflection.SERVICE_NAME), self._grpc)
        address = self._settings.grpc.address
        try:
            port = self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise ListenError(f"gRPC cannot listen on {address}; is another process there?") from error
        try:
            http_address = await self._http.start()
        except OSError as error:
            raise ListenError(f"metrics cannot listen on {self._settings.metrics.address}: {error.strerror}") from error
        await self._grpc.start()
        self._ready = True
        host = address.rpartition(":")[0]
        return Listening(grpc=f"{host}:{port}", metrics=http_address)

    def handle_signals(self) -> None:
        """From now on SIGTERM and SIGINT end the service, SIGHUP reloads, SIGUSR1 switches debug logs on and off."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        loop.add_signal_handler(signal.SIGUSR1, self._toggle_debug)

    async def run(self) -> None:
        """Serve until a signal ends the service; watch the configuration file meanwhile."""
        watching = (
            asyncio.create_task(watch(self._path, self._content, self._policy.reload, self._ending))
            if self._path
            else None
        )
        await self._ending.wait()
        await self.stop()
        if watching is not None:
            await watching

    async def stop(self) -> None:
        """Stop taking decisions, finish those under way within the grace, close."""
        self._ready = False
        self._health.end()
        await self._grpc.stop(self._settings.shutdown_grace_s)
        await self._http.stop()
        log.info("stopped")

    def _reload_soon(self) -> None:
        task = asyncio.create_task(self._policy.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    def _toggle_debug(self) -> None:
        level: LogLevel = self._policy.log_level if shows_debug() else "debug"
        set_level(level)
        log.warning("log_level", shown=level)


def _seal(settings: SealSettings) -> Seal:
    keys = tuple(key.reveal().encode() for key in settings.keys)
    return Seal(keys or (secrets.token_bytes(32),), lifetime=settings.lifetime_s)
