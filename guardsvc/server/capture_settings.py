"""Settings of ``service.capture``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from guardsvc.config import Secret
from guardsvc.model import Settings, SettingsError
from guardsvc.observe.capture import CaptureKey, KeyTextError
from guardsvc.server.audit_settings import WORKER

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CaptureSettings", "capture_problems"]

MIB = 1_048_576


class CaptureSettings(Settings):
    """The capture of operations, off unless it has a path."""

    path: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description=f"The file, made with mode 0600; `{WORKER}` stands for the number of the worker. Without one, "
        "nothing is captured.",
    )
    payloads: Literal["digest", "full"] = Field(
        default="digest",
        description="`digest`: names, the decision, and a digest of the payload. `full`: payloads and header fields "
        "too, and every record is sealed with `key` (AES-256-GCM).",
    )
    key: Secret | None = Field(
        default=None,
        description="32 bytes in base64, `guardsvc capture keygen`: seals full payloads, and makes digests that can be "
        "compared over restarts and workers. Without one, digests are made under a random key of each process.",
    )
    sample: float = Field(default=1.0, gt=0, le=1, description="Share of exchanges that are captured, drawn at random.")
    max_record_bytes: int = Field(
        default=256 * 1024,
        ge=1024,
        le=16 * MIB,
        description="Largest payload that is kept whole; of larger ones there is the digest.",
    )
    max_bytes: int = Field(default=50 * MIB, ge=MIB, description="Size above which the file is rotated.")
    max_age_s: float | None = Field(
        default=None, ge=60, description="Seconds since its first record after which the file is rotated."
    )
    keep: int = Field(default=4, ge=0, le=1000, description="Rotated files that are kept; `PATH.1` is the newest.")
    queue_records: int = Field(default=1024, ge=16, le=1_000_000, description="Records that may wait to be written.")
    queue_bytes: int = Field(
        default=4 * MIB, ge=MIB, le=1024 * MIB, description="Bytes of the bodies whose records wait."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.key is not None:
            try:
                CaptureKey(self.key.reveal())
            except KeyTextError as error:
                raise SettingsError(("key",), str(error)) from None
        if self.payloads == "full" and self.path is not None:
            if self.key is None:
                raise SettingsError(("key",), "the key is missing; payloads: full needs it")
            if find_spec("cryptography") is None:
                raise SettingsError(("payloads",), "full needs the package cryptography, which is not installed")
        return self


def capture_problems(capture: CaptureSettings, workers: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """What does not fit the rest: place below ``service``, and what is wrong."""
    if capture.path is not None and workers > 1 and WORKER not in capture.path:
        yield ("capture", "path"), f'"{capture.path}" is one file for {workers} workers; put {WORKER} in it'
