"""Authorization: the form of the header (RFC 9110 section 11.6.2), and the token in it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from guardsvc.guards.native.auth_bypass.jwt import JwtCheck
from guardsvc.guards.native.auth_bypass.rules import found
from guardsvc.mcp.transport import TransportKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.guards.native.auth_bypass.settings import AuthorizationSettings, JwtSettings
    from guardsvc.model import Finding, Headers, Operation

__all__ = ["AuthorizationCheck", "credentials_of"]

MAX_LENGTH = 32_768
"""Characters of the header; gateways allow about twice as much for all headers."""
BEARER = ("bearer", "dpop")

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) +([!-~](?:[ -~]*[!-~])?)")
_TOKEN = re.compile(r"""[!#-+\--:<-~]+""")
"""Wider than b64token of RFC 6750: tokens of real issuers have ``|`` and ``:`` too."""
_JOINED = re.compile(r",\s*(?:bearer|basic|dpop|digest|negotiate)\s", re.IGNORECASE)
_EXEMPT = (TransportKind.WELL_KNOWN, TransportKind.PREFLIGHT)


def credentials_of(headers: Headers) -> str:
    """What follows the scheme in Authorization, empty where there is no such thing."""
    value = headers.get("authorization")
    parts = None if value is None or len(value) > MAX_LENGTH else _HEADER.fullmatch(value)
    return "" if parts is None else parts[2]


class AuthorizationCheck:
    """Looks at the Authorization header.

    Args:
        settings: of the header.
        jwt: of tokens in it.
    """

    def __init__(self, settings: AuthorizationSettings, jwt: JwtSettings) -> None:
        self._required = settings.required
        self._schemes = None if settings.schemes is None else {scheme.lower() for scheme in settings.schemes}
        self._jwt = JwtCheck(jwt)

    def findings(self, operation: Operation) -> Iterator[Finding]:
        """What is wrong with the header of an operation."""
        values = operation.headers.all("authorization")
        if not values:
            if self._required and not operation.caller.verified and operation.method not in _EXEMPT:
                yield found("authorization_missing")
            return
        value = values[0]
        if len(values) > 1 or _JOINED.search(value):
            yield found("authorization_repeated")
            return
        parts = None if len(value) > MAX_LENGTH else _HEADER.fullmatch(value)
        if parts is None:
            yield found("authorization_malformed")
            return
        scheme, credentials = parts[1].lower(), parts[2]
        if self._schemes is not None and scheme not in self._schemes:
            yield found("scheme_not_allowed")
        if (scheme in BEARER and not _TOKEN.fullmatch(credentials)) or (
            scheme == "basic" and not _is_pair(credentials)
        ):
            yield found("authorization_malformed", scheme)
        else:
            verified = operation.caller.verified
            yield from self._jwt.findings(credentials, verified=verified, bearer=scheme in BEARER)


def _is_pair(credentials: str) -> bool:
    """Whether they are a user and a password (RFC 7617)."""
    try:
        return b":" in base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        return False
