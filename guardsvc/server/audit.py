"""The audit of a process, made of its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import guardsvc
from guardsvc.observe.audit import Audit, AuditKey, AuditOptions
from guardsvc.server.audit_settings import WORKER

if TYPE_CHECKING:
    from guardsvc.observe import Metrics
    from guardsvc.server.audit_settings import AuditSettings

__all__ = ["MIN_FLUSH_S", "audit_of", "audit_options"]

MIN_FLUSH_S = 1.0
"""Seconds that records have to be written at the end, even where decisions have used up the grace."""


def audit_of(settings: AuditSettings, metrics: Metrics, worker: int = 0) -> Audit | None:
    """The audit of a worker, not started; None where there is none."""
    options = audit_options(settings, worker)
    return None if options is None else Audit(options, metrics)


def audit_options(settings: AuditSettings, worker: int = 0) -> AuditOptions | None:
    """What the settings amount to; None where there is no audit."""
    if settings.output == "none":
        return None
    path = None if settings.output == "stdout" or settings.path is None else settings.path.replace(WORKER, str(worker))
    return AuditOptions(
        path=path,
        keys=tuple(AuditKey(key.id, key.secret.reveal().encode()) for key in settings.keys),
        worker=str(worker),
        version=guardsvc.__version__,
        mode=settings.mode,
        include_arguments=settings.include_arguments,
        max_file_bytes=settings.max_bytes,
        max_file_age_s=settings.max_age_s,
        keep=settings.keep,
        fsync=settings.fsync,
        queue_records=settings.queue_records,
        queue_bytes=settings.queue_bytes,
    )
