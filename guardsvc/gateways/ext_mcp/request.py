"""Reads an McpRequest: the operation as the gateway read it, and the caller.

Field facts: ext_mcp.proto as agentgateway 1.4 fills it. It takes ``_meta`` and members that it does not know out of
``params``, writes them anew, and names tools, prompts and resources as their server does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.gateways.exchange import Asker
from guardsvc.gateways.identity import WireEvidence, named, peer_address, plain
from guardsvc.gateways.statement import Statement
from guardsvc.mcp.revisions import phase_of
from guardsvc.model import Caller, Direction, GatewayProtocol, Headers, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.struct_pb2 import Struct

    from guardsvc._proto.agentgateway.dev.ext_mcp.ext_mcp_pb2 import McpRequest
    from guardsvc.policy import Identity

__all__ = ["MODIFIABLE", "asker_of", "statement_of"]

MODIFIABLE = frozenset({"prompts/get", "resources/read", "tools/call"})
"""Methods of one server; of those for several the gateway drops what a request became."""

PRINCIPAL = "source.principal"
"""Key of the metadata under which the gateway's configuration may show the principal of a client certificate."""


def statement_of(request: McpRequest, *, believed: bool) -> Statement:
    """The operation as the gateway passed it on.

    Args:
        request: the message.
        believed: whether the gateway is believed; of any other the names of servers count for nothing.

    Raises:
        StatementError: it names no method of a message.
    """
    headers = Headers((field.key, field.value.decode("latin-1")) for field in request.headers)
    statement = Statement(
        direction=Direction.REQUEST,
        phase=phase_of(request.method),
        kind=Kind.REQUEST,
        method=request.method,
        servers=tuple(request.service_names) if believed else (),
        payload=request.mcp_request,
        headers=headers,
        path=headers.get(":path") or "",
        own_names=True,
    )
    statement.check()
    return statement


def asker_of(
    metadata: Struct,
    headers: Headers,
    identity: Identity,
    *,
    peer: str,
    believed: bool,
    can_modify: bool,
    learnable: bool = False,
) -> Asker:
    """Who asks, and for whom.

    Args:
        metadata: ``metadata_context``: each key is a context extension, and one with members a namespace of metadata.
        headers: of the request, none for a response.
        identity: names callers.
        peer: as ``grpc.ServicerContext.peer()`` gives it.
        believed: whether the peer is believed. From any other nothing but the message counts, and the address
            is the peer's own.
        can_modify: whether the gateway would take another payload.
        learnable: whether catalogs may be learned from it.
    """
    if not believed:
        return Asker(protocol=GatewayProtocol.EXT_MCP, caller=Caller(address=peer_address(peer)), can_modify=can_modify)
    extensions: Mapping[str, Any] = {key: plain(value) for key, value in metadata.fields.items()}
    namespaces = {
        key: value.struct_value for key, value in metadata.fields.items() if value.WhichOneof("kind") == "struct_value"
    }
    principal = extensions.get(PRINCIPAL)
    evidence = WireEvidence("" if principal is None else principal, extensions, namespaces, headers)
    caller, refusal = named(identity, evidence, None)
    return Asker(
        protocol=GatewayProtocol.EXT_MCP, caller=caller, refusal=refusal, can_modify=can_modify, learnable=learnable
    )
