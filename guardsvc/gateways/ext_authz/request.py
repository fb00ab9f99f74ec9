"""Reads a CheckRequest: the HTTP request, the caller, and what the gateway calls the server.

Field facts: envoy/service/auth/v3/attribute_context.proto as Envoy 1.40 and agentgateway fill it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.gateways.exchange import Asker
from guardsvc.mcp import BodyState, HttpRequest
from guardsvc.model import Caller, GatewayProtocol, Headers

if TYPE_CHECKING:
    from guardsvc._proto.envoy.service.auth.v3.attribute_context_pb2 import AttributeContext

__all__ = ["asker_of", "http_request_of"]

SERVER_EXTENSION = "mcp_server"
TENANT_EXTENSION = "tenant"
JWT_NAMESPACE = "envoy.filters.http.jwt_authn"
JWT_PAYLOAD = "jwt_payload"
PARTIAL_BODY_HEADER = "x-envoy-auth-partial-body"


def http_request_of(attributes: AttributeContext) -> HttpRequest:
    """The request as the gateway passed it on."""
    http = attributes.request.http
    if http.header_map.headers:
        headers = Headers(
            (field.key, field.raw_value.decode("latin-1") if field.raw_value else _as_latin_1(field.value))
            for field in http.header_map.headers
        )
    else:
        headers = Headers((name, _as_latin_1(value)) for name, value in http.headers.items())
    body = http.raw_body or http.body.encode()
    return HttpRequest(
        method=http.method,
        path=http.path,
        host=http.host,
        headers=headers,
        body=body,
        body_state=_body_state(attributes, headers, body),
    )


def _as_latin_1(value: str) -> str:
    """The text as ``raw_value`` would give it, so that both ways of passing headers show guards the same."""
    return value if value.isascii() else value.encode().decode("latin-1")


def _body_state(attributes: AttributeContext, headers: Headers, body: bytes) -> BodyState:
    """How much of the body is there.

    Envoy marks a cut body with a header and keeps its real size; agentgateway sets the size to -1.
    """
    http = attributes.request.http
    if (
        http.size < 0
        or http.size > len(body)
        or any(value.strip().lower() != "false" for value in headers.all(PARTIAL_BODY_HEADER))
    ):
        return BodyState.PARTIAL
    if not body:
        return BodyState.ABSENT
    return BodyState.WHOLE if http.raw_body else BodyState.LOSSY


def asker_of(attributes: AttributeContext, *, trusted: bool) -> Asker:
    """Who asks, and for whom.

    Args:
        attributes: of the CheckRequest.
        trusted: whether the peer on the gRPC socket is believed; identity from any other counts as
            not verified.
    """
    extensions = attributes.context_extensions
    claims = _claims(attributes)
    principal = attributes.source.principal or claims.get("sub")
    address = attributes.source.address
    return Asker(
        protocol=GatewayProtocol.EXT_AUTHZ,
        caller=Caller(
            tenant=claims.get("tenant") or extensions.get(TENANT_EXTENSION) or None,
            principal=principal or None,
            verified=trusted and bool(principal),
            address=address.socket_address.address or address.pipe.path or None,
        ),
        server_id=extensions.get(SERVER_EXTENSION) or None,
    )


def _claims(attributes: AttributeContext) -> dict[str, str]:
    """The text claims of the JWT that the gateway verified."""
    metadata = attributes.metadata_context.filter_metadata
    if JWT_NAMESPACE not in metadata:
        return {}
    payload = metadata[JWT_NAMESPACE].fields.get(JWT_PAYLOAD)
    if payload is None:
        return {}
    return {
        name: value.string_value
        for name, value in payload.struct_value.fields.items()
        if value.HasField("string_value")
    }
