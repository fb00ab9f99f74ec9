"""HTTP request: what a gateway shows of the request that may carry an MCP message."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from guardsvc.model import Headers

__all__ = ["BodyState", "HttpRequest"]


class BodyState(StrEnum):
    """How much of the body the gateway gave for inspection."""

    WHOLE = "whole"
    ABSENT = "absent"
    PARTIAL = "partial"
    LOSSY = "lossy"
    """Given as text, in which the gateway may have replaced bytes that are not UTF-8."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request.

    Attributes:
        method: HTTP method, case-sensitive.
        path: path with query, undecoded.
        host: authority the client asked for.
        headers: the header fields.
        body: the body as far as it was given.
        body_state: how far it was given.
    """

    method: str
    path: str
    host: str
    headers: Headers
    body: bytes = b""
    body_state: BodyState = BodyState.WHOLE
