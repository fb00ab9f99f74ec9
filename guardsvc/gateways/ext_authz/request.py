"""Reads a CheckRequest: the HTTP request, the caller, and what the gateway calls the server.

Field facts: envoy/service/auth/v3/attribute_context.proto as Envoy 1.40 and agentgateway fill it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.gateways.exchange import Asker
from guardsvc.gateways.identity import WireEvidence, named, peer_address
from guardsvc.mcp import BodyState, HttpRequest
from guardsvc.model import Caller, GatewayProtocol, Headers

if TYPE_CHECKING:
    from guardsvc._proto.envoy.config.core.v3.base_pb2 import HeaderValue
    from guardsvc._proto.envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
    from guardsvc.policy import Identity

__all__ = ["asker_of", "http_request_of"]

SERVER_EXTENSION = "mcp_server"
PARTIAL_BODY_HEADER = "x-envoy-auth-partial-body"


def http_request_of(attributes: AttributeContext) -> HttpRequest:
    """The request as the gateway passed it on."""
    http = attributes.request.http
    if http.header_map.headers:
        headers = _headers_of(list(http.header_map.headers))
    else:
        headers = Headers((name, _as_latin_1(value)) for name, value in http.headers.items())
    raw = http.raw_body  # a copy each time
    body = raw or http.body.encode()
    return HttpRequest(
        method=http.method,
        path=http.path,
        host=http.host,
        headers=headers,
        body=body,
        body_state=_body_state(http.size, headers, body, as_bytes=bool(raw)),
    )


def _headers_of(fields: list[HeaderValue]) -> Headers:
    """The fields as they stand. All values are decoded at once, unless one of them looks like several."""
    raw = [field.raw_value for field in fields]
    values = b"\n".join(raw).decode("latin-1").split("\n")
    if len(values) != len(raw) or not all(raw):
        values = [one.decode("latin-1") or _as_latin_1(field.value) for one, field in zip(raw, fields, strict=True)]
    return Headers(zip([field.key for field in fields], values, strict=True))


def _as_latin_1(value: str) -> str:
    """The text as ``raw_value`` would give it, so that both ways of passing headers show guards the same."""
    return value if value.isascii() else value.encode().decode("latin-1")


def _body_state(size: int, headers: Headers, body: bytes, *, as_bytes: bool) -> BodyState:
    """How much of the body is there.

    Envoy marks a cut body with a header and keeps its real size; agentgateway sets the size to -1.
    """
    if (
        size < 0
        or size > len(body)
        or any(value.strip().lower() != "false" for value in headers.all(PARTIAL_BODY_HEADER))
    ):
        return BodyState.PARTIAL
    if not body:
        return BodyState.ABSENT
    return BodyState.WHOLE if as_bytes else BodyState.LOSSY


def asker_of(attributes: AttributeContext, headers: Headers, identity: Identity, *, peer: str, believed: bool) -> Asker:
    """Who asks, and for whom.

    Args:
        attributes: of the CheckRequest.
        headers: of the request, as ``http_request_of`` reads them.
        identity: names callers.
        peer: as ``grpc.ServicerContext.peer()`` gives it.
        believed: whether the peer is believed. From any other nothing but the HTTP request counts:
            neither names nor server, and the address is the peer's own.
    """
    if not believed:
        return Asker(protocol=GatewayProtocol.EXT_AUTHZ, caller=Caller(address=peer_address(peer)))
    extensions = attributes.context_extensions
    evidence = WireEvidence(
        attributes.source.principal, extensions, attributes.metadata_context.filter_metadata, headers
    )
    client = attributes.source.address
    address = client.socket_address.address or client.pipe.path or None
    caller, refusal = named(identity, evidence, address)
    return Asker(
        protocol=GatewayProtocol.EXT_AUTHZ,
        caller=caller,
        refusal=refusal,
        server_id=extensions.get(SERVER_EXTENSION) or None,
    )
