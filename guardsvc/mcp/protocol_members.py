"""Protocol members: the names that mean something to MCP in each object, and what is wrong with others.

A reader that ignores case or Unicode form takes ``Method`` for ``method``. In objects of the protocol a
spelling that such a reader would take for a member is refused; in free objects (``arguments``) it is not.
"""

from __future__ import annotations

from typing import Any

import msgspec

from guardsvc.mcp.envelope import SAFE_INTEGER
from guardsvc.mcp.refusal import excerpt
from guardsvc.mcp.spelling import fold

__all__ = ["MESSAGE", "OTHER_PARAMS", "PARAMS", "RESULT", "SERVER_RESULT", "Fault", "Members", "find_fault"]


class Fault(msgspec.Struct, frozen=True):
    """What is wrong: a reason code, and what and where for operators."""

    code: str
    detail: str


class Members(msgspec.Struct, frozen=True):
    """The members of one kind of object.

    Attributes:
        names: members of the protocol.
        folded: their folded spellings.
        inner: members that are objects of the protocol themselves.
        each: what every value is, for an object with free names.
    """

    names: frozenset[str]
    folded: frozenset[str]
    inner: tuple[tuple[str, Members], ...] = ()
    each: Members | None = None


_NUMBERS = frozenset(
    {
        "code",
        "io.modelcontextprotocol/subscriptionId",
        "progress",
        "progressToken",
        "requestId",
        "total",
        "ttl",
    }
)


def find_fault(value: dict[str, Any], members: Members, where: str) -> Fault | None:
    """The first misspelt member or unsafe number of an object of the protocol.

    Args:
        value: the object.
        members: what it may hold; other names are free unless they spell one of these.
        where: JSON pointer of the object in the message.
    """
    if members.each is not None:
        inner = ((name, members.each) for name in value)
    else:
        fault = _find_variant(value, members, where) or _find_unsafe_number(value, where)
        if fault:
            return fault
        inner = ((name, within) for name, within in members.inner if name in value)
    for name, within in inner:
        part = value[name]
        if type(part) is dict and (fault := find_fault(part, within, f"{where}/{name}")):
            return fault
    return None


def _find_variant(value: dict[str, Any], members: Members, where: str) -> Fault | None:
    if value.keys() <= members.names:
        return None
    spellings = set(members.folded)
    for name in value:
        if name in members.names:
            continue
        spelling = fold(name)
        if spelling in spellings:
            return Fault("case_variant_key", f"member {excerpt(name)} in {excerpt(where)}")
        spellings.add(spelling)
    return None


def _find_unsafe_number(value: dict[str, Any], where: str) -> Fault | None:
    for name in value.keys() & _NUMBERS:
        number = value[name]
        if type(number) is int and not -SAFE_INTEGER <= number <= SAFE_INTEGER:
            return Fault("number_range", f"{name} in {excerpt(where)} is beyond 2^53")
    return None


def _members(*names: str, **inner: Members) -> Members:
    every = frozenset(names) | inner.keys()
    return Members(every, frozenset(fold(name) for name in every), tuple(inner.items()))


_IMPLEMENTATION = _members("description", "icons", "name", "title", "version", "websiteUrl")
_META = _members(
    "baggage",
    "progressToken",
    "traceparent",
    "tracestate",
    **{
        "io.modelcontextprotocol/clientCapabilities": _members(),
        "io.modelcontextprotocol/clientInfo": _IMPLEMENTATION,
        "io.modelcontextprotocol/logLevel": _members(),
        "io.modelcontextprotocol/protocolVersion": _members(),
        "io.modelcontextprotocol/related-task": _members("taskId"),
        "io.modelcontextprotocol/serverInfo": _IMPLEMENTATION,
        "io.modelcontextprotocol/subscriptionId": _members(),
    },
)
RESULT = _members("action", "content", "model", "role", "roots", "stopReason", _meta=_META)
"""A client's answer to a request of the server."""

SERVER_RESULT = _members(
    "completion",
    "content",
    "contents",
    "description",
    "inputRequests",
    "instructions",
    "isError",
    "messages",
    "nextCursor",
    "prompts",
    "protocolVersion",
    "requestState",
    "resourceTemplates",
    "resources",
    "resultType",
    "structuredContent",
    "task",
    "tasks",
    "tools",
    _meta=_META,
    capabilities=_members(),
    serverInfo=_IMPLEMENTATION,
)
"""A server's answer to a request of the client, at its top; what its parts may hold is not told here."""

PARAMS = _members(
    "arguments",
    "capabilities",
    "cursor",
    "level",
    "message",
    "name",
    "progress",
    "progressToken",
    "protocolVersion",
    "reason",
    "requestId",
    "requestState",
    "taskId",
    "total",
    "uri",
    _meta=_META,
    argument=_members("name", "value"),
    clientInfo=_IMPLEMENTATION,
    context=_members("arguments"),
    inputResponses=Members(frozenset(), frozenset(), each=RESULT),
    notifications=_members("promptsListChanged", "resourceSubscriptions", "resourcesListChanged", "toolsListChanged"),
    ref=_members("name", "title", "type", "uri"),
    task=_members("ttl"),
)
"""The params of the methods MCP knows."""

OTHER_PARAMS = _members(_meta=_META)
"""The params of a method it does not know."""

MESSAGE = _members("id", "jsonrpc", "method", "params", "result", error=_members("code", "data", "message"))
"""A JSON-RPC message without its params and result."""
