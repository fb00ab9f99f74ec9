"""TLS: a listener's certificate, key and client authorities, checked before use and replaced while it serves."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from guardsvc.server.listener_settings import TlsSettings

__all__ = ["Certificates", "TlsError", "instant"]

MAX_BYTES = 1 << 20
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


class TlsError(Exception):
    """The files of a listener cannot be used; the message names the file and says why."""


class Certificates:
    """The files of one listener as they were when they could last be used.

    Every handshake takes the newest; connections keep what they were made with.

    Args:
        settings: where the files are.

    Raises:
        TlsError: the files cannot be used.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._content = self._read()
        self._check(self._content)
        self._newest = _wire(self._content)
        self._used: Any = self._newest
        self._valid = _validity(self._content[0])
        self._context: ssl.SSLContext | None = None

    @property
    def expires(self) -> float:
        """When the certificate in use expires: seconds since the epoch, inf if unknown."""
        return self._valid[1]

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials of a port, which follow the files."""
        credentials: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
            self._newest,
            self._fetch,
            require_client_authentication=self._settings.client_ca is not None,
        )
        return credentials

    def context(self) -> ssl.SSLContext:
        """A context of Python's TLS, which follows the files."""
        self._context = _context(self._settings)
        serving = _context(self._settings)

        def take_newest(connection: ssl.SSLObject, _name: str | None, _serving: ssl.SSLContext) -> None:
            if self._context is not None:
                connection.context = self._context

        # OpenSSL asks before it reads the certificate, also where the peer names no server. Sessions are not resumed,
        # since their certificates would not be checked again.
        serving.sni_callback = take_newest
        return serving

    def refresh(self) -> bool:
        """Read the files again; whether there is something new, which handshakes take from now on.

        Raises:
            TlsError: they cannot be used; what was used so far stays.
        """
        content = self._read()
        if content == self._content:
            return False
        self._check(content)
        valid = self._check_validity(content[0])
        self._content, self._newest, self._valid = content, _wire(content), valid
        if self._context is not None:
            self._context = _context(self._settings)
        return True

    def _fetch(self) -> Any:
        """What handshakes take from now on, None for what they took so far. Called from threads of grpc."""
        newest = self._newest
        if newest is self._used:
            return None
        self._used = newest
        return newest

    def _read(self) -> tuple[bytes, bytes, bytes | None]:
        settings = self._settings
        authorities = None if settings.client_ca is None else _bytes(settings.client_ca)
        return _bytes(settings.certificate), _bytes(settings.key), authorities

    def _check(self, content: tuple[bytes, bytes, bytes | None]) -> None:
        settings, (certificate, key, authorities) = self._settings, content
        _check_certificates(settings.certificate, certificate)
        if b"PRIVATE KEY-----" not in key:
            raise TlsError(f"{settings.key} holds no private key in PEM")
        if settings.client_ca is not None and authorities is not None:
            _check_certificates(settings.client_ca, authorities)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                settings.certificate, settings.key, password=_no_password
            )
        except _EncryptedError:
            raise TlsError(f"{settings.key} is encrypted; the key must be readable as it is") from None
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or error.strerror or str(error)
            fault = "does not belong to" if reason == "KEY_VALUES_MISMATCH" else "cannot be used with"
            said = "" if reason == "KEY_VALUES_MISMATCH" else f": {reason}"
            raise TlsError(f"{settings.key} {fault} {settings.certificate}{said}") from None
        if self._read() != content:
            raise TlsError(f"{settings.certificate} changed while it was read")

    def _check_validity(self, certificate: bytes) -> tuple[float, float]:
        """When a new certificate is valid; one that is not now replaces none that is."""
        now = time.time()
        (begins, ends), (began, will_end) = _validity(certificate), self._valid
        if began <= now < will_end and not begins <= now < ends:
            what = f"has expired at {instant(ends)}" if ends <= now else f"is not valid before {instant(begins)}"
            raise TlsError(f"{self._settings.certificate} {what}; the one in use is valid until {instant(will_end)}")
        return begins, ends


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if settings.client_ca is not None:
        context.load_verify_locations(settings.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _EncryptedError(Exception):
    pass


def _no_password() -> str:
    raise _EncryptedError


def _bytes(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TlsError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise TlsError(f"{path} has more than {MAX_BYTES} bytes")
    return content


def _check_certificates(path: str, content: bytes) -> None:
    if _CERTIFICATE not in content:
        raise TlsError(f"{path} holds no certificate in PEM")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii", "ignore"))
    except ssl.SSLError as error:
        said = f": {error.reason}" if error.reason else ""
        raise TlsError(f"{path} holds a certificate that cannot be read{said}") from None


def _validity(certificates: bytes) -> tuple[float, float]:
    """From when until when the first certificate of a PEM, the server's own, is valid: seconds since the epoch."""
    from cryptography import x509  # noqa: PLC0415  not every service has TLS

    try:
        own = x509.load_pem_x509_certificate(certificates)
    except ValueError:
        # OpenSSL takes it, and bears with more than this reader.
        return -inf, inf
    return own.not_valid_before_utc.timestamp(), own.not_valid_after_utc.timestamp()


def instant(seconds: float) -> str:
    """An instant in seconds since the epoch as text, RFC 3339."""
    if abs(seconds) == inf:
        return "an unknown time"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _wire(content: tuple[bytes, bytes, bytes | None]) -> Any:
    certificate, key, authorities = content
    return grpc.ssl_server_certificate_configuration([(key, certificate)], authorities)
