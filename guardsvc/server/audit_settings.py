"""Settings of ``service.audit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from guardsvc.config import Secret
from guardsvc.model import Settings, SettingsError
from guardsvc.observe.audit import KEY_ID, MIN_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WORKER", "AuditKeySettings", "AuditSettings", "audit_problems"]

MIB = 1_048_576
WORKER = "{worker}"
"""Stands for the number of the worker in the path."""

KeyId = Annotated[str, Field(pattern=f"^{KEY_ID.pattern}$")]


class AuditKeySettings(Settings):
    """A key of the audit."""

    id: KeyId = Field(description="Stands in every record that is made with the key.")
    secret: Secret = Field(description=f"The key, of at least {MIN_KEY} characters.")

    @model_validator(mode="after")
    def _is_long(self) -> Self:
        if len(self.secret.reveal()) < MIN_KEY:
            raise SettingsError(("secret",), f"shorter than {MIN_KEY} characters")
        return self


class AuditSettings(Settings):
    """The audit: one record per decision."""

    output: Literal["none", "file", "stdout"] = Field(default="none", description="Where records go.")
    path: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description=f"The file of `output: file`; `{WORKER}` stands for the number of the worker.",
    )
    mode: Literal["best_effort", "required"] = Field(
        default="best_effort",
        description="`required`: a decision whose record is not written in time is a denial, `audit_unavailable`. "
        "`best_effort`: such a record is dropped and counted.",
    )
    keys: tuple[AuditKeySettings, ...] = Field(
        default=(),
        description="Keys of digests and of the chain. The first is used, the others are believed in what the file "
        "holds already; so a new key is put in front.",
    )
    include_arguments: bool = Field(
        default=False, description="Whether records hold arguments as they are, up to 64 KiB, beside their digest."
    )
    max_bytes: int | None = Field(
        default=100 * MIB,
        ge=MIB,
        description="Size above which the file is rotated; `null` for never, where another program rotates it.",
    )
    max_age_s: float | None = Field(
        default=None, ge=60, description="Seconds since its first record after which the file is rotated."
    )
    keep: int = Field(default=10, ge=0, le=1000, description="Rotated files that are kept; `PATH.1` is the newest.")
    fsync: Literal["never", "interval", "always"] = Field(
        default="interval",
        description="When the file is synced: never, once a second, or before a decision that requires its record "
        "is answered. What is not synced survives a crash of the process, not of the machine.",
    )
    queue_records: int = Field(default=8192, ge=64, le=1_000_000, description="Records that may wait to be written.")
    queue_bytes: int = Field(
        default=8 * MIB,
        ge=MIB,
        le=1024 * MIB,
        description="Bytes of the requests whose records wait; at least twice `policy.integrity.max_bytes`.",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.output == "none":
            return self
        if self.output == "file" and self.path is None:
            raise SettingsError(("path",), "the key is missing; output: file needs it")
        if not self.keys:
            raise SettingsError(("keys",), "the list is empty; digests and the chain need a key")
        ids = [key.id for key in self.keys]
        for index, key_id in enumerate(ids):
            if key_id in ids[:index]:
                raise SettingsError(("keys", index, "id"), f'"{key_id}" is the id of another key too')
        return self


def audit_problems(audit: AuditSettings, workers: int, max_bytes: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """What does not fit the rest: place below ``service``, and what is wrong.

    Args:
        audit: the settings.
        workers: how many run.
        max_bytes: largest body that is judged.
    """
    if audit.output != "none" and audit.queue_bytes < 2 * max_bytes:
        yield (
            ("audit", "queue_bytes"),
            f"{audit.queue_bytes} is less than two bodies of policy.integrity.max_bytes {max_bytes}",
        )
    if audit.output == "file" and workers > 1 and WORKER not in (audit.path or ""):
        yield ("audit", "path"), f'"{audit.path}" is one file for {workers} workers; put {WORKER} in it'
