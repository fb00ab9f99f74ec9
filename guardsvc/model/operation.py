"""Operation: one MCP message under decision, with everything a guard may know about it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from guardsvc.model.headers import Headers
from guardsvc.model.phase import Direction, Phase
from guardsvc.model.subject import SubjectKind, subject_kind
from guardsvc.model.word import Word

__all__ = ["Caller", "GatewayProtocol", "Kind", "Operation", "RequestId"]

RequestId = str | int

_LISTED_TOOL = re.compile(r"/tools/(0|[1-9][0-9]{0,8})(?:/.*)?", re.DOTALL)


class GatewayProtocol(Word):
    """The contract through which the operation was asked about."""

    EXT_AUTHZ = "ext_authz"
    EXT_PROC = "ext_proc"
    EXT_MCP = "ext_mcp"
    GUARD_SERVICE = "guard_service"
    CLI = "cli"


class Kind(Word):
    """What the message is: a JSON-RPC kind, or an HTTP request of the transport without a message."""

    REQUEST = "request"
    NOTIFICATION = "notification"
    RESULT = "result"
    ERROR = "error"
    TRANSPORT = "transport"


_SAID = (Kind.NOTIFICATION, Kind.REQUEST)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking.

    Attributes:
        tenant: the tenant, or None where no source names one.
        principal: the principal, or None where no source names one.
        verified: whether the gateway proved the identity and the gateway itself is trusted.
        address: network address of the client as the gateway saw it; the gateway's own where it is not trusted.
        source: kind of source that names the principal, or the tenant where there is no principal.
    """

    tenant: str | None = None
    principal: str | None = None
    verified: bool = False
    address: str | None = None
    source: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One MCP message under decision.

    What is found out about it, and asked for again by others, may be kept in its ``__dict__``, which belongs to this
    one operation: a copy with another payload begins without.

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
        subject: tool name as the server itself calls it, prompt name or resource URI; else None. Of a notification or
            a question of a server it is the tool whose call's stream it came in.
        payload: decoded ``params`` of requests and notifications (a dict, or None when absent),
            ``result`` or ``error`` otherwise. Never mutated: a guard returns a new one in Modify.
        caller: who is asking.
        headers: the HTTP header fields of the request.
        revision: MCP protocol revision the message is read under (``2025-11-25``).
        http_method: HTTP method of the request, empty where the protocol does not show it.
        path: HTTP path with query, undecoded, empty where the protocol does not show it.
        host: authority that the client asked for, as the gateway tells it beside the header fields; empty where it
            does not.
        learnable: whether a catalog may be learned from it: who shows it is believed, and the listener says so.
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
    host: str = ""
    learnable: bool = False

    @property
    def subject_kind(self) -> SubjectKind | None:
        """What the subject names, None where there is none.

        Of what a server says or asks while a call is under way it is the tool.
        """
        if self.direction is Direction.RESPONSE and self.kind in _SAID:
            return None if self.subject is None else SubjectKind.TOOL
        return subject_kind(self.phase, self.method, self.payload)

    def listed_tool(self, where: str) -> str | None:
        """Name of the tool that a JSON pointer leads into, as a tools list shows it; None where it is no such pointer.

        Args:
            where: into the payload.
        """
        found = _LISTED_TOOL.fullmatch(where)
        if found is None or self.phase is not Phase.TOOLS_LIST or self.direction is not Direction.RESPONSE:
            return None
        tools = self.payload.get("tools") if type(self.payload) is dict else None
        if type(tools) is not list or int(found[1]) >= len(tools):
            return None
        tool = tools[int(found[1])]
        name = tool.get("name") if type(tool) is dict else None
        return name if type(name) is str else None
