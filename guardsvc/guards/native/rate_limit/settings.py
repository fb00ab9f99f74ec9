"""Settings of ``rate_limit``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from guardsvc.config import Secret
from guardsvc.model import Settings
from guardsvc.state import Strategy

__all__ = ["MEMORY", "KeyPart", "LimitMatch", "LimitSettings", "RateLimitSettings"]

Name = Annotated[str, Field(min_length=1, max_length=256)]
Cost = Annotated[int, Field(ge=0, le=1_000_000)]
KeyPart = Literal["tenant", "principal", "server", "tool", "method", "address"]

MEMORY = "memory"


class LimitMatch(Settings):
    """What a limit counts. Each list is of globs; all that are given must match."""

    methods: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Methods; `client/result` for answers to server requests."
    )
    tools: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Tools, as their server names them; other operations are not counted."
    )


class LimitSettings(Settings):
    """One limit."""

    name: Name | None = Field(
        default=None, description="Name in denials, findings and counters; `limits[N]` by default."
    )
    key: tuple[KeyPart, ...] = Field(
        min_length=1,
        description="What is counted apart: any of tenant, principal, server, tool, method and address. Where the "
        "tenant or principal is not verified, or not named, the source address stands for it. With `tool`, only "
        "operations on tools are counted.",
    )
    windows: tuple[str, ...] = Field(
        min_length=1,
        max_length=8,
        description="How much: `10/second`, `100/minute`, `500/2 hours`, `5000/day`. All of them must have room.",
    )
    strategy: Strategy = Field(
        default=Strategy.SLIDING,
        description="`sliding_window` weighs the last window with the present one, `moving_window` remembers every "
        "operation, `fixed_window` begins anew each time and lets pass twice as much around its end.",
    )
    match: LimitMatch = Field(default=LimitMatch(), description="What the limit counts.")
    cost: dict[Name, Cost] = Field(
        default={},
        description="How much an operation takes, by method as a glob; the first that matches counts, and 1 where "
        "none does. With 0 it is neither counted nor refused.",
    )


class RateLimitSettings(Settings):
    """Limits, and where they are counted."""

    limits: tuple[LimitSettings, ...] = Field(
        min_length=1, max_length=32, description="The limits; an operation needs room in all that count it."
    )
    storage: Literal["memory"] | Secret = Field(
        default="memory",
        union_mode="left_to_right",
        description="`memory` of the process, or the URL of a Redis or Valkey that workers and replicas share: "
        "`redis://`, `rediss://` (TLS), `valkey://`, `valkeys://` or `unix://`.",
    )
    max_keys: int = Field(
        default=10_000,
        ge=16,
        le=1_000_000,
        description="Most counters in memory, one per key and window: so many for keys with an address, and so "
        "many for the others. Keys beyond are counted together.",
    )
    per_worker: bool = Field(
        default=False,
        description="Let each worker count for itself; without it, memory with several workers is an error.",
    )
