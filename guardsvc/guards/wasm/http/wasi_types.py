"""Resources of ``wasi:http/types``: what a guest makes its request of, and what it gets of the answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from guardsvc.guards.wasm.http.client import HttpRequest

if TYPE_CHECKING:
    from concurrent.futures import Future

    from guardsvc.guards.wasm.http.client import HttpResponse

__all__ = [
    "Body",
    "Fields",
    "FutureResponse",
    "IncomingBody",
    "Request",
    "RequestOptions",
    "Response",
    "Trailers",
    "is_field",
]

Fields_ = list[tuple[str, bytes]]
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")
_OK = ("ok", None)


class Fields:
    """``fields``: header fields."""

    def __init__(self, entries: Fields_, *, immutable: bool = False) -> None:
        self.entries = entries
        self.immutable = immutable

    def get(self, name: str) -> list[bytes]:
        """The values of a name."""
        return [value for key, value in self.entries if key.lower() == name.lower()]

    def put(self, name: str, values: list[bytes], *, keep: bool) -> tuple[str, Any]:
        """Give a name these values, beside those it has or in their place."""
        if self.immutable:
            return "err", "immutable"
        if not is_field(name, values):
            return "err", "invalid-syntax"
        if not keep:
            self.entries = [(key, value) for key, value in self.entries if key.lower() != name.lower()]
        self.entries += [(name, value) for value in values]
        return _OK


class Request:
    """``outgoing-request``."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.method = "GET"
        self.scheme: str | None = None
        self.authority: str | None = None
        self.path: str | None = None
        self.body: Body | None = None

    def made(self) -> HttpRequest:
        """The request as it is sent."""
        return HttpRequest(
            self.method,
            f"{self.scheme or 'https'}://{self.authority or ''}{self.path or '/'}",
            tuple((name, value.decode("latin-1")) for name, value in self.fields.entries),
            bytes(self.body.content) if self.body is not None else b"",
        )


class Body:
    """``outgoing-body``: kept until it is finished."""

    def __init__(self, request: Request, most: int) -> None:
        self.content = bytearray()
        self.most = most
        self.written = False
        self.finished = False
        self.request = request
        self.answer: FutureResponse | None = None


class RequestOptions:
    """``request-options``: times, of which the guard's own is the one that counts."""


class FutureResponse:
    """``future-incoming-response``."""

    def __init__(self) -> None:
        self.sent: Future[HttpResponse] | None = None
        self.taken = False


class Response:
    """``incoming-response``."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response
        self.consumed = False


class IncomingBody:
    """``incoming-body``."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.read = False


class Trailers:
    """``future-trailers``, of which there are none."""


def is_field(name: str, values: list[bytes]) -> bool:
    """Whether these can be a header field."""
    return bool(_TOKEN.fullmatch(name)) and all(_VALUE.fullmatch(bytes(value)) for value in values)
