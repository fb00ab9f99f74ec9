"""Settings of ``data_leak``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from guardsvc.guards.native.data_leak.rules import Personal
from guardsvc.guards.native.secrets.settings import FieldSettings
from guardsvc.model import Settings, Severity

__all__ = ["Action", "DataLeakSettings"]

Action = Literal["deny", "redact", "log"]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Pattern = Annotated[str, Field(min_length=1, max_length=2_000)]
Domain = Annotated[str, Field(pattern=r"^(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*$")]
Value = Annotated[str, Field(min_length=4, max_length=4096)]


class DataLeakSettings(Settings):
    """What servers may not answer with, and what becomes of it."""

    secrets: Action = Field(
        default="redact",
        description="What becomes of credentials that are told by their form. `redact` puts a placeholder such as "
        "`[REDACTED:aws_access_key]` in their place, and denies where that cannot be done.",
    )
    guessed_secrets: Action = Field(
        default="log", description="The same of values that are credentials by the name beside them only."
    )
    personal_data: dict[Personal, Action] = Field(
        default={},
        description="Kinds of personal data to look for, each with what becomes of it. Kinds that are not named are "
        "not looked for.",
    )
    severities: dict[Name, Severity] = Field(
        default={}, description="Severity of the findings of some rules, where it is not the built-in one."
    )
    disabled_rules: tuple[Name, ...] = Field(default=(), description="Rules for credentials that are not used, by id.")
    allowed_domains: tuple[Domain, ...] = Field(
        default=(),
        max_length=1000,
        description="Domains whose e-mail addresses are no finding; `*.` in front stands for all below.",
    )
    allowed_values: tuple[Value, ...] = Field(
        default=(), max_length=1000, description="Values that are no finding where they stand as they are."
    )
    allowed_patterns: tuple[Pattern, ...] = Field(
        default=(), max_length=200, description="RE2 patterns; what one matches from end to end is no finding."
    )
    allowed_fields: tuple[FieldSettings, ...] = Field(
        default=(), max_length=1000, description="Fields of results that may hold any of it, such as that of a login."
    )
