"""The metrics of several workers on one page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from prometheus_client import values
from prometheus_client.parser import text_string_to_metric_families

from guardsvc.observe import JointMetrics, Metrics, Recorder, forget_worker, join_metrics
from guardsvc.observe.joint import ROOM
from tests.observe.decisions import decision, outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Metrics]:
    """Makes the metrics of a worker, as its process would."""
    for name in ("ValueClass", "MmapedDict"):
        monkeypatch.setattr(values, name, getattr(values, name))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")

    def join(worker: int) -> Metrics:
        join_metrics(tmp_path, worker)
        return Metrics("1", process=False)

    return join


@pytest.fixture
def page(tmp_path: Path) -> JointMetrics:
    return JointMetrics(Metrics("1", process=False), tmp_path, lambda: {"supervisor": os.getpid()})


def series(page: JointMetrics) -> Series:
    found: Series = {}
    for family in text_string_to_metric_families(page.exposition().decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def total(found: Series, name: str) -> float:
    return sum(value for (each, _), value in found.items() if each == name)


def record(metrics: Metrics, count: int) -> None:
    recorder = Recorder(metrics, {"tools/call"})
    for _ in range(count):
        recorder.record(decision("allow", outcome("list")))


def test_workers_are_added_up(page: JointMetrics, joined: Callable[[int], Metrics]) -> None:
    for worker in range(2):
        record(joined(worker), worker + 1)
    found = series(page)

    assert total(found, "guardsvc_decisions_total") == 3
    assert total(found, "guardsvc_decision_duration_seconds_count") == 3
    assert found["guardsvc_worker_decisions_total", (("worker", "0"),)] == 1
    assert found["guardsvc_worker_decisions_total", (("worker", "1"),)] == 2


def test_a_worker_in_the_place_of_another_goes_on_counting(
    page: JointMetrics, joined: Callable[[int], Metrics], tmp_path: Path
) -> None:
    record(joined(0), 2)
    files = sorted(tmp_path.iterdir())
    assert total(series(page), "guardsvc_decisions_total") == 2
    forget_worker(tmp_path, 0)
    assert total(series(page), "guardsvc_decisions_total") == 2
    record(joined(0), 3)
    found = series(page)

    assert total(found, "guardsvc_decisions_total") == 5
    assert found["guardsvc_worker_decisions_total", (("worker", "0"),)] == 5
    assert sorted(tmp_path.iterdir()) == files


def test_what_a_dead_worker_was_doing_is_forgotten(
    page: JointMetrics, joined: Callable[[int], Metrics], tmp_path: Path
) -> None:
    joined(0).inflight.inc(3)
    joined(1).inflight.inc(4)
    assert series(page)["guardsvc_inflight", ()] == 7
    forget_worker(tmp_path, 0)

    assert series(page)["guardsvc_inflight", ()] == 4


def test_the_service_as_a_whole_is_told_once(page: JointMetrics, joined: Callable[[int], Metrics]) -> None:
    for worker in range(2):
        metrics = joined(worker)
        metrics.policy_stale.set(1)
        metrics.policy_reloads.labels("failed").inc()
    found = series(page)

    assert found["guardsvc_policy_stale", ()] == 0
    assert total(found, "guardsvc_policy_reloads_total") == 0
    assert total(found, "guardsvc_build_info") == 1


def test_a_file_that_a_worker_has_just_begun_is_no_fault(page: JointMetrics, joined: Callable[[int], Metrics]) -> None:
    record(joined(0), 1)
    reads = 0
    collect = page.collect

    def interrupted() -> object:
        nonlocal reads
        reads += 1
        if reads == 1:
            raise FileNotFoundError
        return collect()

    page.collect = interrupted  # type: ignore[method-assign, assignment]
    assert total(series(page), "guardsvc_decisions_total") == 1


def test_processes_are_told_apart(tmp_path: Path) -> None:
    page = JointMetrics(Metrics("1", process=False), tmp_path, lambda: {"supervisor": os.getpid(), "worker-0": 1})
    found = series(page)

    assert found["process_resident_memory_bytes", (("process", "supervisor"),)] > 1e7
    assert found["process_start_time_seconds", (("process", "worker-0"),)] > 0
    gone = JointMetrics(Metrics("1", process=False), tmp_path, lambda: {"worker-1": 2**22 + 1})
    assert not any(name.startswith("process_") for name, _ in series(gone))


def test_the_room_of_files_is_taken_when_they_are_made(tmp_path: Path, joined: Callable[[int], Metrics]) -> None:
    metrics = joined(0)
    files = list(tmp_path.glob("*.db"))
    assert files
    for file in files:
        assert file.stat().st_blocks * 512 >= file.stat().st_size == ROOM
    record(metrics, 3)
    forget_worker(tmp_path, 0)
    assert sorted(tmp_path.glob("*.db")) == sorted(files)


def test_files_that_grow_take_their_room_first(
    tmp_path: Path, page: JointMetrics, joined: Callable[[int], Metrics], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guardsvc.observe.joint.ROOM", 16_384)
    metrics = joined(0)
    for number in range(1000):
        metrics.tls_reloads.labels(f"listener-{number}", "loaded").inc()
    (file,) = tmp_path.glob("counter_*.db")
    assert file.stat().st_blocks * 512 >= file.stat().st_size > 16_384
    assert total(series(page), "guardsvc_tls_reloads_total") == 1000
