"""Accept: which of the two kinds of answer that MCP over HTTP has a client reads.

Ranges count, ``q=0`` excludes, and the most specific range decides (RFC 9110 section 12.5.1).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EVENT_STREAM", "accepts_both", "accepts_events_only", "names_events"]

EVENT_STREAM = "text/event-stream"

_JSON = ("application/json", "application/*", "*/*")
_EVENTS = (EVENT_STREAM, "text/*", "*/*")
_COMMON = frozenset(
    {
        "application/json, text/event-stream",
        "application/json,text/event-stream",
        "text/event-stream, application/json",
        "*/*",
    }
)
_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def accepts_both(values: Sequence[str]) -> bool:
    """Whether Accept lists ``application/json`` and ``text/event-stream``.

    A request without the header lists nothing, since MCP demands it.

    Args:
        values: the fields of the header.
    """
    if len(values) == 1 and values[0] in _COMMON:
        return True
    wanted = _read(values)
    return _listed(wanted, _JSON) and _listed(wanted, _EVENTS)


def accepts_events_only(values: Sequence[str]) -> bool:
    """Whether a client reads an answer as an event stream and not as JSON.

    Args:
        values: the fields of the header.
    """
    wanted = _read(values)
    return _listed(wanted, _EVENTS) and not _listed(wanted, _JSON)


def names_events(values: Sequence[str]) -> bool:
    """Whether Accept names ``text/event-stream`` itself, which a browser's ``*/*`` does not.

    Args:
        values: the fields of the header.
    """
    return _read(values).get(EVENT_STREAM, False)


def _read(values: Sequence[str]) -> dict[str, bool]:
    """The media ranges in lower case, and whether each is wanted."""
    wanted: dict[str, bool] = {}
    for value in values:
        for item in value.split(","):
            media, *parameters = (part.strip(" \t").lower() for part in item.split(";"))
            wanted[media] = wanted.get(media, False) or _quality(parameters)
    return wanted


def _listed(wanted: dict[str, bool], ranges: tuple[str, ...]) -> bool:
    return next((wanted[media] for media in ranges if media in wanted), False)


def _quality(parameters: list[str]) -> bool:
    """Whether the quality is above zero; one that cannot be read counts as zero."""
    for parameter in parameters:
        name, _, weight = parameter.partition("=")
        if name == "q":
            return _QUALITY.fullmatch(weight) is not None and float(weight) > 0
    return True
