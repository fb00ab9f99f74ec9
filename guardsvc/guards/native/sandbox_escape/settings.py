"""Settings of the guard."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from guardsvc.model import Settings, Severity

__all__ = ["RoleName", "SandboxEscapeSettings"]

Text = Annotated[str, Field(min_length=1, max_length=512)]
RoleName = Literal[
    "plain", "path", "url", "host", "argument", "command", "statement", "formula", "template", "code", "text", "ignored"
]


class SandboxEscapeSettings(Settings):
    """What is allowed, what fields are for, and how much it takes to deny."""

    allowed_roots: tuple[Text, ...] = Field(
        default=(),
        description="Absolute directories, POSIX or Windows. Paths below them pass although they are of the system; "
        "with any given, absolute paths elsewhere are refused.",
    )
    allowed_hosts: tuple[Text, ...] = Field(
        default=(), description="Hosts that pass although they are internal: names as globs, addresses, networks."
    )
    only_allowed_hosts: bool = Field(default=False, description="Refuse URLs to any other host than `allowed_hosts`.")
    parent_levels: int = Field(
        default=0, ge=0, le=16, description="So many directories up may a relative path lead from where it starts."
    )
    fields: dict[Text, RoleName] = Field(
        default={},
        description="What fields are for, where their name does not tell: by name, or by JSON pointer as a glob "
        "(`/arguments/*/run`). The first that matches counts.",
    )
    deny_from: Severity = Field(
        default=Severity.HIGH, description="Severity from which on a finding denies; others are reported."
    )
    disabled_rules: tuple[Text, ...] = Field(default=(), description="Rules that are not used, by id.")
