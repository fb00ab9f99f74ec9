"""Given: operations and HTTP requests made of what a case says."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from guardsvc.mcp import BodyState, HttpRequest
from guardsvc.mcp.mirror import conforming_post
from guardsvc.mcp.revisions import phase_of, response_phase_of
from guardsvc.model import Caller, Direction, Headers, Operation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from guardsvc.suites.form import CallerForm, MessageForm, OperationForm, RequestForm

__all__ = ["caller", "http_message", "http_request", "operation", "parse_http", "wrong_headers"]


def caller(form: CallerForm) -> Caller:
    """The caller of plain members."""
    return Caller(**form.model_dump())


def operation(form: OperationForm, servers: tuple[str, ...], by: Caller, subject: str | None = None) -> Operation:
    """An operation of plain members; its phase is that of its method unless it says otherwise.

    Args:
        form: the members.
        servers: canonical names of those it may reach.
        by: who calls.
        subject: the server's own name of it, where it is not the form's.
    """
    phase = form.phase or (phase_of if form.direction is Direction.REQUEST else response_phase_of)(form.method)
    return Operation(
        protocol=form.protocol,
        direction=form.direction,
        phase=phase,
        kind=form.kind,
        method=form.method,
        id=form.id,
        server=servers[0] if len(servers) == 1 else None,
        servers=servers,
        subject=form.subject if subject is None else subject,
        payload=form.payload,
        caller=by,
        headers=Headers(_fields(form.headers)),
        revision=form.revision,
        http_method=form.http_method,
        path=form.path,
        host=form.host,
        learnable=True,
    )


def http_request(form: RequestForm) -> HttpRequest:
    """A request of plain members.

    Raises:
        ValueError: ``body_base64`` is no base64.
    """
    body = _body(form)
    return HttpRequest(
        method=form.method,
        path=form.path,
        host=form.host,
        headers=Headers(_fields(form.headers)),
        body=body,
        body_state=form.body_state or (BodyState.WHOLE if body else BodyState.ABSENT),
    )


def http_message(form: MessageForm, host: str, headers: Mapping[str, Any] | None = None) -> HttpRequest:
    """The POST of a message by a conforming client."""
    members = form.model_dump(exclude_unset=True)
    if form.method is None or not form.method.startswith("notifications/"):
        members = {"id": 1, **members}
    body = json.dumps({"jsonrpc": form.jsonrpc, **members}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return conforming_post(body, host, tuple(_fields(headers or {})))


def parse_http(text: str, host: str) -> HttpRequest:
    """A request as HTTP/1.1 writes it: a request line, header fields, an empty line and the body.

    Args:
        text: with lines that end in LF or CRLF.
        host: of the request, where no ``Host`` field says it.

    Raises:
        ValueError: it is no such text.
    """
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.split("\n")
    line = first.split(" ")
    if len(line) != 3 or not line[2].startswith("HTTP/"):  # noqa: PLR2004
        raise ValueError(f'"{first[:80]}" is no request line such as "POST /mcp HTTP/1.1"')
    fields = []
    for text_line in filter(None, lines):
        name, colon, value = text_line.partition(":")
        if not colon or not name or name != name.strip():
            raise ValueError(f'"{text_line[:80]}" is no header field such as "Accept: application/json"')
        fields.append((name.lower(), value.strip(" \t")))
    data = body.encode("utf-8", "surrogatepass")
    return HttpRequest(
        method=line[0],
        path=line[1],
        host=next((value for name, value in fields if name == "host"), host),
        headers=Headers(field for field in fields if field[0] != "host"),
        body=data,
        body_state=BodyState.WHOLE if data else BodyState.ABSENT,
    )


def wrong_headers(headers: Mapping[str, Any]) -> Iterator[str]:
    """Names of the header fields whose value is neither a string nor a list of strings."""
    for name, values in headers.items():
        if not all(isinstance(value, str) for value in (values if isinstance(values, list) else [values])):
            yield name


def _fields(headers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and value; a field with a list of values is repeated."""
    for name, values in headers.items():
        for value in values if isinstance(values, list) else [values]:
            yield name, value


def _body(form: RequestForm) -> bytes:
    if form.body_base64 is not None:
        return base64.b64decode(form.body_base64, validate=True)
    if form.body_text is not None:
        return str(form.body_text).encode("utf-8", "surrogatepass")
    return json.dumps(form.body).encode() if "body" in form.model_fields_set else b""
