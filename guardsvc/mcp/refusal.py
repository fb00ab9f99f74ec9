"""Refusal: a message that cannot be read in exactly one way, and what its denial needs."""

from __future__ import annotations

from typing import Any

from guardsvc.mcp.envelope import Envelope
from guardsvc.model import Kind

__all__ = ["Refusal", "excerpt"]

_LONGEST_EXCERPT = 80
_UNREADABLE = Envelope()


class Refusal(Exception):
    """Raised instead of an interpretation.

    Attributes:
        code: a key of ``guardsvc.model.REASONS``.
        detail: what and where, of bounded length and plain ASCII; it names members and counts, never values.
        kind: what the message is, None where that cannot be told.
        method: its method, empty where it has none or it is not readable.
        id: its id, None where it has none or it can be read in more than one way.
        batch: whether the body is a batch.
        details: members for ``error.data``, safe to show to the client.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        envelope: Envelope = _UNREADABLE,
        batch: bool = False,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.kind = envelope.kind
        self.method = envelope.method
        self.id = envelope.id
        self.batch = batch
        self.details = details or {}

    @property
    def answerable(self) -> bool:
        """Whether a denial may echo the id: a client's own answer has an id, but it is the server's."""
        return self.id is not None and self.kind in (None, Kind.REQUEST)


def excerpt(text: str) -> str:
    """``text`` quoted for an operator: cut to a bounded length, with escapes for all but plain ASCII."""
    if len(text) <= _LONGEST_EXCERPT:
        return ascii(text)
    return ascii(text[:_LONGEST_EXCERPT]) + "..."
