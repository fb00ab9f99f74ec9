"""Pages: what the pages of a list before this one had, while a caller goes through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.digest_cache import DigestCache
from guardsvc.guards.native.tool_poisoning.links import Definition
from guardsvc.model import GatewayProtocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.model import Operation

__all__ = ["FIRST", "Before", "Pages"]

MAX_LISTS = 512
PARSED = 6
"""Bytes of memory that a byte of JSON takes once it is read."""
MAX_KEPT = 131_072
"""Bytes of JSON that are kept of the pages of one list; of more the latest definitions."""

_encode = msgspec.json.Encoder().encode


class Before(msgspec.Struct, frozen=True):
    """What the pages before had.

    Attributes:
        definitions: in the order of the list, with negative indexes.
        digest: of them, empty where there are none.
    """

    definitions: tuple[Definition, ...] = ()
    digest: bytes = b""


FIRST = Before()
"""What is known of the pages before a first page."""


class Pages:
    """The pages of lists that are not at their end, by caller and server.

    A list belongs to the one before it where the same caller was shown a page of the same server that another one
    follows. Who shows the first page twice shows the same definitions twice, which changes nothing. Only this process
    knows them, and a policy that is loaded anew knows none.
    """

    def __init__(self) -> None:
        self._kept = DigestCache[Before](MAX_LISTS)

    def before(self, operation: Operation, member: str) -> Before:
        """The definitions that the pages before this one had."""
        if not len(self._kept) or operation.server is None:
            return FIRST
        return self._kept.get(self._key(operation, member)) or FIRST

    def turn(self, operation: Operation, member: str, tools: Sequence[Any], before: Before) -> None:
        """Keep a page that another one follows with those before it, and forget a list that is at its end.

        Args:
            operation: the page.
            member: of its payload that has the definitions.
            tools: the definitions.
            before: what the pages before had.
        """
        goes_on = operation.payload.get("nextCursor") is not None and operation.server is not None
        if not goes_on or operation.protocol is GatewayProtocol.CLI:
            if before.digest:
                self._kept.drop(self._key(operation, member))
            return
        fresh = {definition.name: definition for definition in map(_definition, tools) if definition is not None}
        kept = [definition for definition in before.definitions if definition.name not in fresh]
        size, chosen = 0, []
        for definition in reversed((*kept, *fresh.values())):
            size += len(definition.data)
            if size > MAX_KEPT:
                break
            chosen.append(definition)
        definitions = tuple(
            msgspec.structs.replace(definition, index=index - len(chosen))
            for index, definition in enumerate(reversed(chosen))
        )
        digest = self._kept.digest(b"\n".join(definition.data for definition in definitions))
        self._kept.put(self._key(operation, member), Before(definitions, digest), size * PARSED)

    def _key(self, operation: Operation, member: str) -> bytes:
        caller = operation.caller
        return self._kept.digest(_encode((caller.tenant, caller.principal, caller.verified, operation.server, member)))


def _definition(tool: Any) -> Definition | None:
    try:
        return Definition(0, tool, _encode(tool))
    except (TypeError, ValueError, RecursionError):
        return None
