"""Settings of ``argument_limits``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from guardsvc.model import Settings

__all__ = ["ArgumentLimitsSettings", "Limits"]

Name = Annotated[str, Field(min_length=1, max_length=1024)]
Control = Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[\x01-\x1f\x7f-\x9f]$")]
Action = Literal["allow", "deny"]


class Limits(Settings):
    """How much of what may be sent. For a tool, what is not given is as for all."""

    max_bytes: int = Field(default=524_288, ge=64, le=67_108_864, description="Largest params, in bytes of JSON.")
    max_depth: int = Field(
        default=24, ge=1, le=256, description="Deepest nesting of objects and arrays; the params are the first level."
    )
    max_values: int = Field(
        default=20_000, ge=1, le=1_000_000, description="Most values in all objects and arrays together."
    )
    max_string_length: int = Field(
        default=262_144, ge=1, le=67_108_864, description="Longest text, in characters (code points)."
    )
    max_name_length: int = Field(default=256, ge=1, le=65_536, description="Longest name of a member, in characters.")
    max_items: int = Field(default=5_000, ge=0, le=1_000_000, description="Most items of an array.")
    max_properties: int = Field(default=500, ge=0, le=1_000_000, description="Most members of an object.")
    max_integer: int = Field(
        default=2**53 - 1,
        ge=0,
        description="Largest magnitude of an integer. Beyond 2^53 - 1 readers differ on what it is.",
    )
    max_float: float = Field(
        default=1e100, ge=1, le=1.7976931348623157e308, description="Largest magnitude of another number."
    )
    min_float: float = Field(
        default=1e-100, ge=0, le=1, description="Smallest magnitude of a number that is not 0; 0 sets no limit."
    )
    nul: Action = Field(default="deny", description="U+0000, which ends texts for some readers.")
    controls: Action = Field(
        default="deny", description="Other control characters: C0, U+007F and C1 (U+0080 to U+009F)."
    )
    allowed_controls: tuple[Control, ...] = Field(
        default=("\t", "\n", "\r"), description="Control characters that pass nevertheless."
    )
    bidi: Action = Field(
        default="deny",
        description="Characters that turn the direction of a text (U+202A to U+202E, U+2066 to U+2069), so that "
        "people read something else.",
    )


class ArgumentLimitsSettings(Limits):
    """Limits for everything a client sends, and others for calls to some tools."""

    tools: dict[Name, Limits] = Field(
        default={},
        description="Limits of calls to a tool, by its name as a glob; the first that matches counts, and what it "
        "does not give is as for all.",
    )
