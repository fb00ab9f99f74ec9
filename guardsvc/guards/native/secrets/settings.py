"""Settings of ``secrets``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from guardsvc.config import Secret
from guardsvc.model import Settings

__all__ = ["FieldSettings", "SecretsSettings"]

Name = Annotated[str, Field(min_length=1, max_length=256)]
CanaryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Value = Annotated[str, Field(min_length=4, max_length=4096)]


class FieldSettings(Settings):
    """Fields that may hold credentials."""

    tools: tuple[Name, ...] = Field(default=("*",), min_length=1, description="Tools, as globs.")
    fields: tuple[Name, ...] = Field(
        min_length=1, description="Names of the fields, as globs; what lies in an object has the name of its member."
    )


class SecretsSettings(Settings):
    """What may not leave, and what becomes of it."""

    canaries: dict[CanaryName, Secret] = Field(
        default={},
        max_length=256,
        description="Values that are nowhere but in a trap, each with a name for findings; found in any spelling "
        "and encoding, also spread over several values. At least 8 letters and digits.",
    )
    action: Literal["deny", "redact", "log"] = Field(
        default="deny",
        description="What a finding amounts to where `rules` does not say. `redact` masks it, and denies where that "
        "cannot be done.",
    )
    disabled_rules: tuple[Name, ...] = Field(default=(), description="Rules that are not used, by id.")
    allowed_values: tuple[Value, ...] = Field(
        default=(), max_length=1000, description="Values that are no finding where they stand as they are."
    )
    allowed_fields: tuple[FieldSettings, ...] = Field(
        default=(), max_length=1000, description="Fields that may hold credentials; canaries are found there too."
    )
    declared_fields: bool = Field(
        default=True,
        description="Let pass credentials in a field that the tool's configured schema declares for one: by its name, "
        "`format: password` or `writeOnly`.",
    )
