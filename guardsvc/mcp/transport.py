"""Transport: HTTP requests that belong to an MCP connection but carry no message."""

from __future__ import annotations

import re

from guardsvc.mcp.accept import names_events
from guardsvc.mcp.http_request import HttpRequest
from guardsvc.model import Globs, Word

__all__ = ["TransportKind", "classify"]

_CLIMBS = re.compile(r"\.\.|\\|%2e|%2f|%5c", re.IGNORECASE)


class TransportKind(Word):
    """What such a request asks for. The value is the operation's method."""

    GET_STREAM = "http/get_stream"
    SESSION_END = "http/session_end"
    WELL_KNOWN = "http/well_known"
    PREFLIGHT = "http/preflight"
    OTHER = "http/other"


def classify(request: HttpRequest, mcp_paths: Globs) -> TransportKind | None:
    """The kind of a request, None for a POST to an MCP path, whose body is a message.

    Paths are compared as sent. One that an upstream could resolve to a place outside
    ``/.well-known/`` does not count as inside. A body that has no meaning there, or a switch to another
    protocol, could carry messages that nobody reads: such a request is none of the known ones.
    """
    path = request.path.partition("?")[0]
    is_mcp = mcp_paths.match(path)
    match request.method:
        case "POST" if is_mcp:
            return None
        case _ if request.body or "upgrade" in request.headers:
            return TransportKind.OTHER
        case "GET" | "HEAD" if path.startswith("/.well-known/") and not _CLIMBS.search(path):
            return TransportKind.WELL_KNOWN
        case "GET" if is_mcp and names_events(request.headers.all("accept")):
            return TransportKind.GET_STREAM
        case "DELETE" if is_mcp:
            return TransportKind.SESSION_END
        case "OPTIONS" if "origin" in request.headers and "access-control-request-method" in request.headers:
            return TransportKind.PREFLIGHT
        case _:
            return TransportKind.OTHER
