"""Response side: what kind of response it is, and how its body is treated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guardsvc.gateways.ext_proc.echo import Echo
from guardsvc.gateways.ext_proc.events import EventStream, read_events
from guardsvc.gateways.ext_proc.hidden import HiddenBody
from guardsvc.gateways.ext_proc.inflate import Inflater
from guardsvc.gateways.ext_proc.whole import WholeBody, read_json, refused_unread
from guardsvc.gateways.ext_proc.wire import BodyMode

if TYPE_CHECKING:
    from guardsvc.gateways.ext_proc.response import Response

__all__ = ["Body", "body_of", "made_by_the_gateway"]

Body = Echo | EventStream | WholeBody

VIA_UPSTREAM = "via_upstream"

_JSON = re.compile(r'application/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?', re.IGNORECASE)
_EVENTS = re.compile(r'text/event-stream(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?', re.IGNORECASE)
_GZIP = frozenset({"gzip", "x-gzip"})


def made_by_the_gateway(code_details: str | None) -> bool:
    """Whether the gateway says that the response is its own, and no server's."""
    return code_details is not None and code_details != VIA_UPSTREAM


def body_of(response: Response) -> Body:
    """How the body of a server's response is treated: it is judged, or refused unless it is empty."""
    settings = response.desk.policy().settings.responses
    if response.mode not in (BodyMode.FULL_DUPLEX_STREAMED, BodyMode.BUFFERED):
        return HiddenBody(response)
    encodings = [value.lower() for value in response.headers.all("content-encoding")]
    compressed = encodings not in ([], ["identity"])
    if compressed and (len(encodings) > 1 or encodings[0] not in _GZIP):
        return WholeBody(response, refused_unread("content_encoding"))
    types = response.headers.all("content-type")
    media = types[0] if len(types) == 1 else ""
    most = response.desk.policy().rules.response_limits.max_bytes
    inflater = Inflater(most) if compressed else None
    if _EVENTS.fullmatch(media):
        if response.mode is BodyMode.BUFFERED:
            return WholeBody(response, read_events, inflater)
        return EventStream(response, inflater)
    if _JSON.fullmatch(media):
        return WholeBody(response, read_json, inflater)
    if settings.other_types == "allow" and not _is_near(types):
        return Echo("response", response.mode)
    return WholeBody(response, refused_unread("content_type"), inflater)


def _is_near(types: tuple[str, ...]) -> bool:
    """Whether a client might read the body as messages all the same."""
    text = ",".join(types).lower()
    return not text or "json" in text or "event-stream" in text
