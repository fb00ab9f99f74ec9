"""Answers: what a guest said, as a verdict."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.wasm.calls.arguments import tools_of
from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.model import ALLOW, Allow, Deny, Finding, Modify, Severity, Verdict, reason_for

if TYPE_CHECKING:
    from guardsvc.guards.wasm.contract.shape import Function
    from guardsvc.model import Operation

__all__ = ["WARNING", "verdict_of"]

WARNING, MODIFIED = "warning", "modified"
"""Rules of the findings of a ``warn`` and of a ``modify``; that of a denial is its code."""

OTHERWISE = "access_denied"
"""The code of a denial by a component of an older interface that has none it may give."""
MAX_MESSAGE = 300
MAX_EXCERPT = 200
CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NO_CODE = re.compile(r"[^a-z0-9_]+")

_decode = msgspec.json.Decoder().decode


def verdict_of(function: Function, operation: Operation, answer: Any) -> Verdict:
    """The verdict that an answer amounts to.

    Args:
        function: which answered.
        operation: what it judged.
        answer: as ``Lifter.lift`` reads it.

    Raises:
        WasmFailure: the guest reports an error, or the answer is none that can be followed.
    """
    which, decision = answer
    if which == "err":
        raise WasmFailure("guest_error", _line(decision, MAX_EXCERPT))
    case, payload = decision
    match case:
        case "allow":
            return ALLOW
        case "deny":
            return _denial(payload, exact=function.exact)
        case "modify":
            finding = Finding(rule=MODIFIED, severity=Severity.MEDIUM)
            return Modify(payload=_modified(function, operation, payload), findings=(finding,))
        case "warn":
            return Allow(
                findings=tuple(
                    Finding(rule=WARNING, severity=Severity.LOW, excerpt=_line(text, MAX_EXCERPT)) for text in payload
                )
            )
        case _:
            raise WasmFailure("bad_answer", "a decision of no known kind")


def _denial(reason: dict[str, Any], *, exact: bool) -> Deny:
    code = reason["code"]
    if not CODE.fullmatch(code):
        if exact:
            raise WasmFailure("bad_answer", "the code of a denial is not snake_case")
        code = _NO_CODE.sub("_", code.lower()).strip("_")[:64]
        code = code if CODE.fullmatch(code) else OTHERWISE
    if reason_for(code).reserved:
        if exact:
            raise WasmFailure("bad_answer", "the code of a denial is one that only guardsvc gives")
        code = OTHERWISE
    finding = Finding(rule=code, severity=Severity.HIGH)
    details = _details(reason["details"], exact=exact)
    return Deny(code=code, message=_line(reason["message"], MAX_MESSAGE), details=details, findings=(finding,))


def _details(text: str | None, *, exact: bool) -> dict[str, Any]:
    if not text:
        return {}
    try:
        details = _decode(text)
    except (msgspec.MsgspecError, RecursionError):
        details = None
    if isinstance(details, dict):
        return details
    if exact:
        raise WasmFailure("bad_answer", "the details of a denial are no JSON object")
    return {"details": _line(text, MAX_MESSAGE)}


def _modified(function: Function, operation: Operation, text: str) -> Any:
    try:
        value = _decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise WasmFailure("bad_answer", "what goes on is no JSON") from None
    payload = operation.payload if isinstance(operation.payload, dict) else {}
    if function.kind == "tools-list":
        listed = value.get("tools") if isinstance(value, dict) else value
        return {**payload, "tools": _tools(listed, tools_of(payload))}
    if not isinstance(value, dict):
        raise WasmFailure("bad_answer", "what goes on is no JSON object")
    return {**payload, "arguments": value} if function.kind == "tool-invoke" else value


def _tools(listed: Any, tools: list[Any]) -> list[Any]:
    if not isinstance(listed, list):
        raise WasmFailure("bad_answer", "the tools that go on are no list")
    by_name = {tool["name"]: tool for tool in reversed(tools) if isinstance(tool, dict) and "name" in tool}
    kept = []
    for item in listed:
        if isinstance(item, dict):
            kept.append(item)
        elif isinstance(item, str) and item in by_name:
            kept.append(by_name[item])
        else:
            raise WasmFailure("bad_answer", "a tool that goes on is none of those listed")
    return kept


def _line(text: str, most: int) -> str:
    """One short line: what a guest says may come from a client."""
    return "".join(character if character.isprintable() else " " for character in text[:most])
