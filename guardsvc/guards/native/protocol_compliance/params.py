"""Params: the members that each method's params must and may have, as data.

Source: the schemas of the five revisions and of the Tasks extension (``io.modelcontextprotocol/tasks``).
Members that no schema names are free: the protocol lets clients add them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from guardsvc.guards.native.protocol_compliance.refusals import (
    INPUT_MISPLACED,
    PARAMS_META,
    PARAMS_SHAPE,
    Rule,
)
from guardsvc.mcp.revisions import is_at_least

__all__ = ["ANSWER_ERROR", "Fault", "Member", "find_fault", "input_members", "members_of"]

STATELESS = "2026-07-28"
MAX_NAME_LENGTH = 1024
LOG_LEVELS = frozenset({"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"})

_NOWHERE = object()


class Check(msgspec.Struct, frozen=True):
    """What a value must be.

    Attributes:
        expected: for people, to be read after "must be".
        types: the JSON types it may have.
        test: what else holds for it.
    """

    expected: str
    types: frozenset[type]
    test: Callable[[Any], bool] | None = None


class Member(msgspec.Struct, frozen=True):
    """One member of an object.

    Attributes:
        name: its name.
        check: what its value must be.
        required: whether it must be there.
        inner: members of its value, which is an object.
        rule: the rule that a fault breaks.
        pointer: JSON pointer of it; set when the tables are built.
    """

    name: str
    check: Check
    required: bool = False
    inner: tuple[Member, ...] = ()
    rule: Rule = PARAMS_SHAPE
    pointer: str = ""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with params: the rule, where, and what is expected there."""

    rule: Rule
    pointer: str
    expected: str


def find_fault(value: Any, members: tuple[Member, ...]) -> Fault | None:
    """The first member that is missing or not what it must be."""
    if type(value) is not dict:
        return Fault(PARAMS_SHAPE, "", OBJECT.expected)
    for member in members:
        part = value.get(member.name, _NOWHERE)
        if part is _NOWHERE:
            if member.required:
                return Fault(member.rule, member.pointer, member.check.expected)
            continue
        check = member.check
        if type(part) not in check.types or (check.test is not None and not check.test(part)):
            return Fault(member.rule, member.pointer, check.expected)
        if member.inner and (fault := find_fault(part, member.inner)):
            return fault
    return None


def members_of(method: str, revision: str, *, known: bool, request: bool, whole: bool) -> tuple[Member, ...]:
    """The members of a method's params.

    Args:
        method: the method.
        revision: a known revision.
        known: whether the method is one of the protocol.
        request: whether it is a request, not a notification.
        whole: whether the gateway shows the params as the client sent them, with ``_meta``.
    """
    members = _EXCEPTIONS.get((method, revision)) or _METHODS.get(method, ())
    if known:
        members += _input(method, revision, own={member.name for member in members})
    return _place((*members, _meta(revision, request=request, whole=whole)), "")


def input_members(method: str, revision: str) -> tuple[Member, ...]:
    """The members of the second operation that a retry with input gives."""
    own = tuple(member for member in _METHODS.get(method, ()) if member.name in _INPUT_NAMES)
    return _place(own + _input(method, revision, own={member.name for member in own}), "")


def _is_name(value: str) -> bool:
    return 0 < len(value) <= MAX_NAME_LENGTH


def _maps_to(kind: type) -> Callable[[dict[str, Any]], bool]:
    return lambda value: all(type(part) is kind for part in value.values())


def _is_reference(value: dict[str, Any]) -> bool:
    if value.get("type") == "ref/prompt":
        return type(value.get("name")) is str
    return value.get("type") == "ref/resource" and type(value.get("uri")) is str


_TEXT = frozenset({str})
_DICT = frozenset({dict})

STRING = Check("a string", _TEXT)
NAME = Check(f"a string of 1 to {MAX_NAME_LENGTH} characters", _TEXT, _is_name)
URI = Check("a string that is not empty", _TEXT, bool)
TOKEN = Check("a string or an integer", frozenset({str, int}))
INTEGER = Check("an integer", frozenset({int}))
NUMBER = Check("a number", frozenset({int, float}))
LEVEL = Check("one of " + ", ".join(sorted(LOG_LEVELS)), _TEXT, LOG_LEVELS.__contains__)
OBJECT = Check("an object", _DICT)
STRINGS = Check("an object of strings", _DICT, _maps_to(str))
OBJECTS = Check("an object of objects", _DICT, _maps_to(dict))
REFERENCE = Check("an object of type ref/prompt with a name or of type ref/resource with a uri", _DICT, _is_reference)
ABSENT = Check("absent in this method and revision", frozenset())

_CURSOR = (Member("cursor", STRING),)
_URI = (Member("uri", URI, required=True),)
_TASK = (Member("taskId", URI, required=True),)
_IMPLEMENTATION = (Member("name", STRING, required=True), Member("version", STRING, required=True))
_ARGUMENT = (Member("name", STRING, required=True), Member("value", STRING, required=True))
_REASON = Member("reason", STRING)

_METHODS: dict[str, tuple[Member, ...]] = {
    "initialize": (
        Member("protocolVersion", STRING, required=True),
        Member("capabilities", OBJECT, required=True),
        Member("clientInfo", OBJECT, required=True, inner=_IMPLEMENTATION),
    ),
    "tools/call": (Member("name", NAME, required=True), Member("arguments", OBJECT)),
    "tools/list": _CURSOR,
    "prompts/get": (Member("name", NAME, required=True), Member("arguments", STRINGS)),
    "prompts/list": _CURSOR,
    "resources/read": _URI,
    "resources/subscribe": _URI,
    "resources/unsubscribe": _URI,
    "resources/list": _CURSOR,
    "resources/templates/list": _CURSOR,
    "completion/complete": (
        Member("ref", REFERENCE, required=True),
        Member("argument", OBJECT, required=True, inner=_ARGUMENT),
        Member("context", OBJECT, inner=(Member("arguments", STRINGS),)),
    ),
    "logging/setLevel": (Member("level", LEVEL, required=True),),
    "subscriptions/listen": (Member("notifications", OBJECT, required=True),),
    "tasks/get": _TASK,
    "tasks/result": _TASK,
    "tasks/cancel": _TASK,
    "tasks/update": (*_TASK, Member("inputResponses", OBJECTS, required=True)),
    "tasks/list": _CURSOR,
    "notifications/cancelled": (Member("requestId", TOKEN, required=True), _REASON),
    "notifications/progress": (
        Member("progressToken", TOKEN, required=True),
        Member("progress", NUMBER, required=True),
        Member("total", NUMBER),
        Member("message", STRING),
    ),
}
_EXCEPTIONS: dict[tuple[str, str], tuple[Member, ...]] = {
    ("notifications/cancelled", "2025-11-25"): (Member("requestId", TOKEN), _REASON),
}

_INPUT = (Member("inputResponses", OBJECTS), Member("requestState", STRING))
_INPUT_NAMES = frozenset(member.name for member in _INPUT)
_INPUT_CARRIERS = frozenset({"tools/call", "prompts/get", "resources/read"})

_PROGRESS = Member("progressToken", TOKEN)
_STATED = "io.modelcontextprotocol/"


def _input(method: str, revision: str, own: set[str]) -> tuple[Member, ...]:
    if method in _INPUT_CARRIERS and is_at_least(revision, STATELESS):
        return _INPUT
    return tuple(Member(name, ABSENT, rule=INPUT_MISPLACED) for name in sorted(_INPUT_NAMES - own))


def _meta(revision: str, *, request: bool, whole: bool) -> Member:
    if not request:
        return Member("_meta", OBJECT)
    if not is_at_least(revision, STATELESS):
        return Member("_meta", OBJECT, inner=(_PROGRESS,))
    inner = (
        Member(f"{_STATED}protocolVersion", STRING, required=whole, rule=PARAMS_META),
        Member(f"{_STATED}clientCapabilities", OBJECT, required=whole, rule=PARAMS_META),
        Member(f"{_STATED}clientInfo", OBJECT, inner=_IMPLEMENTATION),
        Member(f"{_STATED}logLevel", LEVEL),
        _PROGRESS,
    )
    return Member("_meta", OBJECT, required=whole, inner=inner, rule=PARAMS_META)


def _place(members: tuple[Member, ...], base: str) -> tuple[Member, ...]:
    """The members with their JSON pointers (RFC 6901)."""
    placed = []
    for member in members:
        pointer = f"{base}/{member.name.replace('~', '~0').replace('/', '~1')}"
        inner = _place(member.inner, pointer)
        placed.append(msgspec.structs.replace(member, pointer=pointer, inner=inner))
    return tuple(placed)


ANSWER_ERROR = _place((Member("code", INTEGER, required=True), Member("message", STRING, required=True)), "")
"""The members of a client's error answer."""
