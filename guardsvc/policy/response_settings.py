"""Settings of ``policy.responses``: what is read of a server's responses, and what becomes of those nobody judged."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from guardsvc.model import Settings

__all__ = ["ResponseSettings"]

MIB = 1_048_576


class ResponseSettings(Settings):
    """What servers answer, where a gateway shows it."""

    default: Literal["allow", "deny"] | None = Field(
        default=None,
        description="Decision about a response that no enforcing guard judged; `policy.default` where it is not given.",
    )
    require_context: bool = Field(
        default=True,
        description="Refuse a response that cannot be matched to a request guardsvc has allowed "
        "(`uncorrelated_response`); otherwise it is judged by its shape, by every guard whatever its `match`.",
    )
    other_types: Literal["allow", "deny"] = Field(
        default="deny",
        description="Responses that are neither JSON nor an event stream: `allow` passes their bodies unread.",
    )
    max_bytes: int = Field(
        default=8 * MIB, ge=1024, le=64 * MIB, description="Largest response body, in bytes, after decompression."
    )
    max_event_bytes: int = Field(
        default=MIB, ge=1024, le=64 * MIB, description="Largest event of an event stream, in bytes."
    )
    max_depth: int = Field(default=64, ge=4, le=256, description="Deepest nesting of a message.")
    max_keys: int = Field(default=200_000, ge=16, le=4_000_000, description="Most object members of a message.")
    max_containers: int = Field(
        default=200_000, ge=16, le=4_000_000, description="Most objects and arrays of a message together."
    )
    deadline_ms: float = Field(
        default=5000,
        gt=0,
        le=600_000,
        description="Time from the first byte of a body or an event to the decision about it, in milliseconds. "
        "Between events time does not count.",
    )
