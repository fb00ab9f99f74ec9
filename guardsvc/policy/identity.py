"""Identity: who is calling, worked out from what a believed gateway says of the caller.

Sources are asked in order. One that is there and cannot be read refuses the caller, so that nobody
gets a weaker name, or none, by spoiling a stronger one; so do two that name different tenants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from guardsvc.model import Caller, Globs
from guardsvc.policy.identity_settings import (
    CertificateSource,
    ContextExtensionsSource,
    HeaderSource,
    IdentitySettings,
    JwtSource,
    claim_path,
)

if TYPE_CHECKING:
    from guardsvc.model import Headers

__all__ = ["UNREADABLE", "Evidence", "Identity", "IdentityError"]

MAX_LENGTH = 256
"""Characters of a tenant or principal, as in the settings that name them."""

MAX_EXACT = 2**53
"""Below it every whole number has a double of its own."""

UNREADABLE: Any = object()
"""Stands for a value that is there and is no text, number or boolean."""


class IdentityError(Exception):
    """The caller is refused for what it is called, or is not.

    Attributes:
        code: reason code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Evidence(Protocol):
    """What a gateway says of a caller."""

    @property
    def principal(self) -> str:
        """Principal of the client certificate, empty where there is none."""

    @property
    def headers(self) -> Headers:
        """Header fields of the request."""

    def extension(self, key: str) -> str | None:
        """A value of the gateway's configuration."""

    def metadata(self, namespace: str, path: tuple[str, ...]) -> Any:
        """A value of the gateway's metadata.

        Returns:
            Text, number or boolean; None where there is nothing or null; ``UNREADABLE`` otherwise, or
            where a step leads into something that has no members.
        """

    def has_metadata(self, namespace: str, key: str) -> bool:
        """Whether the metadata has a key at all."""


class _Named(msgspec.Struct, frozen=True):
    """What one source says."""

    tenant: str | None
    principal: str | None


class _UnreadableError(Exception):
    """A source is there and cannot be read."""


_Read = Callable[[Evidence], _Named]


class _Source(msgspec.Struct, frozen=True):
    type: str
    proves: bool
    read: _Read


class Identity:
    """Names callers as the settings say.

    Args:
        settings: the sources.
    """

    def __init__(self, settings: IdentitySettings) -> None:
        self._sources = tuple(map(_source, settings.sources))

    def caller(self, evidence: Evidence, address: str | None) -> Caller:
        """The caller of a request.

        Args:
            evidence: what a gateway that is believed says.
            address: network address of the client.

        Raises:
            IdentityError: ``identity_conflict`` or ``identity_invalid``.
        """
        tenant: tuple[str, _Source] | None = None
        principal: tuple[str, _Source] | None = None
        for source in self._sources:
            try:
                named = source.read(evidence)
            except _UnreadableError as error:
                raise IdentityError("identity_invalid", f"{source.type}: {error}") from None
            if named.tenant is not None:
                if tenant is None:
                    tenant = (named.tenant, source)
                elif tenant[0] != named.tenant:
                    sources = f"{tenant[1].type} and {source.type}"
                    raise IdentityError("identity_conflict", f"{sources} name different tenants")
            if principal is None and named.principal is not None:
                principal = (named.principal, source)
        told = principal or tenant
        return Caller(
            tenant=tenant and tenant[0],
            principal=principal and principal[0],
            verified=principal is not None and principal[1].proves and (tenant is None or tenant[1].proves),
            address=address,
            source=told and told[1].type,
        )


def _source(settings: CertificateSource | JwtSource | ContextExtensionsSource | HeaderSource) -> _Source:
    match settings:
        case CertificateSource():
            return _Source(settings.type, proves=True, read=_certificate(settings))
        case JwtSource():
            return _Source(settings.type, proves=True, read=_jwt(settings))
        case ContextExtensionsSource():
            return _Source(settings.type, proves=settings.verified, read=_context_extensions(settings))
        case HeaderSource():
            return _Source(settings.type, proves=settings.verified, read=_header(settings))


def _certificate(settings: CertificateSource) -> _Read:
    globs, before = Globs(settings.principals), settings.tenant_after

    def read(evidence: Evidence) -> _Named:
        principal = _name(evidence.principal, "principal")
        if principal is None:
            return _Named(None, None)
        if not globs.match(principal):
            raise _UnreadableError("the principal is not one that is taken")
        if before is None:
            return _Named(None, principal)
        if not principal.startswith(before):
            raise _UnreadableError("the principal names no tenant")
        tenant = _name(principal.removeprefix(before).partition("/")[0], "tenant")
        if tenant is None:
            raise _UnreadableError("the principal names no tenant")
        return _Named(tenant, principal)

    return read


def _jwt(settings: JwtSource) -> _Read:
    namespace, payload, failure = settings.namespace, settings.payload, settings.failure
    tenant = None if settings.tenant is None else (payload, *claim_path(settings.tenant))
    principal = None if settings.principal is None else (payload, *claim_path(settings.principal))

    def read(evidence: Evidence) -> _Named:
        if failure is not None and evidence.has_metadata(namespace, failure):
            raise _UnreadableError("the token failed")
        if not evidence.has_metadata(namespace, payload):
            return _Named(None, None)
        if evidence.metadata(namespace, (payload,)) is not UNREADABLE:
            raise _UnreadableError("the claims are no mapping")
        return _Named(
            None if tenant is None else _name(evidence.metadata(namespace, tenant), "tenant"),
            None if principal is None else _name(evidence.metadata(namespace, principal), "principal"),
        )

    return read


def _context_extensions(settings: ContextExtensionsSource) -> _Read:
    tenant, principal = settings.tenant, settings.principal

    def read(evidence: Evidence) -> _Named:
        return _Named(
            tenant and _name(evidence.extension(tenant), "tenant"),
            principal and _name(evidence.extension(principal), "principal"),
        )

    return read


def _header(settings: HeaderSource) -> _Read:
    tenant, principal = settings.tenant, settings.principal

    def read(evidence: Evidence) -> _Named:
        return _Named(
            tenant and _field(evidence.headers, tenant, "tenant"),
            principal and _field(evidence.headers, principal, "principal"),
        )

    return read


def _field(headers: Headers, name: str, what: str) -> str | None:
    """The value of a header; two of them, also joined by the gateway, are a client's beside the gateway's."""
    values = headers.all(name)
    if not values:
        return None
    if len(values) > 1 or "," in values[0]:
        raise _UnreadableError(f"the {what} is given twice")
    if not values[0].isascii():
        raise _UnreadableError(f"the {what} is not ASCII")
    return _name(values[0], what)


def _name(value: Any, what: str) -> str | None:
    """A tenant or principal of what a source has there; None and empty text name nobody.

    Whole numbers are written out. A longer or stranger value is refused rather than cut or cleaned,
    since two callers could then have one name.
    """
    if value is None or value == "":
        return None
    if isinstance(value, float | int) and not isinstance(value, bool):
        # Written so that NaN does not pass.
        if not abs(value) < MAX_EXACT or value != int(value):
            raise _UnreadableError(f"the {what} is no whole number of at most 53 bits")
        return str(int(value))
    if not isinstance(value, str):
        raise _UnreadableError(f"the {what} is neither text nor a number")
    if len(value) > MAX_LENGTH:
        raise _UnreadableError(f"the {what} has more than {MAX_LENGTH} characters")
    if not value.isprintable() or value != value.strip():
        raise _UnreadableError(f"the {what} has control characters or blanks around it")
    return value
