"""Settings of ``auth_bypass``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from guardsvc.config import Secret
from guardsvc.guards.native.auth_bypass.origin import origin_of
from guardsvc.model import Settings, SettingsError

__all__ = [
    "IDENTITY_HEADERS",
    "MEMORY",
    "OVERRIDE_HEADERS",
    "TOKEN_PARAMETERS",
    "AuthBypassSettings",
    "AuthorizationSettings",
    "JwtSettings",
    "SessionSettings",
]

MEMORY = "memory"

ALGORITHMS = (
    *(f"{family}{size}" for family in ("RS", "PS", "ES", "HS") for size in (256, 384, 512)),
    "ES256K",
    "EdDSA",
    "Ed25519",
    "Ed448",
)
"""Registered algorithms that sign (IANA "JSON Web Signature and Encryption Algorithms")."""

IDENTITY_HEADERS = (
    "x-forwarded-client-cert",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-authorization",
    "x-original-authorization",
    "x-auth-request-*",
    "x-auth-user*",
    "x-authenticated-*",
    "x-user",
    "x-user-id",
    "x-userid",
    "x-user-name",
    "x-username",
    "x-user-email",
    "x-user-role",
    "x-user-roles",
    "x-user-groups",
    "x-remote-user",
    "remote-user",
    "x-webauth-*",
    "x-principal",
    "x-principal-*",
    "x-subject",
    "x-tenant",
    "x-tenant-id",
    "x-org-id",
    "x-account-id",
    "x-userinfo",
    "x-consumer-*",
    "x-role",
    "x-admin",
    "x-roles",
    "x-groups",
    "x-scopes",
    "x-jwt-*",
    "x-client-cert",
    "x-client-cert-*",
    "x-client-dn",
    "x-client-verify",
    "x-ssl-client-*",
    "ssl-client-*",
    "x-spiffe-id",
    "impersonate-*",
    "x-impersonate-*",
    "x-goog-authenticated-user-*",
    "x-goog-iap-jwt-assertion",
    "x-amzn-oidc-*",
    "x-ms-client-principal*",
    "cf-access-*",
    "tailscale-user-*",
    "x-pomerium-*",
    "x-authentik-*",
    "x-vouch-*",
    "x-hasura-*",
    "x-appengine-user-*",
    "x-ms-token-*",
    "x-apigateway-api-userinfo",
    "x-endpoint-api-userinfo",
    "oidc-claim-*",
)

OVERRIDE_HEADERS = (
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-prefix",
    "x-rewrite-url",
    "x-override-url",
    "x-http-destinationurl",
    "x-http-path-override",
)

TOKEN_PARAMETERS = (
    "access_token",
    "api_key",
    "api_token",
    "apikey",
    "auth_token",
    "authorization",
    "bearer",
    "bearer_token",
    "client_secret",
    "id_token",
    "jwt",
    "password",
    "private_token",
    "refresh_token",
    "secret",
    "session_token",
    "token",
    "x_api_key",
)

Name = Annotated[str, Field(min_length=1, max_length=256)]
HeaderGlob = Annotated[str, Field(pattern=r"^[a-z0-9!#$%&'+.^_`|~-]{1,127}\*?$")]


def _check_origin(text: str) -> str:
    if text != "null" and origin_of(text.replace("*", "x")) is None:
        raise ValueError(f'"{text[:80]}" is not an origin such as https://app.example or https://*.app.example:8443')
    return text


OriginGlob = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_origin)]
RoutePath = Annotated[str, Field(pattern=r"^/[!-~]{0,255}$")]


class AuthorizationSettings(Settings):
    """The Authorization header."""

    required: bool = Field(
        default=False,
        description="Refuse a request without `Authorization` of a caller whom the gateway has not verified. "
        "Metadata below `/.well-known/` and preflights are exempt.",
    )
    schemes: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Schemes that are accepted, such as `Bearer`; any by default."
    )


class JwtSettings(Settings):
    """A token in the form of a JWT, whatever its scheme. It is decoded, never verified: that is the gateway's to do."""

    expected: bool = Field(default=False, description="Refuse bearer tokens that are no signed JWT.")
    verified: bool = Field(default=False, description="Refuse a JWT of a caller whom the gateway has not verified.")
    algorithms: tuple[Name, ...] = Field(
        default=ALGORITHMS,
        min_length=1,
        description="Values of `alg` that are accepted, exactly; name only those that the issuer uses, so that "
        "`HS256` cannot stand in for `RS256`. `none` is never accepted.",
    )
    key_members: tuple[Name, ...] = Field(
        default=("jku", "jwk", "x5c", "x5u"),
        description="Members of the JWT's header with which its sender would name the key, which are refused.",
    )
    issuers: tuple[Name, ...] = Field(
        default=(), description="Values of `iss` that are accepted; any if none is named."
    )
    audiences: tuple[Name, ...] = Field(
        default=(), description="Values of `aud` of which the token must have one; any if none is named."
    )


class SessionSettings(Settings):
    """Sessions belong to the principal that used them first."""

    storage: Literal["memory"] | Secret = Field(
        default="memory",
        union_mode="left_to_right",
        description="`memory` of the process, or the URL of a Redis or Valkey that workers and replicas share: "
        "`redis://`, `rediss://` (TLS), `valkey://`, `valkeys://` or `unix://`.",
    )
    ttl_seconds: int = Field(
        default=3600, ge=1, le=2_592_000, description="Seconds after its last use at which a session is forgotten."
    )
    max_sessions: int = Field(
        default=50_000,
        ge=1,
        le=10_000_000,
        description="Most sessions in memory; beyond, the principal who has most of them loses its oldest.",
    )
    max_per_principal: int = Field(
        default=1_000,
        ge=1,
        le=1_000_000,
        description="Most sessions of one principal in memory; beyond, its own that it used longest ago are forgotten.",
    )
    per_worker: bool = Field(
        default=False,
        description="Let each worker bind for itself; without it, memory with several workers is an error.",
    )


class AuthBypassSettings(Settings):
    """What is taken for an attempt to get around authentication or authorization."""

    authorization: AuthorizationSettings = Field(
        default=AuthorizationSettings(), description="The `Authorization` header."
    )
    jwt: JwtSettings = Field(default=JwtSettings(), description="Tokens in the form of a JWT.")
    sessions: SessionSettings | None = Field(
        default=None,
        description="Bind each `Mcp-Session-Id` to the verified principal that used it first; off if absent.",
    )
    origins: tuple[OriginGlob, ...] | None = Field(
        default=None,
        description="Values of `Origin` that are accepted, as globs such as `https://*.app.example`; without the "
        "setting any that is well formed, with an empty list none.",
    )
    hosts: tuple[Name, ...] | None = Field(
        default=None,
        min_length=1,
        description="Hosts that clients may ask for, without port, as globs; any without the setting.",
    )
    identity_headers: tuple[HeaderGlob, ...] = Field(
        default=IDENTITY_HEADERS,
        description="Headers that say who the caller is, in lower case; `*` may stand at the end. A client must not "
        "send them.",
    )
    set_by_gateway: tuple[HeaderGlob, ...] = Field(
        default=(),
        description="Those of them that the gateway itself sets over any copy of the client's, and that are let pass.",
    )
    override_headers: tuple[HeaderGlob, ...] = Field(
        default=OVERRIDE_HEADERS,
        description="Headers with which a client would give a server another method or path than the gateway sees.",
    )
    token_parameters: tuple[Name, ...] = Field(
        default=TOKEN_PARAMETERS,
        description="Query parameters that hold tokens, in any case, with `-` or `_` or without.",
    )
    token_tools: tuple[Name, ...] = Field(default=(), description="Tools, as globs, whose arguments may hold tokens.")
    paths: tuple[RoutePath, ...] = Field(
        default=("/mcp", "/sse", "/messages", "/.well-known"),
        description="Paths that gateways route by; one that begins as one of them but for case is refused.",
    )

    @model_validator(mode="after")
    def _no_unsigned(self) -> Self:
        for index, algorithm in enumerate(self.jwt.algorithms):
            if algorithm.strip().lower() == "none":
                raise SettingsError(("jwt", "algorithms", index), "a token without a signature is never accepted")
        return self
