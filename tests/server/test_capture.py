"""What captures in a service; where nothing is captured, nothing of it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.observe import Metrics, Recorder
from guardsvc.observe.capture import CapturingRecorder, new_key
from guardsvc.server.capture import capture_of, capture_options, recorder_of
from guardsvc.server.capture_settings import CaptureSettings

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_path_the_recorder_is_the_one_there_always_was() -> None:
    metrics = Metrics("0", process=False)
    capture = capture_of(CaptureSettings(), metrics)

    assert capture is None
    assert type(recorder_of(metrics, (), None, capture)) is Recorder


def test_settings_amount_to_options(tmp_path: Path) -> None:
    path = str(tmp_path / "c-{worker}.jsonl")
    settings = CaptureSettings.model_validate({"path": path, "payloads": "full", "key": new_key(), "sample": 0.5})
    options = capture_options(settings, worker=3)

    assert options is not None
    assert (options.path, options.worker) == (str(tmp_path / "c-3.jsonl"), "3")
    assert (options.full, options.sample, options.key is not None) == (True, 0.5, True)
    metrics = Metrics("0", process=False)
    assert type(recorder_of(metrics, (), None, capture_of(settings, metrics, 3))) is CapturingRecorder
