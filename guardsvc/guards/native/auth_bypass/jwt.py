"""JWT: the form of a token (RFC 7515, RFC 7519), decoded within bounds and never verified."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from guardsvc.guards.native.auth_bypass.rules import found
from guardsvc.mcp import Limits, Refusal
from guardsvc.mcp.strict_json import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.guards.native.auth_bypass.settings import JwtSettings
    from guardsvc.model import Finding

__all__ = ["JwtCheck"]

MAX_KID = 512

_PARTS = re.compile(r"[A-Za-z0-9_-]+")
_REGISTERED = frozenset({"alg", "aud", "b64", "crit", "exp", "iss", "jku", "jwk", "kid", "nbf", "sub", "x5c", "x5u"})
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]*")
_LIMITS = Limits(max_bytes=16_384, max_depth=16, max_keys=512)
_ODD_KID = re.compile(r"""\.\.[/\\]|^[/\\]|[\x00-\x1f'"`;|<>]|\$[({]""")


class JwtCheck:
    """Looks at tokens.

    Args:
        settings: what is accepted.
    """

    def __init__(self, settings: JwtSettings) -> None:
        self._settings = settings
        self._algorithms = frozenset(settings.algorithms)
        self._issuers = frozenset(settings.issuers)
        self._audiences = frozenset(settings.audiences)

    def findings(self, token: str, *, verified: bool, bearer: bool = True) -> Iterator[Finding]:
        """What is wrong with a token.

        Args:
            token: of the Authorization header.
            verified: whether the gateway has verified the caller.
            bearer: whether the scheme is one for bearer tokens; of another, only a JWT is looked at.
        """
        parts = token.split(".", 3)
        header = _raw(parts[0]) if len(parts) == 3 else None  # noqa: PLR2004
        if header is None or not header.lstrip().startswith(b"{"):
            if bearer and self._settings.expected:
                yield found("jwt_expected")
            return
        members, claims = _object(header), _object(_raw(parts[1]))
        if members is None or claims is None or not _SIGNATURE.fullmatch(parts[2]) or _has_readings(members, claims):
            yield found("jwt_malformed")
        if members is not None:
            yield from self._header(members, signed=parts[2] != "")
        if claims is not None:
            yield from self._claims(claims)
        if self._settings.verified and not verified:
            yield found("jwt_unverified")

    def _header(self, members: dict[str, Any], *, signed: bool) -> Iterator[Finding]:
        algorithm = members.get("alg")
        if not signed or (type(algorithm) is str and algorithm.strip().lower() == "none"):
            yield found("jwt_unsigned", "alg" if signed else "signature")
        elif type(algorithm) is not str or algorithm not in self._algorithms:
            yield found("jwt_algorithm", "alg")
        for name in self._settings.key_members:
            if name in members:
                yield found("jwt_key", name)
        kid = members.get("kid")
        if "kid" in members and (type(kid) is not str or len(kid) > MAX_KID or _ODD_KID.search(kid)):
            yield found("jwt_key", "kid")

    def _claims(self, claims: dict[str, Any]) -> Iterator[Finding]:
        if self._issuers and not _is_one_of(claims.get("iss"), self._issuers):
            yield found("jwt_issuer", "iss")
        if self._audiences:
            audience = claims.get("aud")
            named = audience if type(audience) is list else [audience]
            if not any(_is_one_of(each, self._audiences) for each in named):
                yield found("jwt_audience", "aud")


def _has_readings(members: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Whether two readers could differ: on names in another case, or on claims that are not encoded (RFC 7797)."""
    if members.get("b64") is False:
        return True
    return any(name not in _REGISTERED and name.lower() in _REGISTERED for name in (*members, *claims))


def _is_one_of(value: Any, names: frozenset[str]) -> bool:
    return type(value) is str and value in names


def _raw(part: str) -> bytes | None:
    """The bytes of a part, None where it is no base64url without padding."""
    if not _PARTS.fullmatch(part) or len(part) % 4 == 1:
        return None
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _object(data: bytes | None) -> dict[str, Any] | None:
    """The JSON object that the bytes are in exactly one reading, else None."""
    if data is None:
        return None
    try:
        value = decode(data, _LIMITS)
    except Refusal:
        return None
    return value if type(value) is dict else None
