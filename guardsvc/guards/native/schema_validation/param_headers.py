"""Param headers: the ``Mcp-Param-*`` header fields of a call held against the schema that its tool is pinned with."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING

from guardsvc.mcp.param_headers import ParamHeader, check_param_headers, param_headers
from guardsvc.mcp.revisions import is_at_least

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.model import Operation

__all__ = ["LearnedHeaders"]

MAX_TOOLS = 1024
SINCE = "2026-07-28"
"""The revision whose requests carry them."""


class LearnedHeaders:
    """The headers of the most recently called tools."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, tuple[ParamHeader, ...]] = OrderedDict()

    def problem(self, operation: Operation, definitions: Mapping[str, bytes]) -> str | None:
        """What is wrong with the header fields of a call, None where they mirror its arguments.

        A tool whose own declaration breaks the rules asks for none; it should not have been listed.

        Args:
            operation: the call; one whose header fields the gateway does not show is not judged.
            definitions: what the tool is pinned with, by digest.
        """
        if operation.http_method != "POST" or not is_at_least(operation.revision, SINCE):
            return None
        arguments = (operation.payload or {}).get("arguments")
        for digest, data in definitions.items():
            params = self._params(digest, data)
            if params and (problem := check_param_headers(params, arguments, operation.headers)) is not None:
                return problem
        return None

    def _params(self, digest: str, data: bytes) -> tuple[ParamHeader, ...]:
        made = self._made.get(digest)
        if made is None:
            try:
                made = param_headers(json.loads(data).get("inputSchema", {}))
            except ValueError:
                made = ()
            self._made[digest] = made
            if len(self._made) > MAX_TOOLS:
                self._made.popitem(last=False)
        return made
