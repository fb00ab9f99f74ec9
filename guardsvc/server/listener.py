"""Listener: one gRPC server with its address, its TLS and its rule for whom to believe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from guardsvc.server.address import UNIX
from guardsvc.server.certificate_watch import CertificateWatch
from guardsvc.server.peer_trust import PeerTrust
from guardsvc.server.tls import Certificates, TlsError
from guardsvc.server.unix_socket import SocketError, UnixSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.observe import Metrics
    from guardsvc.server.listener_settings import ListenerSettings
    from guardsvc.server.settings import GrpcSettings

__all__ = ["ListenError", "Listener"]

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
        self._watch: CertificateWatch | None = None
        self._trust = PeerTrust(name, settings, metrics)

    def believes(self, context: grpc.aio.ServicerContext[Any, Any]) -> bool:
        """See ``PeerTrust``."""
        return self._trust.believes(context)

    @property
    def guard_service_teaches(self) -> bool:
        """See ``TrustSettings``."""
        return self._settings.trust.guard_service_teaches

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
                certificates = Certificates(self._settings.tls)
                self._watch = CertificateWatch(self.name, certificates, self._settings.tls, self._metrics)
                port = self._server.add_secure_port(address, certificates.credentials())
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
        if self._watch is not None:
            self._watch.start()

    async def stop(self, grace: float) -> None:
        """Take no more calls, finish those under way within ``grace`` seconds, and be gone."""
        if self._watch is not None:
            self._watch.stop()
        await self._server.stop(grace)
        if self._socket is not None:
            self._socket.remove()

    async def refresh(self) -> None:
        """Look at the files of the certificate."""
        if self._watch is not None:
            await self._watch.refresh()


def _options(common: GrpcSettings) -> list[tuple[str, int]]:
    """The options of grpc; it gives ages of connections a tenth of jitter by itself."""
    options = {
        "grpc.max_receive_message_length": common.max_message_bytes,
        "grpc.max_allowed_incoming_connections": common.max_connections,
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
