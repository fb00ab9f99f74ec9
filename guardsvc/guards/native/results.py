"""Results: every text that a server shows to a model or its user, with its place and what it is part of.

For guards that look into answers, errors, server instructions, notifications and questions of servers. A message is
walked once for all of them, without recursion; pointers are made only for the texts that are asked about.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from guardsvc.guards.native.tool_poisoning.texts import Path, pointer
from guardsvc.model import Direction, Kind, Operation, Phase

__all__ = ["MIN_NAME", "MIN_NUMBER", "Part", "Shown", "blob_text", "listed_values", "shown_values"]

MIN_TEXT = 2
"""Characters below which a text says nothing."""
MIN_NAME = 6
"""The same of the name of a member."""
MIN_NUMBER = 10_000_000
"""Smallest whole number that may be an identifier of somebody."""

_MEMO = "shown_values"
_LISTS = frozenset({Phase.TOOLS_LIST, Phase.PROMPTS_LIST, Phase.RESOURCES_LIST})
_OPAQUE = frozenset({"requestState", "nextCursor", "progressToken", "resultType", "ttlMs", "cacheScope"})
"""Members of a payload that the client hands back or obeys, and shows to nobody."""
_BINARY = ("image/", "audio/", "video/", "font/", "application/pdf", "application/zip", "application/octet-stream")
_TELLING = frozenset({str, dict, list, int})
"""Types of values that say something or have what does."""
_ALPHABET = bytes.maketrans(b"-_", b"+/")


class Part(StrEnum):
    """What a text is part of."""

    TEXT = "text"
    STRUCTURED = "structured"
    RESOURCE = "resource"
    BLOB = "blob"
    LINK = "link"
    MESSAGE = "message"
    INSTRUCTIONS = "instructions"
    ERROR = "error"
    NOTICE = "notice"
    QUESTION = "question"
    META = "meta"
    DEFINITION = "definition"
    OTHER = "other"


_ROOTS = {
    "content": Part.TEXT,
    "structuredContent": Part.STRUCTURED,
    "toolResult": Part.STRUCTURED,
    "contents": Part.RESOURCE,
    "messages": Part.MESSAGE,
    "instructions": Part.INSTRUCTIONS,
    "inputRequests": Part.QUESTION,
    "_meta": Part.META,
}
_INNER = {"resource": Part.RESOURCE, "structuredContent": Part.STRUCTURED, "input": Part.STRUCTURED}
"""What members of a content block hold, where they are objects or arrays."""
_BLOCKS = frozenset({Part.TEXT, Part.RESOURCE, Part.MESSAGE})
"""Parts that consist of content blocks."""
_KNOWN = frozenset(_ROOTS) | _OPAQUE | {"isError", "mimeType", "resource", "annotations", "description", "serverInfo"}
"""Names that the protocol gives to members."""

_Item: TypeAlias = "tuple[Any, Path, Part, str, str]"
"""A value with its place, its part, its name, and the MIME type of the object it stands in."""


class Shown(msgspec.Struct, frozen=True, gc=False):
    """One text, whole number of some size, or name of a member.

    Attributes:
        value: the text or number; the name itself where ``is_key``.
        part: what it is part of.
        name: the nearest property it belongs to, which for a key is the one that holds the object; empty where
            there is none.
        is_key: whether it is the name of a member.
        mime: ``mimeType`` of the object it stands in, in lower case, empty where that has none.
        path: where it stands.
    """

    value: str | int
    part: Part
    name: str
    is_key: bool
    mime: str
    path: Path

    @property
    def where(self) -> str:
        """JSON pointer into the payload of the operation; for a key, to the member."""
        return pointer(self.path)


def shown_values(operation: Operation) -> Sequence[Shown]:
    """The texts of a server's message, in document order. Not to be changed.

    They are those of tool, prompt and resource results with all their blocks, errors, server instructions,
    notifications and questions. Definitions of a list (see ``listed_values``), documents of the transport and values
    that only go back to the server are not among them. An operation is walked once for all guards that ask.

    Args:
        operation: of the response direction; others have none.
    """
    memo: list[Shown] | None = operation.__dict__.get(_MEMO)
    if memo is None:
        memo = operation.__dict__[_MEMO] = _walk(operation)
    return memo


def listed_values(operation: Operation, *, without: Collection[str] = ()) -> list[Shown]:
    """The texts of a list of definitions, in document order; ``shown_values`` has none of them.

    Args:
        operation: a server's list.
        without: members of the payload that are left out.
    """
    if operation.direction is not Direction.RESPONSE or type(operation.payload) is not dict:
        return []
    kept = {member: value for member, value in operation.payload.items() if member not in without}
    return _members(kept, Part.DEFINITION)


def blob_text(shown: Shown) -> str | None:
    """The text that a blob encodes; None where it is binary data, the blob itself where it is no Base64."""
    raw = str(shown.value)
    data = raw.encode("utf-8", "replace").translate(_ALPHABET, b"\r\n\t ")
    body = data.rstrip(b"=")
    if len(body) % 4 == 1:
        return raw
    try:
        plain = b64decode(body + b"=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        return raw
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if plain.startswith(mark):
            return plain.decode(encoding, "replace")
    if b"\0" in plain or shown.mime.startswith(_BINARY):
        try:
            return None if b"\0" in plain else plain.decode()
        except UnicodeDecodeError:
            return None
    return plain.decode("utf-8", "replace")


def _walk(operation: Operation) -> list[Shown]:
    payload = operation.payload
    if operation.direction is not Direction.RESPONSE or type(payload) is not dict:
        return []
    match operation.kind:
        case Kind.ERROR:
            return _members(payload, Part.ERROR)
        case Kind.NOTIFICATION:
            return _members(payload, Part.NOTICE)
        case Kind.REQUEST:
            return _members(payload, Part.QUESTION)
        case Kind.RESULT if operation.phase not in _LISTS and operation.phase is not Phase.INPUT_REQUEST:
            return _members(payload, None)
    return []


def _members(payload: dict[str, Any], part: Part | None) -> list[Shown]:
    """What is in a payload. ``part`` is None where its members say what they are."""
    rest: list[_Item] = [
        (value, (None, name), (_ROOTS.get(name) if part is None or name == "_meta" else part) or Part.OTHER, name, "")
        for name, value in payload.items()
        if name not in _OPAQUE
    ]
    found = [
        Shown(name, Part.OTHER, "", True, "", (None, name))
        for name in payload
        if len(name) >= MIN_NAME and name not in _KNOWN
    ]
    _collect(rest[::-1], found)
    return found


def _collect(stack: list[_Item], found: list[Shown]) -> None:
    """Append what is in some values, the last of them first."""
    while stack:
        item, path, part, name, mime = stack.pop()
        kind = type(item)
        if kind is str:
            if len(item) >= MIN_TEXT:
                found.append(Shown(item, part, name, False, mime, path))
        elif kind is list:
            last = len(item) - 1
            backwards = enumerate(reversed(item))
            stack += [(each, (path, last - at), part, name, "") for at, each in backwards if type(each) in _TELLING]
        elif kind is dict:
            found += [
                Shown(key, part, name, True, "", (path, key))
                for key in item
                if len(key) >= MIN_NAME and key not in _KNOWN
            ]
            stack += _of_object(item, path, part)[::-1]
        elif kind is int and not -MIN_NUMBER < item < MIN_NUMBER:
            found.append(Shown(item, part, name, False, mime, path))


def _of_object(item: dict[str, Any], path: Path, part: Part) -> list[_Item]:
    given = item.get("mimeType")
    mime = given.lower() if type(given) is str else ""
    if part in _BLOCKS and item.get("type") == "resource_link":
        part = Part.LINK
    found: list[_Item] = []
    blocks = part in _BLOCKS
    for key, member in item.items():
        if type(member) not in _TELLING:
            continue
        inner = part
        if key == "_meta":
            inner = Part.META
        elif blocks:
            if type(member) is str:
                if key == "blob" or (key == "data" and "text" not in item):
                    inner = Part.BLOB
            else:
                inner = _INNER.get(key, part)
        found.append((member, (path, key), inner, key, mime))
    return found
