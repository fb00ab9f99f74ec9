"""Headers: the ``Mcp-*`` header fields that mirror the body, and whether they do.

A gateway that routes on a header while the server runs the body can be led astray by a difference
(MCP 2026-07-28, Streamable HTTP). A header that is present must agree under every revision; whether
one may be absent is not decided here.
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec

from guardsvc.mcp.message import Message, body_revision
from guardsvc.model import Headers

__all__ = [
    "METHOD_HEADER",
    "NAME_HEADER",
    "VERSION_HEADER",
    "Mismatch",
    "decode_value",
    "find_mismatch",
    "find_version_mismatch",
]

VERSION_HEADER = "mcp-protocol-version"
METHOD_HEADER = "mcp-method"
NAME_HEADER = "mcp-name"

_ENCODED = re.compile(r"=\?base64\?(.*)\?=")
_PLAIN = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_REVISION = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Mismatch(msgspec.Struct, frozen=True):
    """A header that does not agree with the body: its name, and why for operators."""

    header: str
    problem: str


def decode_value(value: str) -> str | None:
    """What a header value stands for, plain or ``=?base64?...?=`` of UTF-8.

    Returns:
        None where it is neither plain visible ASCII without outer blanks nor canonical base64 of UTF-8.
    """
    if not _PLAIN.fullmatch(value):
        return None
    encoded = _ENCODED.fullmatch(value)
    if encoded is None:
        return value
    try:
        data = base64.b64decode(encoded[1], validate=True)
        text = data.decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    return text if base64.b64encode(data).decode("ascii") == encoded[1] else None


def find_version_mismatch(headers: Headers) -> Mismatch | None:
    """The fault of the version header alone, whatever the request carries."""
    value = headers.get(VERSION_HEADER)
    if value is None:
        return None
    if headers.repeated(VERSION_HEADER):
        return Mismatch(VERSION_HEADER, "repeated")
    if not _REVISION.fullmatch(value):
        return Mismatch(VERSION_HEADER, "not the form of a revision")
    return None


def find_mismatch(headers: Headers, message: Message, *, prefixed: bool = False) -> Mismatch | None:
    """The first header that is repeated, malformed, or not equal to what the message says.

    Args:
        headers: of the request.
        message: of its body.
        prefixed: whether the name may have a gateway's prefix, which the message has not.
    """
    if mismatch := find_version_mismatch(headers):
        return mismatch
    version = headers.get(VERSION_HEADER)
    if version is not None and message.method != "initialize":
        stated = body_revision(message.payload)
        if stated is not None and stated != version:
            return Mismatch(VERSION_HEADER, "not the version in _meta")
    method = headers.get(METHOD_HEADER)
    if method is not None:
        if headers.repeated(METHOD_HEADER):
            return Mismatch(METHOD_HEADER, "repeated")
        if method != message.method or decode_value(method) != method:
            return Mismatch(METHOD_HEADER, "not the method of the body")
    name = headers.get(NAME_HEADER)
    if name is None:
        return None
    if headers.repeated(NAME_HEADER):
        return Mismatch(NAME_HEADER, "repeated")
    decoded = decode_value(name)
    if decoded is None:
        return Mismatch(NAME_HEADER, "malformed")
    own = _name(message)
    agrees = decoded == own or (prefixed and own is not None and decoded.endswith(own))
    return None if agrees else Mismatch(NAME_HEADER, "not the name or URI of the body")


def _name(message: Message) -> str | None:
    """What ``Mcp-Name`` mirrors: the subject, or the task of a method on tasks."""
    if message.method.startswith("tasks/") and type(message.payload) is dict:
        task = message.payload.get("taskId")
        return task if type(task) is str else None
    return message.subject
