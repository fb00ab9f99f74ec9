"""HAR: the MCP requests of a file that browsers and proxies write (HTTP Archive 1.2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from guardsvc.mcp import BodyState, HttpRequest
from guardsvc.model import Headers

__all__ = ["HarEntry", "HarError", "har_requests"]

_MCP_HEADERS = ("mcp-protocol-version", "mcp-session-id", "mcp-method")
_REFUSED = 400
_DENIED = frozenset({-32001, -32003})
"""JSON-RPC codes under which a gateway with guardsvc answers what it refuses."""

_decode = msgspec.json.Decoder().decode


class HarError(Exception):
    """A file is no HAR."""


class HarEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry.

    Attributes:
        number: in the file, from 1.
        at: when it was sent, seconds since the epoch; None where the file does not say so.
        refused: whether its response has an HTTP status or a JSON-RPC code of refusals.
    """

    number: int
    request: HttpRequest
    at: float | None
    refused: bool


def har_requests(data: bytes) -> tuple[list[HarEntry], int]:
    """The entries that are requests of MCP, and how many are not.

    Raises:
        HarError: it is no HAR.
    """
    try:
        value = _decode(data)
        entries = value["log"]["entries"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise HarError(f"not HAR: {type(error).__name__}: {error}") from error
    if not isinstance(entries, list):
        raise HarError("not HAR: log.entries is no list")
    found: list[HarEntry] = []
    for number, entry in enumerate(entries, start=1):
        try:
            request = _request(entry["request"])
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise HarError(f"entry {number} has no request that can be read: {error}") from error
        if _is_mcp(request):
            found.append(HarEntry(number=number, request=request, at=_at(entry), refused=_is_refused(entry)))
    return found, len(entries) - len(found)


def _request(value: dict[str, Any]) -> HttpRequest:
    url = urlsplit(value["url"])
    fields = [
        (str(field["name"]).lower(), str(field["value"]))
        for field in value.get("headers", ())
        if not str(field["name"]).startswith(":")
    ]
    posted = value.get("postData") or {}
    text = posted.get("text") or ""
    body = text.encode("utf-8", "surrogatepass")
    names = {name for name, _ in fields}
    if body and "content-type" not in names and posted.get("mimeType"):
        fields.append(("content-type", str(posted["mimeType"])))
    return HttpRequest(
        method=value["method"],
        path=f"{url.path or '/'}?{url.query}" if url.query else url.path or "/",
        host=url.netloc.rpartition("@")[2],
        headers=Headers(field for field in fields if field[0] != "host"),
        body=body,
        body_state=BodyState.WHOLE if body else BodyState.ABSENT,
    )


def _is_mcp(request: HttpRequest) -> bool:
    return b'"jsonrpc"' in request.body or any(name in request.headers for name in _MCP_HEADERS)


def _at(entry: dict[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(entry["startedDateTime"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None


def _is_refused(entry: dict[str, Any]) -> bool:
    response = entry.get("response")
    if not isinstance(response, dict):
        return False
    status = response.get("status")
    if isinstance(status, int) and status >= _REFUSED:
        return True
    content = response.get("content")
    text = content.get("text") if isinstance(content, dict) else None
    return isinstance(text, str) and any(map(_is_denial, text.splitlines()))


def _is_denial(line: str) -> bool:
    """Whether a line is a JSON-RPC error of a refusal, as JSON or as an event of a stream."""
    try:
        value = _decode(line.removeprefix("data:"))
    except (ValueError, RecursionError):
        return False
    answers = value if isinstance(value, list) else [value]
    errors = [answer["error"] for answer in answers if isinstance(answer, dict) and "error" in answer]
    return any(isinstance(error, dict) and error.get("code") in _DENIED for error in errors)
