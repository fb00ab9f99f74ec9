"""Settings of ``schema_validation``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from guardsvc.model import Settings

__all__ = ["ExtraProperties", "SchemaValidationSettings", "UnsupportedPatterns"]

ExtraProperties = Literal["schema", "deny", "allow"]
UnsupportedPatterns = Literal["error", "ignore"]


class SchemaValidationSettings(Settings):
    """How arguments are held against schemas."""

    extra_properties: ExtraProperties = Field(
        default="schema",
        description="Arguments that the schema does not name: `schema` leaves them to it, `deny` refuses them also "
        "where the schema is open, `allow` lets them pass also where it is closed.",
    )
    without_schema: Literal["allow", "deny"] = Field(
        default="allow", description="What becomes of a call to a tool whose schema is not known."
    )
    learned_from: str | None = Field(
        default=None,
        min_length=1,
        description="Id of a guard `rug_pull` in front of this one: tools whose schema is not configured are held "
        "against the one that they are pinned with.",
    )
    formats: bool = Field(
        default=False,
        description="Whether `format` is checked. JSON Schema leaves it to each reader, so that servers may differ.",
    )
    unsupported_patterns: UnsupportedPatterns = Field(
        default="error",
        description="A `pattern` that cannot be matched in linear time (look-around, back references): `error` "
        "refuses the configuration, `ignore` lets every text pass there.",
    )
    max_schema_bytes: int = Field(
        default=65_536, ge=1024, le=1_048_576, description="Largest schema of a tool, in bytes of JSON."
    )
    max_errors: int = Field(default=8, ge=1, le=64, description="Most faults of a call that are named.")
