"""Seal: the token that carries a request's decision to its response phase through the gateway.

The gateway holds it in metadata that a client may try to forge, so it is authenticated: keyed BLAKE2b
(RFC 7693) over its text, with a key that all workers and replicas of a deployment share.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from guardsvc.model import Decision, Operation

__all__ = ["Correlation", "Seal", "bounded_subject"]

VERSION = "g1"
DEFAULT_LIFETIME = 3600.0
MAX_SUBJECT = 256
MAX_NAMES = 2048
"""Characters that the names of several servers have at most in a token, which travels with each request."""
MAC_BYTES = 32


class Correlation(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the request phase hands to the response phase.

    Attributes:
        decision_id: decision of the request.
        tenant, principal, verified: the caller.
        server, subject, method, id: the operation; the subject as ``bounded_subject`` gives it.
        policy_hash: the policy that decided.
        expires: seconds since the epoch after which the token is void.
        several: canonical names of the servers of a request that goes to more than one; empty where their names are
            longer than ``MAX_NAMES`` together, and in tokens of versions that did not write it.
    """

    decision_id: str
    tenant: str | None
    principal: str | None
    verified: bool
    server: str | None
    subject: str | None
    method: str
    id: str | int | None
    policy_hash: str
    expires: float
    several: tuple[str, ...] = ()

    @property
    def servers(self) -> tuple[str, ...]:
        """Canonical names of the servers that may answer, empty where the token does not tell."""
        return self.several if self.server is None else (self.server,)


class Seal:
    """Seals and opens correlation tokens.

    Args:
        keys: the first seals, every one opens, so that keys can be rotated. At least 16 bytes each.
        lifetime: seconds a token is good for; longer than the longest response stream.
    """

    def __init__(self, keys: tuple[bytes, ...], *, lifetime: float = DEFAULT_LIFETIME) -> None:
        self._macs = tuple(_keyed(key) for key in keys)
        self._lifetime = lifetime

    def token(self, decision: Decision) -> str:
        """The token of a decision."""
        operation, caller = decision.operation, decision.operation.caller
        payload = msgspec.json.encode(
            Correlation(
                decision_id=decision.id,
                tenant=caller.tenant,
                principal=caller.principal,
                verified=caller.verified,
                server=operation.server,
                subject=bounded_subject(operation.subject),
                method=operation.method,
                id=operation.id,
                policy_hash=decision.policy_hash,
                expires=round(time.time() + self._lifetime, 3),
                several=_several(operation),
            )
        )
        sealed = f"{VERSION}.{_encode(payload)}"
        return f"{sealed}.{_mac(self._macs[0], sealed)}"

    def open(self, token: str) -> Correlation | None:
        """What the token says, or None where it is not ours, was changed, or has expired."""
        try:
            sealed, _, mac = token.rpartition(".")
            version, payload = sealed.split(".")
            given = mac.encode("ascii")
            ours = any(hmac.compare_digest(_mac(keyed, sealed).encode("ascii"), given) for keyed in self._macs)
            if version != VERSION or not ours:
                return None
            correlation = msgspec.json.decode(_decode(payload), type=Correlation)
        except (ValueError, msgspec.MsgspecError):
            return None
        return correlation if correlation.expires > time.time() else None


def bounded_subject(subject: str | None) -> str | None:
    """A subject as tokens and metadata carry it: itself, or its SHA-256 where it is long; a URI has no bound."""
    if subject is None or len(subject) <= MAX_SUBJECT:
        return subject
    return f"sha256:{hashlib.sha256(subject.encode()).hexdigest()}"


def _several(operation: Operation) -> tuple[str, ...]:
    if operation.server is not None or sum(map(len, operation.servers)) > MAX_NAMES:
        return ()
    return operation.servers


def _keyed(key: bytes) -> hashlib.blake2b:
    if len(key) > hashlib.blake2b.MAX_KEY_SIZE:
        key = hashlib.blake2b(key).digest()
    return hashlib.blake2b(key=key, digest_size=MAC_BYTES)


def _mac(keyed: hashlib.blake2b, sealed: str) -> str:
    mac = keyed.copy()
    mac.update(sealed.encode())
    return _encode(mac.digest())


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
