"""Origins and hosts: who a browser says has sent the request, and whom it asked for (DNS rebinding)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guardsvc.guards.native.auth_bypass.rules import found
from guardsvc.model import Globs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.model import Finding, Operation

__all__ = ["OriginCheck", "host_of", "origin_of"]

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]{0,31})://([a-z0-9._~-]{1,253}|\[[0-9a-f:.]{2,45}\])?(?::([0-9]{1,5}))?")
_PORTS = {"http": "80", "https": "443"}


def origin_of(value: str) -> str | None:
    """An Origin in its one form: lower case, without the port of its scheme (RFC 6454 section 6.2).

    Returns:
        None where it is no origin.
    """
    parts = _ORIGIN.fullmatch(value.lower())
    if parts is None:
        return None
    scheme, host, port = parts.groups()
    if not host:  # file:// and the like, which browsers send for pages that are no site
        return None if scheme in _PORTS else f"{scheme}://"
    return f"{scheme}://{host}" if port in (None, _PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def host_of(authority: str) -> str:
    """The host of an authority, in lower case and without port and final dot."""
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdecimal():
        host = authority
    return host.lower().removesuffix(".")


class OriginCheck:
    """Compares with what is configured.

    Args:
        origins: globs of origins, None for any.
        hosts: globs of hosts, None for any.
    """

    def __init__(self, origins: tuple[str, ...] | None, hosts: tuple[str, ...] | None) -> None:
        self._origins = None if origins is None else Globs(_pattern(origin) for origin in origins)
        self._hosts = None if hosts is None else Globs(host.lower() for host in hosts)

    def findings(self, operation: Operation) -> Iterator[Finding]:
        """What is wrong with Origin and Host."""
        headers = operation.headers
        value = headers.get("origin")
        if value is not None:
            origin = "null" if value == "null" else origin_of(value)
            if origin is None:
                yield found("origin", "malformed")
            elif self._origins is not None and not self._origins.match(origin):
                yield found("origin", "not allowed")
        if self._hosts is not None:
            authority = headers.get(":authority") or headers.get("host") or operation.host
            if authority and not self._hosts.match(host_of(authority)):
                yield found("host", "not allowed")


def _pattern(origin: str) -> str:
    """The pattern in the form of ``origin_of``; its wildcards stay."""
    pattern = origin.lower()
    for scheme, port in _PORTS.items():
        if pattern.startswith(f"{scheme}://"):
            pattern = pattern.removesuffix(f":{port}")
    return pattern
