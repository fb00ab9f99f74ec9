"""Tokens: an issuer of JWTs (RFC 7519) with a key of its own, and what a forger makes of them."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

__all__ = ["AUDIENCE", "ISSUER", "TokenIssuer", "with_claims", "without_signature"]

ISSUER = "https://issuer.example"
AUDIENCE = "https://mcp.example/mcp"
LIFETIME = 300
"""Seconds for which a token is good."""
HALF = 32
"""Bytes of each of the two numbers of an ES256 signature, and of each coordinate of its key."""


class TokenIssuer:
    """Signs tokens with ES256 and a key that is made anew each time, so that no key is ever kept."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwks(self) -> str:
        """The public key as a JSON Web Key Set (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        x, y = (_base64(number.to_bytes(HALF, "big")) for number in (numbers.x, numbers.y))
        return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "x": x, "y": y}]})

    def token(self, **claims: Any) -> str:
        """A token for the demo's MCP server, with further claims or other values of the usual ones."""
        usual = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + LIFETIME}
        signed = f"{_part({'alg': 'ES256', 'typ': 'JWT'})}.{_part(usual | claims)}"
        numbers = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_base64(b''.join(number.to_bytes(HALF, 'big') for number in numbers))}"


def with_claims(token: str, **claims: Any) -> str:
    """The token with other claims under the signature that it had."""
    header, payload, signature = token.split(".")
    return f"{header}.{_part(_read(payload) | claims)}.{signature}"


def without_signature(token: str) -> str:
    """The token with a header that says it needs no signature, and none."""
    payload = token.split(".")[1]
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{payload}."


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _read(part: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return value


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
