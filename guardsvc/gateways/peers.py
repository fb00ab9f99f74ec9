"""Peers: whether whoever is on the other end of a gRPC socket is believed when it names a caller.

What a gateway says of a caller is worth what the gateway is worth. Each listener has one rule, and
it is asked once per call, because connections of several peers share a listener.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guardsvc.model import Globs

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc

__all__ = ["Believes", "Certified", "anyone", "check_dns_pattern", "check_uri_pattern", "is_local", "local", "nobody"]

Believes = Callable[["grpc.aio.ServicerContext[Any, Any]"], bool]
"""Whether the peer of a call is believed."""

_LOOPBACK = re.compile(r"ipv4:127(?:\.[0-9]{1,3}){3}:[0-9]+|ipv6:(?:\[::1\]|%5B::1%5D):[0-9]+")
_URI_PATTERN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._~:@\[\]-]+(?:/[!-~]*)?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_DNS_PATTERN = re.compile(rf"(?:\*\.{_LABEL}(?:\.{_LABEL})+|{_LABEL}(?:\.{_LABEL})*)", re.IGNORECASE)


def is_local(peer: str) -> bool:
    """Whether the peer is on this host: a UNIX socket or the loopback interface.

    Who may connect to a UNIX socket is the kernel's decision, by mode, owner and folder; grpc does not
    show the credentials of the one who did.

    Args:
        peer: as ``grpc.ServicerContext.peer()`` gives it.
    """
    return peer.startswith("unix:") or _LOOPBACK.fullmatch(peer) is not None


def local(context: grpc.aio.ServicerContext[Any, Any]) -> bool:
    """Believe peers on this host."""
    return is_local(context.peer())


def anyone(_context: grpc.aio.ServicerContext[Any, Any]) -> bool:
    """Believe every peer."""
    return True


def nobody(_context: grpc.aio.ServicerContext[Any, Any]) -> bool:
    """Believe no peer."""
    return False


class Certified:
    """Believes peers by the names (SAN) of the client certificate that the TLS handshake has verified.

    A DNS name that looks like a URI is a DNS name, and the other way round; the common name counts for nothing.

    Args:
        uris: globs of URI names, see ``check_uri_pattern``.
        dns_names: DNS names, see ``check_dns_pattern``.
    """

    def __init__(self, uris: Iterable[str] = (), dns_names: Iterable[str] = ()) -> None:
        self._uris = Globs(uris)
        self._dns_names = frozenset(name.lower() for name in dns_names)

    def __call__(self, context: grpc.aio.ServicerContext[Any, Any]) -> bool:
        """Whether a name of the peer's certificate is among those that are believed."""
        shown = context.auth_context()
        if shown.get("transport_security_type") != [b"ssl"]:
            return False
        return any(map(self._is_believed_uri, shown.get("peer_uri", ()))) or any(
            map(self._is_believed_dns_name, shown.get("peer_dns", ()))
        )

    def _is_believed_uri(self, name: bytes) -> bool:
        # A name with what a URI cannot hold is not what it looks like.
        return name.isascii() and (text := name.decode("ascii")).isprintable() and self._uris.match(text)

    def _is_believed_dns_name(self, name: bytes) -> bool:
        text = name.decode("latin-1").lower()
        return text in self._dns_names or f"*.{text.partition('.')[2]}" in self._dns_names


def check_uri_pattern(pattern: str) -> str:
    """The pattern itself where scheme and authority stand in it literally.

    Raises:
        ValueError: they do not, so that it would match names of other trust domains.
    """
    if not _URI_PATTERN.fullmatch(pattern):
        raise ValueError(
            f'"{pattern[:80]}" is not a URI whose scheme and authority are written out, such as '
            "spiffe://acme.example/ns/gateways/*"
        )
    return pattern


def check_dns_pattern(pattern: str) -> str:
    """The pattern itself where it is a DNS name, or ``*.`` and a DNS name of at least two labels.

    Raises:
        ValueError: it is neither.
    """
    if not _DNS_PATTERN.fullmatch(pattern):
        raise ValueError(f'"{pattern[:80]}" is not a DNS name, or *. and a DNS name, such as *.gateways.acme.example')
    return pattern
