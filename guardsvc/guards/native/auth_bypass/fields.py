"""Header fields: those a client must not send, and those that two readers could take differently."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guardsvc.guards.native.auth_bypass.rules import found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from guardsvc.model import Finding, Headers, Operation

__all__ = ["SESSION_HEADER", "FieldCheck", "Names"]

SESSION_HEADER = "mcp-session-id"
MAX_SESSION_ID = 4096
REMEMBERED = 1_024
MAX_REMEMBERED = 64
"""Names that break no rule, of at most this length, are remembered."""

_SINGLE = (":authority", ":method", ":path", ":scheme", "host", "origin", "proxy-authorization", SESSION_HEADER)
"""Fields of which there is one (RFC 9110 section 5.5, RFC 9113 section 8.3.1, MCP)."""
_READ_BY_SERVERS = frozenset({*_SINGLE, "authorization", "content-length", "content-type", "transfer-encoding"})
_LENGTH = re.compile(r"[0-9]{1,18}")
_SESSION_ID = re.compile(r"[!-+\--~]+")
"""Visible ASCII (MCP, Session Management) but the comma, by which gateways join repeated fields."""


_USUAL_PORTS = ("80", "443")
_OF_NOBODY = frozenset({"x-auth-request-redirect"})
"""Begin as headers of a family, but tell a proxy where to go on, not who is there (oauth2-proxy)."""


class Names:
    """Names of headers, given exactly or by their beginning (``x-jwt-*``)."""

    __slots__ = ("_beginnings", "_exact")

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        self._exact = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
        self._beginnings = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))

    def __contains__(self, name: str) -> bool:
        return name in self._exact or (name.startswith(self._beginnings) and name not in _OF_NOBODY)


class FieldCheck:
    """Looks at the fields of a request.

    Args:
        identity: names that say who the caller is.
        set_by_gateway: those of them that the gateway sets.
        override: names that give another method or path.
    """

    def __init__(self, identity: Iterable[str], set_by_gateway: Iterable[str], override: Iterable[str]) -> None:
        self._identity = Names(identity)
        self._set_by_gateway = Names(set_by_gateway)
        self._override = Names(override)
        self._clean: set[str] = set()

    def findings(self, operation: Operation) -> Iterator[Finding]:
        """What is wrong with the fields, but for Authorization and Origin."""
        headers = operation.headers
        yield from _framing(headers)
        yield from _conflicts(operation)
        clean = self._clean
        for name in [name for name in headers if name not in clean]:
            if rule := self._classify(name):
                yield found(rule, name)
            elif len(name) <= MAX_REMEMBERED and len(clean) < REMEMBERED:
                clean.add(name)
        session = headers.get(SESSION_HEADER)
        if session is not None and (len(session) > MAX_SESSION_ID or not _SESSION_ID.fullmatch(session)):
            yield found("session_malformed")

    def _classify(self, name: str) -> str:
        """The rule that a header's name breaks, empty where it breaks none."""
        plain = name.replace("_", "-")
        if plain in self._identity:
            return "" if name in self._set_by_gateway else "identity_header"
        if plain in self._override:
            return "override_header"
        # Servers that follow CGI read x_y and x-y as one.
        return "header_conflict" if plain != name and plain in _READ_BY_SERVERS else ""


def _framing(headers: Headers) -> Iterator[Finding]:
    """Two lengths, or two ways to tell it (RFC 9112 section 6.3)."""
    lengths = headers.all("content-length")
    codings = headers.all("transfer-encoding")
    if lengths and codings:
        yield found("framing_conflict", "content-length and transfer-encoding")
    elif len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        yield found("framing_conflict", "content-length")
    elif len(codings) > 1 or (codings and codings[0].lower() != "chunked"):
        yield found("framing_conflict", "transfer-encoding")


def _without_port(authority: str) -> str:
    """An authority without the port that a gateway may add or leave out."""
    host, colon, port = authority.rpartition(":")
    return host if colon and port in _USUAL_PORTS else authority


def _conflicts(operation: Operation) -> Iterator[Finding]:
    """Copies of one thing that differ; over gRPC anybody who may ask can send both."""
    headers = operation.headers
    if any(map(headers.repeated, _SINGLE)):
        yield from (found("header_conflict", name) for name in _SINGLE if headers.repeated(name))
    path, method = headers.get(":path"), headers.get(":method")
    if path is not None and operation.path and path != operation.path:
        yield found("header_conflict", ":path")
    if method is not None and operation.http_method and method != operation.http_method:
        yield found("header_conflict", ":method")
    told = {host.lower() for host in (headers.get(":authority"), headers.get("host"), operation.host) if host}
    if len(told) > 1 and len(set(map(_without_port, told))) > 1:
        yield found("header_conflict", "host")
