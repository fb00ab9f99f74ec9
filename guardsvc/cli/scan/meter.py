"""Meter: what a server has sent so far, held against the bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.mcp import Refusal
from guardsvc.mcp.strict_json import decode

if TYPE_CHECKING:
    from guardsvc.cli.scan.catalog import Bounds, Catalog
    from guardsvc.mcp import Limits

__all__ = ["BoundError", "Meter"]


class BoundError(Exception):
    """The server has sent more than it may."""


class Meter:
    """Counts what comes from one server.

    Args:
        catalog: where to note what is wrong.
        bounds: what it may send.
        limits: how messages are read, by the policy.
    """

    def __init__(self, catalog: Catalog, bounds: Bounds, limits: Limits) -> None:
        self._catalog = catalog
        self.bounds = bounds
        self._limits = limits
        self._bytes = 0
        self._messages = 0

    def add(self, size: int, of_message: int) -> None:
        """Count bytes.

        Args:
            size: so many have come.
            of_message: so many of one message have come as a whole.

        Raises:
            BoundError: these are too many.
        """
        self._bytes += size
        if of_message > self.bounds.message_bytes:
            self.refuse(f"a message of more than {self.bounds.message_bytes} bytes")
        if self._bytes > self.bounds.total_bytes:
            self.refuse(f"more than {self.bounds.total_bytes} bytes")

    def count(self) -> None:
        """Count a message.

        Raises:
            BoundError: it is one too many.
        """
        self._messages += 1
        if self._messages > self.bounds.messages:
            self.refuse(f"more than {self.bounds.messages} messages")

    def refuse(self, text: str) -> None:
        """Note that a bound is passed.

        Raises:
            BoundError: always.
        """
        self._catalog.remark("too_much_data", text)
        raise BoundError(text)

    def read(self, data: bytes) -> None:
        """Note where a message could be read in two ways, or not at all, as a gateway's would be."""
        try:
            decode(data, self._limits)
        except Refusal as refusal:
            rule = "beyond_limits" if refusal.code.startswith("too_") else "ambiguous_message"
            self._catalog.remark(rule, f"a message is refused as {refusal.code}")
