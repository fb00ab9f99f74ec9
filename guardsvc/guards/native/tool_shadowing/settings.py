"""Settings of ``tool_shadowing``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from guardsvc.guards.native.storage import StoredSettings
from guardsvc.model import Settings

__all__ = ["ProtectedNames", "ToolShadowingSettings"]

Name = Annotated[str, Field(min_length=1, max_length=256)]


class ProtectedNames(Settings):
    """Names that only some servers may use."""

    names: tuple[Name, ...] = Field(
        min_length=1,
        max_length=1000,
        description="Tools, as globs; a name without `*` is protected from likenesses too.",
    )
    servers: tuple[Name, ...] = Field(
        default=(), description="Servers whose tools may have the names, as globs; none may where this is empty."
    )


class ToolShadowingSettings(StoredSettings):
    """What counts as shadowing, and what becomes of the list."""

    on_finding: Literal["drop_tool", "deny_list"] | None = Field(
        default=None,
        description="What becomes of a list with a refused tool: it goes on without the tool, the default for lists "
        "that several servers fill, or is denied, the default for others.",
    )
    same_names: Literal["report", "deny"] = Field(
        default="report",
        description="What becomes of a tool with the name of another server's, which was there before; names that "
        "differ in case and separators only count as the same.",
    )
    mentions: Literal["report", "deny"] = Field(
        default="report", description="What becomes of a tool whose text names another server's tool without a demand."
    )
    protected_names: tuple[ProtectedNames, ...] = Field(
        default=(), max_length=256, description="Names that only some servers may use."
    )
    max_names: int = Field(
        default=2000, ge=1, le=100_000, description="Most names remembered of one tenant and server."
    )
