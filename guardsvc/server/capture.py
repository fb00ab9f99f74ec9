"""The capture of a process, made of its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.observe import Recorder
from guardsvc.observe.capture import Capture, CaptureKey, CaptureOptions, CapturingRecorder
from guardsvc.server.audit_settings import WORKER

if TYPE_CHECKING:
    from collections.abc import Collection

    from guardsvc.observe import Metrics
    from guardsvc.observe.audit import Audit
    from guardsvc.server.capture_settings import CaptureSettings

__all__ = ["capture_of", "capture_options", "recorder_of"]


def capture_of(settings: CaptureSettings, metrics: Metrics, worker: int = 0) -> Capture | None:
    """The capture of a worker, not started; None where there is none."""
    options = capture_options(settings, worker)
    return None if options is None else Capture(options, metrics)


def capture_options(settings: CaptureSettings, worker: int = 0) -> CaptureOptions | None:
    """What the settings amount to; None where nothing is captured."""
    if settings.path is None:
        return None
    return CaptureOptions(
        path=settings.path.replace(WORKER, str(worker)),
        key=None if settings.key is None else CaptureKey(settings.key.reveal()),
        worker=str(worker),
        full=settings.payloads == "full",
        sample=settings.sample,
        max_record_bytes=settings.max_record_bytes,
        max_file_bytes=settings.max_bytes,
        max_file_age_s=settings.max_age_s,
        keep=settings.keep,
        queue_records=settings.queue_records,
        queue_bytes=settings.queue_bytes,
    )


def recorder_of(metrics: Metrics, methods: Collection[str], audit: Audit | None, capture: Capture | None) -> Recorder:
    """What records decisions, and captures operations where that is wanted."""
    if capture is None:
        return Recorder(metrics, methods, audit)
    return CapturingRecorder(metrics, methods, audit, capture)
