"""Settings of ``policy.identity``: where the names of a caller come from, in order."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from guardsvc.model import Settings, SettingsError

__all__ = [
    "CertificateSource",
    "ContextExtensionsSource",
    "HeaderSource",
    "IdentitySettings",
    "JwtSource",
    "claim_path",
]

Key = Annotated[str, Field(min_length=1, max_length=256)]
HeaderName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9!#$%&'*+.^_`|~-]{0,127}$")]
NOT_FOR_NAMES = frozenset({"authorization", "cookie", "host", "proxy-authorization"})


def claim_path(text: str) -> tuple[str, ...]:
    """The steps of ``realm.tenant``, ``groups.0`` or, for names with dots in them, ``/https:~1~1a.example~1tenant``.

    Raises:
        ValueError: a step is empty, or ``~`` stands before something else than 0 or 1 (RFC 6901).
    """
    if not text.startswith("/"):
        steps = tuple(text.split("."))
        if not all(steps):
            raise ValueError(f'"{text[:80]}" has an empty step; write realm.tenant, or a JSON pointer such as /a.b/0')
        return steps
    escaped = text[1:].split("/")
    if any(part.replace("~0", "").replace("~1", "").count("~") for part in escaped):
        raise ValueError(f'"{text[:80]}" is not a JSON pointer; ~ is written ~0 and / is written ~1')
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in escaped)


def _check_path(text: str) -> str:
    claim_path(text)
    return text


def _check_printable(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("a header's value is printable ASCII")
    return text


ClaimPath = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_path)]
HeaderValue = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_check_printable)]


class CertificateSource(Settings):
    """The principal of the client certificate that the gateway verified (`source.principal`)."""

    type: Literal["certificate"] = Field(description="Kind of source.")
    principals: tuple[Key, ...] = Field(
        default=("*",),
        min_length=1,
        description="Principals that are taken, as globs such as `spiffe://acme.example/*`; a certificate with any "
        "other is refused.",
    )
    tenant_after: Key | None = Field(
        default=None,
        description="What stands before the tenant in the principal, such as `spiffe://acme.example/tenant/`; the "
        "tenant ends at the next `/`. Without it a certificate names no tenant.",
    )


class JwtSource(Settings):
    """Claims of the JWT that the gateway verified (`metadata_context`)."""

    type: Literal["jwt"] = Field(description="Kind of source.")
    namespace: Key = Field(default="envoy.filters.http.jwt_authn", description="Namespace of the metadata.")
    payload: Key = Field(
        default="jwt_payload", description="Key of the claims there: `payload_in_metadata` of Envoy's jwt_authn."
    )
    failure: Key | None = Field(
        default=None,
        description="Key there that tells of a token which failed: `failed_status_in_metadata` of Envoy's jwt_authn. "
        "A caller with one is refused.",
    )
    tenant: ClaimPath | None = Field(
        default="tenant", description="Claim that names the tenant: `tenant`, `realm.tenant`, `groups.0` or `/a.b/c`."
    )
    principal: ClaimPath | None = Field(default="sub", description="Claim that names the principal.")

    @model_validator(mode="after")
    def _names_claims(self) -> Self:
        _check_named(self, "claim")
        return self


class ContextExtensionsSource(Settings):
    """Values that the gateway's configuration gives for a route (`context_extensions`)."""

    type: Literal["context_extensions"] = Field(description="Kind of source.")
    tenant: Key | None = Field(default="tenant", description="Key of the tenant.")
    principal: Key | None = Field(default=None, description="Key of the principal.")
    verified: bool = Field(default=False, description="Whether what it names counts as proven.")

    @model_validator(mode="after")
    def _names_keys(self) -> Self:
        _check_named(self, "key")
        return self


class HeaderSource(Settings):
    """Request headers that the gateway itself sets, over any copy of the client's."""

    type: Literal["header"] = Field(description="Kind of source.")
    set_by_gateway: Literal[True] = Field(
        description="Says that the gateway removes these headers from what clients send and sets them itself; "
        "without that any client names itself."
    )
    tenant: HeaderName | None = Field(default=None, description="Header of the tenant, in lower case.")
    principal: HeaderName | None = Field(default=None, description="Header of the principal, in lower case.")
    verified: bool = Field(default=False, description="Whether what it names counts as proven.")

    @model_validator(mode="after")
    def _names_headers(self) -> Self:
        for key in ("tenant", "principal"):
            if getattr(self, key) in NOT_FOR_NAMES:
                raise SettingsError((key,), f'"{getattr(self, key)}" is a header of the client, not of the gateway')
        _check_named(self, "header")
        return self


def _check_named(source: JwtSource | ContextExtensionsSource | HeaderSource, what: str) -> None:
    if source.tenant is None and source.principal is None:
        raise SettingsError((), f"names no {what}; give tenant or principal")


Source = Annotated[
    CertificateSource | JwtSource | ContextExtensionsSource | HeaderSource,
    Field(discriminator="type"),
]


class IdentitySettings(Settings):
    """Who is calling."""

    sources: tuple[Source, ...] = Field(
        default=(
            CertificateSource(type="certificate"),
            JwtSource(type="jwt"),
            ContextExtensionsSource(type="context_extensions"),
        ),
        max_length=16,
        description="Where tenant and principal come from, the strongest first: each is what the first source that "
        "has it says. Two that name different tenants are refused, and so is one that cannot be read.",
    )
    require_verified: bool = Field(
        default=False, description="Refuse callers whose names are not all proven, or that have none."
    )
    challenge: HeaderValue = Field(
        default="Bearer", description="`WWW-Authenticate` of the answer to a caller that is refused for that."
    )
