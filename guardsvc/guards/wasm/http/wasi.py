"""``wasi:http/outgoing-handler`` 0.2, and what of ``wasi:http/types`` and ``wasi:io`` belongs to it.

Served by host functions of our own, which send what ``http`` sends and grant what it grants. A request goes out when
its body is finished, and its answer has come when all of it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.guards.wasm.http.client import METHODS, HttpRefused
from guardsvc.guards.wasm.http.wasi_io import InputStream, OutputStream, Pollable
from guardsvc.guards.wasm.http.wasi_types import (
    Body,
    Fields,
    FutureResponse,
    IncomingBody,
    Request,
    RequestOptions,
    Response,
    Trailers,
    is_field,
)

if TYPE_CHECKING:
    from guardsvc.guards.wasm.host.host import HostCalls

__all__ = ["HTTP_RESOURCES", "WASI_HTTP_FUNCTIONS"]

_OK = ("ok", None)
_ERR = ("err", None)


def _from_list(calls: HostCalls, entries: list[tuple[str, bytes]]) -> tuple[str, Any]:
    del calls
    told = [(name, bytes(value)) for name, value in entries]
    if not all(is_field(name, [value]) for name, value in told):
        return "err", "invalid-syntax"
    return "ok", Fields(told)


def _delete(calls: HostCalls, fields: int, name: str) -> tuple[str, Any]:
    return calls.resource(fields, Fields).put(name, [], keep=False)


def _body(calls: HostCalls, number: int) -> tuple[str, Any]:
    request = calls.resource(number, Request)
    if request.body is not None:
        return _ERR
    request.body = Body(request, calls.http.limits.http_request_kib * 1024)
    return "ok", request.body


def _set_method(calls: HostCalls, number: int, method: tuple[str, Any]) -> tuple[str, Any]:
    name = method[1] if method[0] == "other" else method[0].upper()
    if name not in METHODS:
        return _ERR
    calls.resource(number, Request).method = name
    return _OK


def _set_scheme(calls: HostCalls, number: int, scheme: tuple[str, Any] | None) -> tuple[str, Any]:
    if scheme is not None and scheme[0] == "other":
        return _ERR
    calls.resource(number, Request).scheme = None if scheme is None else scheme[0].lower()
    return _OK


def _set_authority(calls: HostCalls, number: int, authority: str | None) -> tuple[str, Any]:
    if authority is not None and not set(authority).isdisjoint("/?#@\\ "):
        return _ERR
    calls.resource(number, Request).authority = authority
    return _OK


def _set_path(calls: HostCalls, number: int, path: str | None) -> tuple[str, Any]:
    if path is not None and not path.startswith(("/", "?")):
        return _ERR
    calls.resource(number, Request).path = path
    return _OK


def _write_body(calls: HostCalls, number: int) -> tuple[str, Any]:
    body = calls.resource(number, Body)
    if body.written:
        return _ERR
    body.written = True
    return "ok", OutputStream(body.content, body.most)


def _finish(calls: HostCalls, number: int, trailers: int | None) -> tuple[str, Any]:
    body = calls.resource(number, Body)
    calls.drop(number)
    if trailers is not None:
        return "err", ("internal-error", "trailers cannot be sent")
    body.finished = True
    if body.answer is not None:
        body.answer.sent = calls.http.send(body.request.made())
    return _OK


def _handle(calls: HostCalls, number: int, options: int | None) -> tuple[str, Any]:
    request = calls.resource(number, Request)
    calls.drop(number)
    if options is not None:
        calls.drop(options)
    answer = FutureResponse()
    if request.body is None or request.body.finished:
        answer.sent = calls.http.send(request.made())
    else:
        request.body.answer = answer
    return "ok", answer


def _subscribe(calls: HostCalls, number: int) -> Pollable:
    answer = calls.resource(number, FutureResponse)
    return Pollable(lambda: answer.sent)


def _get(calls: HostCalls, number: int) -> tuple[str, Any] | None:
    answer = calls.resource(number, FutureResponse)
    if answer.taken:
        return _ERR
    if answer.sent is None:
        return "ok", ("err", ("internal-error", "the body of the request is not finished"))
    if not answer.sent.done():
        return None
    answer.taken = True
    error = answer.sent.exception()
    if isinstance(error, HttpRefused):
        return "ok", ("err", _code(error))
    return "ok", ("ok", Response(answer.sent.result()))


def _code(refused: HttpRefused) -> tuple[str, Any]:
    match refused.name:
        case "denied":
            return "HTTP-request-denied", None
        case "invalid":
            return "HTTP-request-URI-invalid", None
        case "too-large":
            return "HTTP-response-body-size", None
        case _:
            return "destination-unavailable", None


def _response_fields(calls: HostCalls, number: int) -> Fields:
    headers = calls.resource(number, Response).response.headers
    return Fields([(name, value.encode("utf-8", "surrogateescape")) for name, value in headers], immutable=True)


def _consume(calls: HostCalls, number: int) -> tuple[str, Any]:
    response = calls.resource(number, Response)
    if response.consumed:
        return _ERR
    response.consumed = True
    return "ok", IncomingBody(response.response.body)


def _stream(calls: HostCalls, number: int) -> tuple[str, Any]:
    body = calls.resource(number, IncomingBody)
    if body.read:
        return _ERR
    body.read = True
    return "ok", InputStream(body.content)


def _finish_incoming(calls: HostCalls, number: int) -> Trailers:
    calls.drop(number)
    return Trailers()


def _trailers_subscribe(calls: HostCalls, number: int) -> Pollable:
    calls.resource(number, Trailers)
    return Pollable(lambda: None)


def _trailers_get(calls: HostCalls, number: int) -> tuple[str, Any]:
    calls.resource(number, Trailers)
    return "ok", ("ok", None)


def _no_time(calls: HostCalls, number: int) -> None:
    calls.resource(number, RequestOptions)


def _set_time(calls: HostCalls, number: int, duration: int | None) -> tuple[str, Any]:
    del duration
    calls.resource(number, RequestOptions)
    return _OK


_TYPES = {
    "[constructor]fields": lambda _: Fields([]),
    "[static]fields.from-list": _from_list,
    "[method]fields.get": lambda calls, number, name: calls.resource(number, Fields).get(name),
    "[method]fields.has": lambda calls, number, name: bool(calls.resource(number, Fields).get(name)),
    "[method]fields.set": lambda calls, number, name, values: calls.resource(number, Fields).put(
        name, values, keep=False
    ),
    "[method]fields.delete": _delete,
    "[method]fields.append": lambda calls, number, name, value: calls.resource(number, Fields).put(
        name, [bytes(value)], keep=True
    ),
    "[method]fields.entries": lambda calls, number: calls.resource(number, Fields).entries,
    "[method]fields.clone": lambda calls, number: Fields(list(calls.resource(number, Fields).entries)),
    "[constructor]outgoing-request": lambda calls, fields: Request(calls.taken(fields, Fields)),
    "[method]outgoing-request.body": _body,
    "[method]outgoing-request.set-method": _set_method,
    "[method]outgoing-request.set-scheme": _set_scheme,
    "[method]outgoing-request.set-authority": _set_authority,
    "[method]outgoing-request.set-path-with-query": _set_path,
    "[method]outgoing-request.authority": lambda calls, number: calls.resource(number, Request).authority,
    "[method]outgoing-request.path-with-query": lambda calls, number: calls.resource(number, Request).path,
    "[method]outgoing-request.headers": lambda calls, number: Fields(
        calls.resource(number, Request).fields.entries, immutable=True
    ),
    "[method]outgoing-body.write": _write_body,
    "[static]outgoing-body.finish": _finish,
    "[constructor]request-options": lambda _: RequestOptions(),
    "[method]request-options.connect-timeout": _no_time,
    "[method]request-options.first-byte-timeout": _no_time,
    "[method]request-options.between-bytes-timeout": _no_time,
    "[method]request-options.set-connect-timeout": _set_time,
    "[method]request-options.set-first-byte-timeout": _set_time,
    "[method]request-options.set-between-bytes-timeout": _set_time,
    "[method]future-incoming-response.subscribe": _subscribe,
    "[method]future-incoming-response.get": _get,
    "[method]incoming-response.status": lambda calls, number: calls.resource(number, Response).response.status,
    "[method]incoming-response.headers": _response_fields,
    "[method]incoming-response.consume": _consume,
    "[method]incoming-body.stream": _stream,
    "[static]incoming-body.finish": _finish_incoming,
    "[method]future-trailers.subscribe": _trailers_subscribe,
    "[method]future-trailers.get": _trailers_get,
}

WASI_HTTP_FUNCTIONS: dict[tuple[str, str], Any] = {
    **{("wasi:http/types", name): function for name, function in _TYPES.items()},
    ("wasi:http/outgoing-handler", "handle"): _handle,
}
"""By interface and name; the numbers they take are those of resources."""

HTTP_RESOURCES = {
    "fields": Fields,
    "outgoing-request": Request,
    "outgoing-body": Body,
    "request-options": RequestOptions,
    "future-incoming-response": FutureResponse,
    "incoming-response": Response,
    "incoming-body": IncomingBody,
    "future-trailers": Trailers,
}
"""Resources of ``wasi:http/types``."""
