"""Capture: what a file of traffic holds, one request after the other."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.traffic.har import HarError, har_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.mcp import HttpRequest

__all__ = ["Capture", "Captured", "Form", "TrafficError", "form_of", "read_capture"]


class Form(StrEnum):
    """How a file holds its messages."""

    MESSAGE = "message"
    LINES = "lines"
    HAR = "har"


class TrafficError(Exception):
    """A file is not what it is said to be."""


class Captured(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a file.

    Attributes:
        number: line of the file, or entry of a HAR file, from 1.
        body: its body, as it stands in the file.
        inside: JSON pointer to the body in ``line``, the line that it is part of; empty where it is the whole.
        request: as it was sent, where the file says so.
        at: when, seconds since the epoch, where the file says so.
        tenant, principal, verified, server: who asked whom, where the file says so.
        refused: whether the file shows that it was refused.
    """

    number: int
    body: bytes
    inside: str = ""
    line: bytes = b""
    request: HttpRequest | None = None
    at: float | None = None
    tenant: str | None = None
    principal: str | None = None
    verified: bool | None = None
    server: str | None = None
    refused: bool = False


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds.

    Attributes:
        form: how it holds it.
        items: its requests.
        passed_over: how many requests are none of MCP.
    """

    form: Form
    items: tuple[Captured, ...]
    passed_over: int = 0


class _Envelope(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A line with what is known of its message."""

    message: msgspec.Raw
    time: str | float | None = None
    tenant: str | None = None
    principal: str | None = None
    verified: bool | None = None
    server: str | None = None


_decode = msgspec.json.Decoder().decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def form_of(data: bytes) -> Form:
    """How a file seems to hold its messages: HAR by its ``log``, lines where each of several is an object."""
    try:
        value = _decode(data)
    except (ValueError, RecursionError):
        lines = [line for line in data.split(b"\n") if line.strip()]
        objects = len(lines) > 1 and all(_is_message(line) for line in lines)
        return Form.LINES if objects else Form.MESSAGE
    if isinstance(value, dict) and isinstance(value.get("log"), dict) and "jsonrpc" not in value:
        return Form.HAR
    return Form.LINES if isinstance(value, dict) and "message" in value and "jsonrpc" not in value else Form.MESSAGE


def read_capture(data: bytes, form: Form) -> Capture:
    """The requests of a file.

    Raises:
        TrafficError: it is no HAR, or a line is no envelope although it begins as one.
    """
    if form is Form.MESSAGE:
        return Capture(form=form, items=(Captured(number=1, body=data),))
    if form is Form.LINES:
        return Capture(form=form, items=tuple(_lines(data)))
    try:
        entries, passed_over = har_requests(data)
    except HarError as error:
        raise TrafficError(str(error)) from error
    items = tuple(
        Captured(
            number=entry.number, body=entry.request.body, request=entry.request, at=entry.at, refused=entry.refused
        )
        for entry in entries
    )
    return Capture(form=form, items=items, passed_over=passed_over)


def _lines(data: bytes) -> Iterator[Captured]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        if not _is_envelope(line):
            yield Captured(number=number, body=line)
            continue
        try:
            envelope = _decode_envelope(line)
            at = _seconds(envelope.time)
        except (ValueError, RecursionError) as error:
            raise TrafficError(f"line {number}: {error}") from error
        yield Captured(
            number=number,
            body=bytes(envelope.message),
            inside="/message",
            line=line,
            at=at,
            tenant=envelope.tenant,
            principal=envelope.principal,
            verified=envelope.verified,
            server=envelope.server,
        )


def _is_message(line: bytes) -> bool:
    value = _object(line)
    return value is not None and ("jsonrpc" in value or "message" in value)


def _is_envelope(line: bytes) -> bool:
    value = _object(line)
    return value is not None and "message" in value and "jsonrpc" not in value


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = _decode(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _seconds(time: str | float | None) -> float | None:
    return datetime.fromisoformat(time).timestamp() if isinstance(time, str) else time
