"""CheckRequests as Envoy and agentgateway fill them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from guardsvc._proto.envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from tests.gateways.posted import request

FIELDS = {":method": "POST", "content-type": "application/json", "accept": "application/json, text/event-stream"}


def attributes(
    message: Any = None,
    /,
    *,
    headers: Mapping[str, str] | None = None,
    extensions: Mapping[str, str] | None = None,
    principal: str = "",
    claims: Mapping[str, Any] | None = None,
    **http: Any,
) -> AttributeContext:
    """What a gateway says of a POST; ``http`` are further fields of its HttpRequest."""
    data = message if isinstance(message, bytes) else json.dumps(request() if message is None else message).encode()
    given: dict[str, Any] = {"method": "POST", "path": "/mcp", "host": "h", "size": len(data), "raw_body": data}
    context = AttributeContext()
    for name, value in (given | http).items():
        if value is not None:
            setattr(context.request.http, name, value)
    context.request.http.headers.update(FIELDS if headers is None else FIELDS | dict(headers))
    context.context_extensions.update(extensions or {})
    context.source.principal = principal
    context.source.address.socket_address.address = "203.0.113.9"
    if claims is not None:
        jwt = context.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
        jwt.update({"jwt_payload": dict(claims)})
    return context


def check_request(context: AttributeContext) -> bytes:
    data: bytes = CheckRequest(attributes=context).SerializeToString()
    return data
