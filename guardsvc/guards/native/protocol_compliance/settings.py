"""Settings of ``protocol_compliance``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from guardsvc.model import Settings

__all__ = ["ProtocolComplianceSettings", "Revision"]

Revision = Literal["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
"""The values of ``guardsvc.mcp.revisions.REVISIONS`` as a type."""

Method = Annotated[str, Field(min_length=1, max_length=256)]


class ProtocolComplianceSettings(Settings):
    """Which revisions are accepted, and how far clients may stray from them."""

    revisions: tuple[Revision, ...] = Field(
        default=("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"),
        min_length=1,
        description="Protocol revisions that clients may use.",
    )
    extra_methods: tuple[Method, ...] = Field(
        default=(),
        description="Methods beyond the protocol that are let through, as globs (`*` is any run of "
        "characters); of their params only `_meta` is checked.",
    )
    require_accept: bool = Field(
        default=True,
        description="Whether the Accept header of a request must list `application/json` and "
        "`text/event-stream`, as every revision since 2025-03-26 asks.",
    )
    param_headers: bool = Field(
        default=True,
        description="Whether calls of tools with a configured `input_schema` must carry the "
        "`Mcp-Param-*` headers that it declares (2026-07-28 only).",
    )
