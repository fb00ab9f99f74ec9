"""Accept: whether a client reads both kinds of answer that MCP over HTTP has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["accepts_both"]

_JSON = ("application/json", "application/*", "*/*")
_EVENTS = ("text/event-stream", "text/*", "*/*")
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

    Ranges count, ``q=0`` excludes, and the most specific range decides (RFC 9110 section 12.5.1). A
    request without the header lists nothing, since MCP demands it.

    Args:
        values: the fields of the header.
    """
    if len(values) == 1 and values[0] in _COMMON:
        return True
    wanted: dict[str, bool] = {}
    for value in values:
        for item in value.split(","):
            media, *parameters = (part.strip(" \t").lower() for part in item.split(";"))
            wanted[media] = wanted.get(media, False) or _quality(parameters)
    return _listed(wanted, _JSON) and _listed(wanted, _EVENTS)


def _listed(wanted: dict[str, bool], ranges: tuple[str, ...]) -> bool:
    return next((wanted[media] for media in ranges if media in wanted), False)


def _quality(parameters: list[str]) -> bool:
    """Whether the quality is above zero; one that cannot be read counts as zero."""
    for parameter in parameters:
        name, _, weight = parameter.partition("=")
        if name == "q":
            return _QUALITY.fullmatch(weight) is not None and float(weight) > 0
    return True
