"""Evaluate listener: the HTTP server for ``POST /v1/security/evaluate``, with address, TLS and trust of a listener."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from aiohttp import web

from guardsvc.server.address import host_and_port
from guardsvc.server.certificate_watch import CertificateWatch
from guardsvc.server.listener import ListenError
from guardsvc.server.peer_trust import PeerTrust
from guardsvc.server.tls import Certificates, TlsError
from guardsvc.server.unix_socket import SocketError, UnixSocket

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from guardsvc.observe import Metrics
    from guardsvc.server.listener_settings import ListenerSettings

__all__ = ["EvaluateListener"]

BACKLOG = 128


class EvaluateListener:
    """An HTTP server of its own, as ``Listener`` is one of gRPC.

    Args:
        name: of the listener in the configuration.
        settings: its own.
        grace: seconds that calls under way may take at the end.
        metrics: are told of peers that are not believed, and of certificates that cannot be used.
    """

    def __init__(self, name: str, settings: ListenerSettings, grace: float, metrics: Metrics) -> None:
        self.name = name
        self._settings = settings
        self._grace = grace
        self._metrics = metrics
        self._trust = PeerTrust(name, settings, metrics)
        self._unix = None if settings.path is None else UnixSocket(settings.path, settings.socket)
        self._socket: socket.socket | None = None
        self._tls: ssl.SSLContext | None = None
        self._watch: CertificateWatch | None = None
        self._runner: web.AppRunner | None = None

    def believes(self, context: Any) -> bool:
        """See ``PeerTrust``."""
        return self._trust.believes(context)

    @property
    def guard_service_teaches(self) -> bool:
        """See ``TrustSettings``."""
        return self._settings.trust.guard_service_teaches

    def bind(self, application: Callable[[], web.Application]) -> str:
        """Take the address, without serving yet.

        Args:
            application: makes what is served.

        Returns:
            The address, with the port that was taken.

        Raises:
            ListenError: the address is taken or cannot be bound, or the files of the listener cannot be used.
        """
        self._runner = web.AppRunner(
            application(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=self._grace,
            # What is compressed is refused, and not inflated before it is.
            auto_decompress=False,
        )
        address = self._settings.address
        try:
            if self._settings.tls is not None:
                certificates = Certificates(self._settings.tls)
                self._tls = certificates.context()
                self._watch = CertificateWatch(self.name, certificates, self._settings.tls, self._metrics)
            if self._unix is not None:
                self._unix.make(self._bind_path)
                return address
            host, port = host_and_port(address)
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except TlsError as error:
            raise ListenError(f"listener {self.name}: TLS: {error}") from error
        except SocketError as error:
            raise ListenError(f"listener {self.name}: {error}") from error
        except OSError as error:
            raise ListenError(f"listener {self.name} cannot listen on {address}: {error.strerror}") from error
        return f"{address.rpartition(':')[0]}:{self._socket.getsockname()[1]}"

    async def start(self) -> None:
        """Serve."""
        if self._runner is None or self._socket is None:
            raise RuntimeError("not bound")
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, ssl_context=self._tls, backlog=BACKLOG).start()
        if self._watch is not None:
            self._watch.start()

    async def stop(self, _grace: float) -> None:
        """Take no more calls, finish those under way within the grace, and be gone."""
        if self._watch is not None:
            self._watch.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._socket is not None:
            self._socket.close()
        if self._unix is not None:
            self._unix.remove()

    async def refresh(self) -> None:
        """Look at the files of the certificate."""
        if self._watch is not None:
            await self._watch.refresh()

    def _bind_path(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen(BACKLOG)
