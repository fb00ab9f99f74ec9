"""Arguments: an operation as the function of a guest takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.wasm.calls.call import Arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.guards.wasm.contract.shape import Function
    from guardsvc.model import Operation

__all__ = ["arguments_of", "metadata_of", "tools_of"]

_encode = msgspec.json.Encoder().encode
_TOOL_MEMBERS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
_JSON_MEMBERS = {"output-schema": "outputSchema", "annotations": "annotations"}


def metadata_of(operation: Operation, headers: Sequence[str]) -> dict[str, str]:
    """What a guest may know of an operation beside its payload, and no more than that.

    Args:
        operation: the operation.
        headers: names of the header fields it is granted, in lower case.
    """
    caller = operation.caller
    known = {
        "direction": operation.direction.value,
        "kind": operation.kind.value,
        "method": operation.method,
        "phase": operation.phase.value,
        "protocol": operation.protocol.value,
        "revision": operation.revision,
        "server": operation.server or "",
        "subject": operation.subject,
        "tenant": caller.tenant,
        "principal": caller.principal,
        "verified": "true" if caller.verified else "false",
    }
    told = {key: value for key, value in known.items() if value}
    for name in headers:
        if (value := operation.headers.get(name)) is not None:
            told[f"header:{name}"] = value
    return told


def arguments_of(function: Function, operation: Operation, metadata: dict[str, str]) -> Arguments:
    """The arguments of a function.

    Args:
        function: one that judges at the operation's direction and phase.
        operation: what is judged.
        metadata: see ``metadata_of``.
    """
    caller = operation.caller
    values: dict[str, bytes | bool | None] = {
        "context.server-name": _text(operation.server) or b"",
        "context.server-url": None,
        "context.tenant": _text(caller.tenant),
        "context.identity": _text(caller.principal),
        "context.verified": caller.verified,
        "context.method": _text(operation.method),
        "context.metadata": _encode(metadata),
        "stage": function.evaluation.points[operation.direction, operation.phase].encode(),
        "subject": _text(operation.subject),
    }
    payload = operation.payload
    match function.kind:
        case "tools-list":
            return Arguments(function.params, values, {"tools": _columns(tools_of(payload))})
        case "tool-invoke":
            arguments = payload.get("arguments") if type(payload) is dict else None
            values["tool-name"] = _text(operation.subject) or b""
            values["arguments"] = _encode({} if arguments is None else arguments)
        case _:
            values["payload"] = _encode({} if payload is None else payload)
    return Arguments(function.params, values, {})


def tools_of(payload: Any) -> list[Any]:
    """The tools that a result lists; what stands in their place, where that is no list."""
    if type(payload) is not dict or "tools" not in payload:
        return []
    tools = payload["tools"]
    return tools if type(tools) is list else [tools]


def _columns(tools: list[Any]) -> tuple[int, dict[str, list[bytes | None]]]:
    columns: dict[str, list[bytes | None]] = {
        "name": [],
        "title": [],
        "description": [],
        "input-schema": [],
        "output-schema": [],
        "annotations": [],
        "other-members": [],
    }
    for tool in tools:
        members = tool if type(tool) is dict else {"": tool}
        taken = 0
        for column, member in (("name", "name"), ("title", "title"), ("description", "description")):
            text = members.get(member)
            if type(text) is str:
                taken += 1
                columns[column].append(text.encode("utf-8", "replace"))
            else:
                columns[column].append(None)
        taken += "inputSchema" in members
        columns["input-schema"].append(_encode(members.get("inputSchema")))
        for column, member in _JSON_MEMBERS.items():
            if member in members:
                taken += 1
                columns[column].append(_encode(members[member]))
            else:
                columns[column].append(None)
        columns["other-members"].append(_others(members) if taken < len(members) else None)
    return len(tools), columns


def _others(members: dict[str, Any]) -> bytes:
    """What no other field of the record shows, texts that are none among it."""
    texts = ("name", "title", "description")
    return _encode(
        {
            key: value
            for key, value in members.items()
            if key not in _TOOL_MEMBERS or (key in texts and type(value) is not str)
        }
    )


def _text(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "replace")
