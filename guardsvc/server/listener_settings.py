"""Settings of one gRPC listener: where it is, how it is secured and which peers are believed there."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from guardsvc.gateways.peers import check_dns_pattern, check_uri_pattern
from guardsvc.model import Settings, SettingsError
from guardsvc.server.address import host_and_port, is_loopback, unix_path

__all__ = ["ListenerSettings", "SocketSettings", "TlsSettings", "TrustSettings", "listen_address"]

Serves = Literal["grpc", "http"]
Peers = Literal["local", "certificate", "any", "none"]
OTHERS_MAY_WRITE = 0o002


def listen_address(address: str) -> str:
    """The address itself where it is ``host:port``, ``[IPv6]:port`` or ``unix:/path``.

    Raises:
        ValueError: it is none of these.
    """
    if unix_path(address) is None:
        host_and_port(address)
    return address


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f'"{path[:80]}" is not an absolute path')
    return path


def _mode(text: str) -> str:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError(f'"{text[:20]}" is not a mode in octal digits, such as "0660"')
    return text


ListenAddress = Annotated[str, AfterValidator(listen_address)]
File = Annotated[str, AfterValidator(_absolute)]
FileMode = Annotated[str, AfterValidator(_mode)]
UriPattern = Annotated[str, AfterValidator(check_uri_pattern)]
DnsPattern = Annotated[str, AfterValidator(check_dns_pattern)]


class TlsSettings(Settings):
    """TLS of a listener; PEM files, read again when they change."""

    certificate: File = Field(description="File of the server's certificate, with its intermediates.")
    key: File = Field(description="File of the certificate's private key, not encrypted.")
    client_ca: File | None = Field(
        default=None,
        description="File of the authorities whose client certificates are accepted; with it (mTLS) a peer without "
        "one cannot connect.",
    )
    reload_interval_s: float = Field(
        default=10, ge=0.1, le=3600, description="Seconds between looks at the files; SIGHUP looks at once."
    )


class TrustSettings(Settings):
    """Which peers are believed when they name a caller; from any other only the HTTP request itself counts."""

    peers: Peers | None = Field(
        default=None,
        description="`local`: processes of this host, by loopback or by a UNIX socket whose mode and folder keep "
        "others out; `certificate`: peers whose certificate bears a name below; `any`; `none`. By default "
        "`certificate` with `tls.client_ca`, else `local`.",
    )
    uris: tuple[UriPattern, ...] = Field(
        default=(),
        description="URI names (SAN) of believed certificates, such as `spiffe://acme.example/ns/gateways/*`; `*` is "
        "any run of characters and stands behind the authority only.",
    )
    dns_names: tuple[DnsPattern, ...] = Field(
        default=(),
        description="DNS names (SAN) of believed certificates; `*.acme.example` is one label before the rest. The "
        "common name never counts.",
    )
    guard_service_teaches: bool = Field(
        default=False,
        description="Whether catalogs are learned from lists that believed peers show over GuardService, by "
        "gRPC or HTTP; from those of other gateway protocols they always are.",
    )


class SocketSettings(Settings):
    """The file of a UNIX socket."""

    mode: FileMode = Field(default="0660", description="Mode of the socket; who may write to it may connect.")
    group: str | None = Field(
        default=None, min_length=1, description="Group of the socket, and of the folder where it is created."
    )
    directory_mode: FileMode = Field(
        default="0750", description="Mode of the folder where it is created; one that is there stays as it is."
    )

    @property
    def mode_bits(self) -> int:
        """``mode`` as a number."""
        return int(self.mode, 8)

    @property
    def directory_mode_bits(self) -> int:
        """``directory_mode`` as a number."""
        return int(self.directory_mode, 8)


class ListenerSettings(Settings):
    """A listener that gateways ask."""

    serves: Serves = Field(
        default="grpc",
        description="`grpc`: every gateway protocol of gRPC; `http`: `POST /v1/security/evaluate` alone.",
    )
    address: ListenAddress = Field(
        default="127.0.0.1:9191",
        description="Where it listens: `host:port`, of which port 0 takes a free one, or `unix:/path`.",
    )
    tls: TlsSettings | None = Field(default=None, description="TLS; none by default.")
    trust: TrustSettings = Field(default=TrustSettings(), description="Which peers are believed.")
    socket: SocketSettings = Field(default=SocketSettings(), description="The file of a UNIX socket.")

    @property
    def believed(self) -> Peers:
        """``trust.peers``, or its default for this listener."""
        if self.trust.peers is not None:
            return self.trust.peers
        return "certificate" if self.tls is not None and self.tls.client_ca is not None else "local"

    @property
    def path(self) -> str | None:
        """Path of the UNIX socket, None for TCP."""
        return unix_path(self.address)

    @property
    def takes_a_free_port(self) -> bool:
        """Whether the system chooses the port."""
        return self.path is None and host_and_port(self.address)[1] == 0

    @property
    def beyond_this_host(self) -> bool:
        """Whether other machines may reach it."""
        return self.path is None and not is_loopback(host_and_port(self.address)[0])

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.path is not None and self.tls is not None:
            raise SettingsError(("tls",), "a UNIX socket has no TLS; its mode and folder say who may connect")
        if self.path is None and "socket" in self.model_fields_set:
            raise SettingsError(("socket",), f'"{self.address}" is no UNIX socket')
        names = self.trust.uris or self.trust.dns_names
        if self.believed != "certificate":
            if names:
                raise SettingsError(("trust", "peers"), f'names of certificates do not count with "{self.believed}"')
        elif self.tls is None or self.tls.client_ca is None:
            raise SettingsError(("trust", "peers"), '"certificate" needs tls.client_ca to check certificates with')
        elif not names:
            raise SettingsError(
                ("trust",),
                "names no certificate; give uris or dns_names, or say peers: none if nobody is believed here",
            )
        if self.path is not None and self.believed == "local" and self.socket.mode_bits & OTHERS_MAY_WRITE:
            raise SettingsError(
                ("socket", "mode"),
                f'"{self.socket.mode}" lets every user of this host connect and be believed; take the right to write '
                "from others, or say trust: {peers: none}",
            )
        return self
