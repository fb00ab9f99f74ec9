"""Mirror: the header fields that a conforming client sends with a body, for messages that came without any."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from guardsvc.mcp.headers import METHOD_HEADER, NAME_HEADER, VERSION_HEADER, decode_value
from guardsvc.mcp.http_request import BodyState, HttpRequest
from guardsvc.mcp.message import body_revision
from guardsvc.mcp.revisions import is_at_least, subject_field
from guardsvc.model import Headers

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["conforming_post", "encode_value", "mirrored_headers"]


def conforming_post(body: bytes, host: str, extra: Sequence[tuple[str, str]] = ()) -> HttpRequest:
    """The POST of a body by a conforming client, with the given header fields in place of its own."""
    fields = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        **mirrored_headers(body),
    }
    given = {name.lower() for name, _ in extra}
    kept = [(name, value) for name, value in fields.items() if name not in given]
    return HttpRequest(
        method="POST",
        path="/mcp",
        host=host,
        headers=Headers([*kept, *extra]),
        body=body,
        body_state=BodyState.WHOLE if body else BodyState.ABSENT,
    )


def encode_value(text: str) -> str:
    """A header value that stands for ``text``: itself where it is plain visible ASCII, else base64 of UTF-8."""
    if decode_value(text) == text:
        return text
    return f"=?base64?{base64.b64encode(text.encode('utf-8', 'replace')).decode()}?="


def mirrored_headers(body: bytes) -> dict[str, str]:
    """The version, method and name headers as 2026-07-28 asks for them; none under other revisions.

    Read as a lenient client's library would: a body that is no JSON object mirrors nothing.
    """
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    params: Any = message.get("params") if isinstance(message, dict) else None
    revision = body_revision(params)
    if not isinstance(revision, str) or not is_at_least(revision, "2026-07-28"):
        return {}
    fields = {VERSION_HEADER: revision}
    method = message.get("method")
    if isinstance(method, str) and "id" in message:
        fields[METHOD_HEADER] = encode_value(method)
        name = params.get(subject_field(method) or "")
        if isinstance(name, str):
            fields[NAME_HEADER] = encode_value(name)
    return fields
