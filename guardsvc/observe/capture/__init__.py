"""Capture: operations as they were decided, kept to be judged again by another policy."""

from guardsvc.observe.capture.capture import Capture, CaptureOptions
from guardsvc.observe.capture.key import CaptureKey, KeyTextError, OpeningError, new_key
from guardsvc.observe.capture.record import CapturedGap, CapturedOperation, SealedOperation
from guardsvc.observe.capture.recorder import CapturingRecorder

__all__ = [
    "Capture",
    "CaptureKey",
    "CaptureOptions",
    "CapturedGap",
    "CapturedOperation",
    "CapturingRecorder",
    "KeyTextError",
    "OpeningError",
    "SealedOperation",
    "new_key",
]
