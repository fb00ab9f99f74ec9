"""Settings of ``service.overload`` and ``service.large_bodies``: how much a worker takes on at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from guardsvc.model import FailureMode, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.server.audit_settings import AuditSettings

__all__ = ["LargeBodySettings", "OverloadSettings", "load_problems"]

KIB = 1024
MIB = 1_048_576


class OverloadSettings(Settings):
    """Bounds of what a worker takes on at once; what is beyond is answered at once, unread."""

    max_decisions: int = Field(default=1024, ge=1, le=100_000, description="Calls under way in a worker.")
    max_streams: int = Field(
        default=2048,
        ge=1,
        le=100_000,
        description="Streams of ext_proc under way in a worker, each one HTTP exchange; an event stream has one for as "
        "long as it lasts.",
    )
    max_bytes: int | None = Field(
        default=None,
        ge=MIB,
        le=16 * 1024 * MIB,
        description="Bytes of the messages of all calls under way in a worker, as they came; at least "
        "`service.grpc.max_message_bytes`, which is the default.",
    )
    failure_mode: FailureMode = Field(
        default=FailureMode.FAIL_CLOSED,
        description="What a call counts as that there is no room for: a denial, `overloaded`, or with `fail_open` an "
        "allow, so that whoever can flood the service can pass it.",
    )
    retry_after_ms: int = Field(
        default=1000, ge=0, le=3_600_000, description="How long a caller is told to wait, in milliseconds."
    )


class LargeBodySettings(Settings):
    """Large bodies, which processes of their own judge."""

    above_bytes: int = Field(
        default=64 * KIB, ge=KIB, le=64 * MIB, description="Bodies larger than this are judged by such a process."
    )
    processes: int = Field(
        default=1,
        ge=0,
        le=16,
        description="Such processes of each worker; with 0 the worker judges large bodies itself, and they hold up all "
        "others.",
    )
    max_waiting: int = Field(
        default=16,
        ge=0,
        le=1024,
        description="Large bodies of a worker that may wait for one of them; what is beyond is `overloaded`.",
    )
    nice: int = Field(
        default=19,
        ge=0,
        le=19,
        description="How far they stand back behind others on a busy machine, as nice(1) has it. With less than 19 a "
        "small call may wait some four milliseconds for a core that a large body has.",
    )


def load_problems(
    overload: OverloadSettings, max_message_bytes: int, audit: AuditSettings
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What does not fit the rest: place below ``service``, and what is wrong."""
    if overload.max_bytes is not None and overload.max_bytes < max_message_bytes:
        yield (
            ("overload", "max_bytes"),
            f"{overload.max_bytes} has no room for one message of service.grpc.max_message_bytes {max_message_bytes}",
        )
    if overload.failure_mode is FailureMode.FAIL_OPEN and audit.output != "none" and audit.mode == "required":
        yield (
            ("overload", "failure_mode"),
            "fail_open lets calls pass unread and without a record, which service.audit.mode required forbids",
        )
