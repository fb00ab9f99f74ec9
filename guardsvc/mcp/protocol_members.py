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
    """What is wrong.

    Attributes:
        code: reason code.
        what: for operators.
        within: JSON pointer of the object in the one that was looked at.
    """

    code: str
    what: str
    within: str = ""

    def detail(self, where: str) -> str:
        """What and where, for operators; ``where`` is the JSON pointer of the object that was looked at."""
        return f"{self.what} in {excerpt(where + self.within)}"


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


def find_fault(value: dict[str, Any], members: Members) -> Fault | None:
    """The first misspelt member or unsafe number of an object of the protocol.

    Args:
        value: the object.
        members: what it may hold; other names are free unless they spell one of these.
    """
    names = value.keys()
    inner = members.inner
    if members.each is not None:
        inner = tuple((name, members.each) for name in value)
    else:
        fault = None if names <= members.names else _find_variant(value, members)
        if fault is None and not names.isdisjoint(_NUMBERS):
            fault = _find_unsafe_number(value)
        if fault is not None:
            return fault
    for name, within in inner:
        part = value.get(name)
        if type(part) is dict and (fault := find_fault(part, within)):
            return msgspec.structs.replace(fault, within=f"/{name}{fault.within}")
    return None


def _find_variant(value: dict[str, Any], members: Members) -> Fault | None:
    spellings = set(members.folded)
    for name in value:
        if name in members.names:
            continue
        spelling = fold(name)
        if spelling in spellings:
            return Fault("case_variant_key", f"member {excerpt(name)}")
        spellings.add(spelling)
    return None


def _find_unsafe_number(value: dict[str, Any]) -> Fault | None:
    for name in value.keys() & _NUMBERS:
        number = value[name]
        if type(number) is int and not -SAFE_INTEGER <= number <= SAFE_INTEGER:
            return Fault("number_range", f"{name} beyond 2^53")
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
