"""Service: listeners, reload and shutdown of one process."""

from __future__ import annotations

import asyncio
import secrets
import signal
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection

import guardsvc
from guardsvc.gateways.ext_authz import ExtAuthz
from guardsvc.gateways.ext_mcp import ExtMcp
from guardsvc.gateways.ext_proc import ExtProc
from guardsvc.gateways.guard_service import GuardService
from guardsvc.gateways.guard_service.http import HttpGuardService
from guardsvc.gateways.seal import Seal
from guardsvc.guards.wasm import listen
from guardsvc.mcp.revisions import KNOWN_METHODS
from guardsvc.mcp.transport import TransportKind
from guardsvc.observe import Metrics, set_level, shows_debug
from guardsvc.observe.audit import AuditError
from guardsvc.server.audit import MIN_FLUSH_S, audit_of
from guardsvc.server.capture import capture_of, recorder_of
from guardsvc.server.evaluate_listener import EvaluateListener
from guardsvc.server.health import Health
from guardsvc.server.http import HttpListener
from guardsvc.server.listener import Listener, ListenError
from guardsvc.server.live_policy import LivePolicy
from guardsvc.server.load import Load
from guardsvc.server.pins_report import PinsReport
from guardsvc.server.wasm import WasmReport
from guardsvc.server.watch import watch, watch_files
from guardsvc.state import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path

    import grpc
    from aiohttp import web

    from guardsvc.observe.logs import LogLevel
    from guardsvc.server.configuration import Configuration
    from guardsvc.server.settings import SealSettings

__all__ = ["ListenError", "Listening", "Service"]

log = structlog.get_logger(__name__)

SERVICES = (ExtAuthz.SERVICE, ExtProc.SERVICE, ExtMcp.SERVICE, GuardService.SERVICE, HEALTH)
"""What each listener serves beside reflection."""


@dataclass(frozen=True)
class Listening:
    """Where a started service listens: ``host:port``, or ``unix:/path``.

    Attributes:
        grpc: the first of the gRPC listeners.
        metrics: the listener for metrics and probes, empty for a worker.
        listeners: every listener that gateways ask, by name.
    """

    grpc: str
    metrics: str
    listeners: Mapping[str, str]


class Service:
    """One guardsvc process.

    Args:
        configuration: what it runs.
        path: the file to watch, None where the configuration is built in.
        load: builds the configuration anew from its source.
        worker: its number where there are several; then the supervisor has the listener for metrics and probes.
    """

    def __init__(
        self,
        configuration: Configuration,
        path: Path | None,
        load: Callable[[], Configuration],
        *,
        worker: int | None = None,
    ) -> None:
        self._content = configuration.content
        self._settings = configuration.service
        self._path = path
        self._worker = worker
        self._metrics = Metrics(guardsvc.__version__)
        listen(WasmReport(self._metrics))
        self._audit = audit_of(self._settings.audit, self._metrics, worker or 0)
        self._capture = capture_of(self._settings.capture, self._metrics, worker or 0)
        self._load = Load(configuration, self._metrics, worker)
        self._policy = LivePolicy(configuration, load, self._metrics, adopted=self._load.adopt)
        evictions = self._metrics.session_evictions
        self._sources = Sources(session_evicted=lambda guard, bound: evictions.labels(guard, bound).inc())
        self._pins = PinsReport(self._policy, self._sources, self._metrics)
        self._ready = False
        self._ending = asyncio.Event()
        self._reloads: set[asyncio.Task[None]] = set()
        self._health = Health(SERVICES)
        self._http = HttpListener(self._settings.metrics.address, self._metrics, self._policy, lambda: self._ready)
        self._listeners = [
            EvaluateListener(name, settings, self._settings.shutdown_grace_s, self._metrics)
            if settings.serves == "http"
            else Listener(name, settings, self._settings.grpc, self._metrics)
            for name, settings in self._settings.listeners.items()
        ]

    async def start(self) -> Listening:
        """Listen and become ready.

        Raises:
            ListenError: an address is taken or cannot be bound, or a required audit cannot be written.
        """
        recorder = recorder_of(self._metrics, KNOWN_METHODS | set(TransportKind), self._audit, self._capture)
        seal = _seal(self._settings.seal)
        intake = self._load.intake

        def guard_service(listener: Listener | EvaluateListener) -> GuardService:
            teaches = listener.guard_service_teaches
            facts = self._sources.facts
            return GuardService(self._policy, recorder, facts, listener.believes, intake=intake, learns=teaches)

        def register(listener: Listener, server: grpc.aio.Server) -> None:
            sealed = (self._policy, seal, recorder, self._sources.facts, listener.believes)
            services = (
                ExtAuthz(*sealed, intake=intake),
                ExtProc(*sealed, intake=intake),
                ExtMcp(*sealed, intake=intake),
                guard_service(listener),
            )
            server.add_generic_rpc_handlers(tuple(service.handler() for service in services))
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
            reflection.enable_server_reflection((*SERVICES, reflection.SERVICE_NAME), server)

        def application(listener: EvaluateListener) -> web.Application:
            most = self._settings.grpc.max_message_bytes
            return HttpGuardService(guard_service(listener), most).application()

        try:
            bound = {
                listener.name: listener.bind(partial(register, listener))
                if isinstance(listener, Listener)
                else listener.bind(partial(application, listener))
                for listener in self._listeners
            }
            http_address = await self._start_http()
        except ListenError:
            await self._stop_listening(0)
            raise
        try:
            if self._audit is not None:
                self._audit.start()
        except AuditError as error:
            await self._stop_listening(0)
            await self._http.stop()
            raise ListenError(f"the audit is required, and {error}") from error
        if self._capture is not None:
            self._capture.start()
        self._load.start()
        self._pins.start()
        for listener in self._listeners:
            await listener.start()
        self._ready = True
        first = next(listener.name for listener in self._listeners if isinstance(listener, Listener))
        return Listening(grpc=bound[first], metrics=http_address, listeners=bound)

    @property
    def grace(self) -> float:
        """Seconds that decisions under way may take at the end."""
        return self._settings.shutdown_grace_s

    @property
    def delay(self) -> float:
        """Seconds before the grace in which calls are still taken."""
        return self._settings.shutdown_delay_s

    def end(self) -> None:
        """Let ``run`` end."""
        self._ending.set()

    def adopt(self, configuration: Configuration) -> None:
        """Put another configuration in force."""
        self._policy.adopt(configuration)

    def refresh_soon(self) -> None:
        """Look at the files of certificates."""
        for listener in self._listeners:
            self._keep(listener.refresh())

    def handle_signals(self) -> None:
        """From now on SIGTERM and SIGINT end the service, SIGHUP reloads, SIGUSR1 switches debug logs on and off."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        loop.add_signal_handler(signal.SIGUSR1, self._toggle_debug)

    async def run(self) -> None:
        """Serve until a signal ends the service; watch the configuration file, and what it names, meanwhile."""
        watching = []
        if self._path:
            watching = [
                asyncio.create_task(watch(self._path, self._content, self._policy.reload, self._ending)),
                asyncio.create_task(watch_files(lambda: self._policy().files, self._policy.reload, self._ending)),
            ]
        await self._ending.wait()
        await self.stop()
        await asyncio.gather(*watching)

    async def stop(self) -> None:
        """Say so, and after the delay stop taking decisions, finish those under way within the grace, close."""
        log.info("stopping", delay_s=self.delay, grace_s=self.grace)
        self._ready = False
        self._health.end()
        await asyncio.sleep(self.delay)
        over = asyncio.get_running_loop().time() + self.grace
        await self._stop_listening(self.grace)
        self._metrics.tally.pour()
        self._pins.stop()
        await self._load.stop()
        if self._audit is not None:
            left = over - asyncio.get_running_loop().time()
            await asyncio.to_thread(self._audit.stop, max(left, MIN_FLUSH_S))
        if self._capture is not None:
            await asyncio.to_thread(self._capture.stop, MIN_FLUSH_S)
        if self._worker is None:
            await self._http.stop()
        await self._sources.close()
        log.info("stopped")

    async def _stop_listening(self, grace: float) -> None:
        await asyncio.gather(*(listener.stop(grace) for listener in self._listeners))

    async def _start_http(self) -> str:
        if self._worker is not None:
            return ""
        try:
            return await self._http.start()
        except OSError as error:
            address = self._settings.metrics.address
            raise ListenError(f"metrics cannot listen on {address}: {error.strerror}") from error

    def _reload_soon(self) -> None:
        self._keep(self._policy.reload())
        self.refresh_soon()

    def _keep(self, reload: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(reload)
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    def _toggle_debug(self) -> None:
        level: LogLevel = self._policy.log_level if shows_debug() else "debug"
        set_level(level)
        log.warning("log_level", shown=level)


def _seal(settings: SealSettings) -> Seal:
    keys = tuple(key.reveal().encode() for key in settings.keys)
    return Seal(keys or (secrets.token_bytes(32),), lifetime=settings.lifetime_s)
