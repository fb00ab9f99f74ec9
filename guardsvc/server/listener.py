"""Listener: one gRPC server with its address, its TLS and its rule for whom to believe."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import structlog

from guardsvc.gateways.peers import Believes, Certified, anyone, local, nobody
from guardsvc.server.address import UNIX
from guardsvc.server.tls import Certificates, TlsError
from guardsvc.server.unix_socket import SocketError, UnixSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.observe import Metrics
    from guardsvc.server.listener_settings import ListenerSettings
    from guardsvc.server.settings import GrpcSettings

__all__ = ["ListenError", "Listener"]

log = structlog.get_logger(__name__)

KEEPALIVE_TIMEOUT_S = 20.0
MIN_PING_INTERVAL_S = 5.0
MAX_PENDING = 16_384
LOOKAHEAD_BYTES = 65_535
"""The window of a stream at first, the least that HTTP/2 has (RFC 9113 section 6.9.2)."""


class ListenError(Exception):
    """An address cannot be bound, or what a listener needs cannot be used."""


class Listener:
    """A server of its own for each listener, so that whom to believe is known before a call is read.

    Args:
        name: of the listener in the configuration.
        settings: its own.
        common: what all have in common.
        metrics: are told of certificates that cannot be used.
    """

    def __init__(self, name: str, settings: ListenerSettings, common: GrpcSettings, metrics: Metrics) -> None:
        self.name = name
        self._settings = settings
        self._metrics = metrics
        self._server = grpc.aio.server(options=_options(common))
        self._socket = None if settings.path is None else UnixSocket(settings.path, settings.socket)
        self._certificates: Certificates | None = None
        self._following: asyncio.Task[None] | None = None
        self._fault: str | None = None
        self._believes = self._rule()
        self._unbelieved = False
        metrics.unbelieved.labels(name)
        if settings.tls is not None:
            metrics.tls_stale.labels(name).set(0)

    def believes(self, context: grpc.aio.ServicerContext[Any, Any]) -> bool:
        """Whether the peer of a call is believed when it names a caller; who is not is counted."""
        if self._believes(context):
            return True
        if not self._unbelieved:
            log.warning("peer_not_believed", listener=self.name, peer=context.peer())
            self._unbelieved = True
        self._metrics.unbelieved.labels(self.name).inc()
        return False

    @property
    def guard_service_teaches(self) -> bool:
        """See ``TrustSettings``."""
        return self._settings.trust.guard_service_teaches

    def _rule(self) -> Believes:
        match self._settings.believed:
            case "local":
                return local
            case "certificate":
                return Certified(self._settings.trust.uris, self._settings.trust.dns_names)
            case "any":
                return anyone
            case "none":
                return nobody

    def bind(self, register: Callable[[grpc.aio.Server], None]) -> str:
        """Take the address, without serving yet.

        Args:
            register: adds the services to the server.

        Returns:
            The address, with the port that was taken.

        Raises:
            ListenError: the address is taken or cannot be bound, or the files of the listener cannot be used.
        """
        register(self._server)
        address = self._settings.address
        try:
            if self._settings.tls is not None:
                self._certificates = Certificates(self._settings.tls)
                port = self._server.add_secure_port(address, self._certificates.credentials())
            elif self._socket is not None:
                self._socket.make(lambda path: self._server.add_insecure_port(f"{UNIX}{path}"))
                return address
            else:
                port = self._server.add_insecure_port(address)
        except TlsError as error:
            raise ListenError(f"listener {self.name}: TLS: {error}") from error
        except SocketError as error:
            raise ListenError(f"listener {self.name}: {error}") from error
        except RuntimeError as error:
            raise ListenError(f"gRPC cannot listen on {address}; is another process there?") from error
        return f"{address.rpartition(':')[0]}:{port}"

    async def start(self) -> None:
        """Serve."""
        await self._server.start()
        if self._certificates is not None and self._settings.tls is not None:
            self._following = asyncio.create_task(self._follow(self._settings.tls.reload_interval_s))

    async def stop(self, grace: float) -> None:
        """Take no more calls, finish those under way within ``grace`` seconds, and be gone."""
        if self._following is not None:
            self._following.cancel()
        await self._server.stop(grace)
        if self._socket is not None:
            self._socket.remove()

    async def refresh(self) -> None:
        """Look at the files of the certificate; what cannot be used is said once and changes nothing."""
        if self._certificates is None:
            return
        try:
            changed = await asyncio.to_thread(self._certificates.refresh)
        except Exception as error:
            told = str(error) if isinstance(error, TlsError) else f"{type(error).__name__}: {error}"
            if told != self._fault:
                self._fault = told
                self._metrics.tls_stale.labels(self.name).set(1)
                self._metrics.tls_reloads.labels(self.name, "failed").inc()
                log.error(  # noqa: TRY400  the problem says it all
                    "certificate_reload_failed", listener=self.name, problem=self._fault
                )
            return
        if self._fault is not None:
            self._fault = None
            self._metrics.tls_stale.labels(self.name).set(0)
        if changed:
            self._metrics.tls_reloads.labels(self.name, "loaded").inc()
            log.info("certificate_loaded", listener=self.name)

    async def _follow(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self.refresh()


def _options(common: GrpcSettings) -> list[tuple[str, int]]:
    """The options of grpc; it gives ages of connections a tenth of jitter by itself."""
    options = {
        "grpc.max_receive_message_length": common.max_message_bytes,
        "grpc.max_concurrent_streams": common.max_concurrent_streams,
        # Calls that grpc holds for us; those beyond it ends itself, without an answer that says why.
        "grpc.server.max_pending_requests": MAX_PENDING,
        "grpc.server.max_pending_requests_hard_limit": MAX_PENDING,
        # What comes of a message before it is asked for is held to the first window of its stream.
        "grpc.http2.bdp_probe": 0,
        "grpc.http2.lookahead_bytes": LOOKAHEAD_BYTES,
        "grpc.so_reuseport": 0,
        "grpc.keepalive_time_ms": _ms(common.keepalive_s),
        "grpc.keepalive_timeout_ms": _ms(KEEPALIVE_TIMEOUT_S),
        # A gateway that asks whether guardsvc is there, also between calls, is not an attacker.
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.min_ping_interval_without_data_ms": _ms(MIN_PING_INTERVAL_S),
    }
    if common.max_connection_age_s is not None:
        options["grpc.max_connection_age_ms"] = _ms(common.max_connection_age_s)
        if common.max_connection_age_grace_s is not None:
            options["grpc.max_connection_age_grace_ms"] = _ms(common.max_connection_age_grace_s)
    return list(options.items())


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
