"""Method types: whether params or a result have the shape that clients and servers read a method's as.

A gateway that forwards what guardsvc made of a message may not look at it, so that a client's library would be
the first to stumble over it. Source: the schemas of the five revisions; members that they do not name are free.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

__all__ = ["find_params_fault", "find_result_fault"]

_Object = dict[str, Any]
_Name = Annotated[str, msgspec.Meta(min_length=1)]
_NEEDED = {
    "text": ("text",),
    "image": ("data", "mimeType"),
    "audio": ("data", "mimeType"),
    "resource": ("resource",),
    "resource_link": ("uri", "name"),
}


class _Struct(msgspec.Struct):
    """An object with these members and any others."""


class _Contents(_Struct, kw_only=True):
    uri: str
    text: str | None = None
    blob: str | None = None

    def __post_init__(self) -> None:
        if (self.text is None) == (self.blob is None):
            raise ValueError("exactly one of text and blob is needed")


class _Content(_Struct, kw_only=True):
    type: str
    text: str | None = None
    data: str | None = None
    mimeType: str | None = None  # noqa: N815  as the protocol spells it
    resource: _Contents | None = None
    uri: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for name in _NEEDED.get(self.type, ()):
            if getattr(self, name) is None:
                raise ValueError(f"content of type {self.type} without {name}")


class _Tool(_Struct, kw_only=True):
    name: _Name
    inputSchema: _Object  # noqa: N815
    description: str | None = None
    title: str | None = None
    outputSchema: _Object | None = None  # noqa: N815
    annotations: _Object | None = None


class _Prompt(_Struct, kw_only=True):
    name: _Name
    description: str | None = None
    arguments: list[_Object] | None = None


class _Resource(_Struct, kw_only=True):
    uri: _Name
    name: str
    description: str | None = None


class _Template(_Struct, kw_only=True):
    uriTemplate: _Name  # noqa: N815
    name: str
    description: str | None = None


class _Page(_Struct, kw_only=True):
    nextCursor: str | None = None  # noqa: N815


class _Tools(_Page, kw_only=True):
    tools: list[_Tool]


class _Prompts(_Page, kw_only=True):
    prompts: list[_Prompt]


class _Resources(_Page, kw_only=True):
    resources: list[_Resource]


class _Templates(_Page, kw_only=True):
    resourceTemplates: list[_Template]  # noqa: N815


class _PromptMessage(_Struct, kw_only=True):
    role: Literal["user", "assistant"]
    content: _Content


class _PromptResult(_Struct, kw_only=True):
    messages: list[_PromptMessage]
    description: str | None = None


class _ResourceResult(_Struct, kw_only=True):
    contents: list[_Contents]


class _ToolResult(_Struct, kw_only=True):
    content: list[_Content]
    isError: bool = False  # noqa: N815


class _Task(_Struct, kw_only=True):
    """A call that goes on as a task (2025-11-25), or a task asked about."""

    task: _Object


class _InputRequired(_Struct, kw_only=True):
    """A call that asks the client in turn (2026-07-28)."""

    resultType: Literal["input_required"]  # noqa: N815
    inputRequests: dict[str, _Object] | None = None  # noqa: N815
    requestState: str | None = None  # noqa: N815


class _Values(_Struct, kw_only=True):
    values: list[str]


class _Completion(_Struct, kw_only=True):
    completion: _Values


class _Implementation(_Struct, kw_only=True):
    name: str
    version: str


class _Initialized(_Struct, kw_only=True):
    protocolVersion: str  # noqa: N815
    capabilities: _Object
    serverInfo: _Implementation  # noqa: N815
    instructions: str | None = None


class _Discovered(_Struct, kw_only=True):
    supportedVersions: list[str]  # noqa: N815
    capabilities: _Object
    instructions: str | None = None


class _Call(_Struct, kw_only=True):
    name: _Name
    arguments: _Object | None = None


class _PromptCall(_Struct, kw_only=True):
    name: _Name
    arguments: dict[str, str] | None = None


class _Read(_Struct, kw_only=True):
    uri: _Name


_PARAMS: dict[str, type[msgspec.Struct]] = {"tools/call": _Call, "prompts/get": _PromptCall, "resources/read": _Read}
_RESULTS: dict[str, type[msgspec.Struct]] = {
    "initialize": _Initialized,
    "server/discover": _Discovered,
    "tools/list": _Tools,
    "prompts/list": _Prompts,
    "resources/list": _Resources,
    "resources/templates/list": _Templates,
    "tools/call": _ToolResult,
    "tasks/result": _ToolResult,
    "prompts/get": _PromptResult,
    "resources/read": _ResourceResult,
    "completion/complete": _Completion,
}
_MAY_ASK = frozenset({"tools/call", "prompts/get", "resources/read"})


def find_params_fault(method: str, params: Any) -> str | None:
    """Why params are not what the method takes, None where they are. A method that is not known takes any object.

    Args:
        method: of the request.
        params: as ``strict_json.decode`` returned them.
    """
    return _fault(params, _PARAMS.get(method, _Struct))


def find_result_fault(method: str, result: Any) -> str | None:
    """Why a result is not what the method gives, None where it is.

    Args:
        method: of the request; one that is not known gives any object.
        result: as ``strict_json.decode`` returned it.
    """
    expected = _RESULTS.get(method, _Struct)
    if type(result) is dict:
        if method in _MAY_ASK and result.get("resultType") == "input_required":
            expected = _InputRequired
        elif method == "tools/call" and "task" in result and "content" not in result:
            expected = _Task
    return _fault(result, expected)


def _fault(value: Any, expected: type[msgspec.Struct]) -> str | None:
    try:
        msgspec.convert(value, expected)
    except (msgspec.ValidationError, RecursionError) as error:
        return str(error)
    return None
