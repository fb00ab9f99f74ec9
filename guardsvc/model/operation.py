"""Operation: one MCP message under decision, with everything a guard may know about it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from guardsvc.model.headers import Headers

__all__ = [
    "PHASES",
    "REQUEST_PHASES",
    "RESPONSE_PHASES",
    "Caller",
    "Direction",
    "GatewayProtocol",
    "Kind",
    "Operation",
    "Phase",
    "RequestId",
]

RequestId = str | int


class GatewayProtocol(StrEnum):
    """The contract through which the operation was asked about."""

    EXT_AUTHZ = "ext_authz"
    EXT_PROC = "ext_proc"
    EXT_MCP = "ext_mcp"
    GUARD_SERVICE = "guard_service"
    CLI = "cli"


class Direction(StrEnum):
    """Which way the message travels: from the client to the server, or back."""

    REQUEST = "request"
    RESPONSE = "response"


class Phase(StrEnum):
    """The point of an MCP exchange at which guards look."""

    TOOLS_LIST = "tools_list"
    TOOL_INVOKE = "tool_invoke"
    TOOL_RESULT = "tool_result"
    PROMPTS_LIST = "prompts_list"
    PROMPT_GET = "prompt_get"
    PROMPT_RESULT = "prompt_result"
    RESOURCES_LIST = "resources_list"
    RESOURCE_READ = "resource_read"
    RESOURCE_RESULT = "resource_result"
    INPUT_REQUEST = "input_request"
    INPUT_RESPONSE = "input_response"
    CONNECTION = "connection"
    OTHER = "other"


PHASES = frozenset(Phase)

_RESPONSE_ONLY = frozenset({Phase.TOOL_RESULT, Phase.PROMPT_RESULT, Phase.RESOURCE_RESULT, Phase.INPUT_REQUEST})
_REQUEST_ONLY = frozenset({Phase.TOOL_INVOKE, Phase.PROMPT_GET, Phase.RESOURCE_READ, Phase.INPUT_RESPONSE})
REQUEST_PHASES = PHASES - _RESPONSE_ONLY
RESPONSE_PHASES = PHASES - _REQUEST_ONLY


class Kind(StrEnum):
    """What the message is: a JSON-RPC kind, or an HTTP request of the transport without a message."""

    REQUEST = "request"
    NOTIFICATION = "notification"
    RESULT = "result"
    ERROR = "error"
    TRANSPORT = "transport"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking.

    Attributes:
        tenant: the tenant, or None where no source names one.
        principal: the principal, or None where no source names one.
        verified: whether the gateway proved the identity and the gateway itself is trusted.
        address: network address of the client as the gateway saw it.
    """

    tenant: str | None = None
    principal: str | None = None
    verified: bool = False
    address: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One MCP message under decision.

    Attributes:
        protocol: the gateway protocol it came by.
        direction: request or response.
        phase: where in the exchange it stands.
        kind: request, notification, result, error, or transport.
        method: JSON-RPC method; ``http/...`` for transport requests; empty for a client's answer
            to a server request, which carries none.
        id: JSON-RPC id, or None where the kind has none.
        server: canonical name of the MCP server, None if it is unknown or not a single one.
        servers: every server the operation may reach; one entry where ``server`` is set.
        subject: tool name as the server itself calls it, prompt name or resource URI; else None.
        payload: decoded ``params`` of requests and notifications (a dict, or None when absent),
            ``result`` or ``error`` otherwise. Never mutated: a guard returns a new one in Modify.
        caller: who is asking.
        headers: the HTTP header fields of the request.
        revision: MCP protocol revision the message is read under (``2025-11-25``).
        http_method: HTTP method of the request, empty where the protocol does not show it.
        path: HTTP path with query, undecoded, empty where the protocol does not show it.
    """

    protocol: GatewayProtocol
    direction: Direction
    phase: Phase
    kind: Kind
    method: str
    id: RequestId | None = None
    server: str | None = None
    servers: tuple[str, ...] = ()
    subject: str | None = None
    payload: Any = None
    caller: Caller = Caller()
    headers: Headers = Headers()
    revision: str = ""
    http_method: str = ""
    path: str = ""
