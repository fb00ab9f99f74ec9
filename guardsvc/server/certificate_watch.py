"""Certificate watch: looks at the files of a listener's certificate while it serves."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from guardsvc.server.tls import TlsError, instant

if TYPE_CHECKING:
    from guardsvc.observe import Metrics
    from guardsvc.server.listener_settings import TlsSettings
    from guardsvc.server.tls import Certificates

__all__ = ["CertificateWatch"]

log = structlog.get_logger(__name__)


class CertificateWatch:
    """Follows the files of one listener.

    Args:
        name: of the listener.
        certificates: read the files.
        settings: say how often.
        metrics: are told of files that cannot be used.
    """

    def __init__(self, name: str, certificates: Certificates, settings: TlsSettings, metrics: Metrics) -> None:
        self._name = name
        self._certificates = certificates
        self._interval = settings.reload_interval_s
        self._metrics = metrics
        self._fault: str | None = None
        self._following: asyncio.Task[None] | None = None
        metrics.tls_stale.labels(name).set(0)
        self._tell_expiry()

    def start(self) -> None:
        """Look every so often from now on."""
        self._following = asyncio.create_task(self._follow())

    def stop(self) -> None:
        """Look no more."""
        if self._following is not None:
            self._following.cancel()

    async def refresh(self) -> None:
        """Look now; what cannot be used is said once and changes nothing."""
        try:
            changed = await asyncio.to_thread(self._certificates.refresh)
        except Exception as error:
            told = str(error) if isinstance(error, TlsError) else f"{type(error).__name__}: {error}"
            if told != self._fault:
                self._fault = told
                self._metrics.tls_stale.labels(self._name).set(1)
                self._metrics.tls_reloads.labels(self._name, "failed").inc()
                log.error(  # noqa: TRY400  the problem says it all
                    "certificate_reload_failed", listener=self._name, problem=self._fault
                )
            return
        if self._fault is not None:
            self._fault = None
            self._metrics.tls_stale.labels(self._name).set(0)
        if changed:
            self._metrics.tls_reloads.labels(self._name, "loaded").inc()
            log.info("certificate_loaded", listener=self._name)
            self._tell_expiry()

    def _tell_expiry(self) -> None:
        expires = self._certificates.expires
        self._metrics.tls_expires.labels(self._name).set(expires)
        if expires <= time.time():
            log.warning("certificate_expired", listener=self._name, expired=instant(expires))

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.refresh()
