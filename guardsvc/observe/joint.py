"""Joint metrics: those of several workers on one page.

Each worker writes its series to files of its own (prometheus-client's multi-process mode) and the supervisor adds
them up when it is asked. The files are named by the worker's number, not by its process id: a worker that takes the
place of one that ended goes on counting where that one stopped, so that counters never fall and files do not pile up.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from guardsvc.observe.metrics import Metrics

__all__ = ["JointMetrics", "forget_worker", "join_metrics"]

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
ATTEMPTS = 3


def join_metrics(folder: Path, worker: int) -> None:
    """Let every metric that this process makes from now on be one of a worker's."""
    os.environ[FOLDER] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]


def forget_worker(folder: Path, worker: int) -> None:
    """Remove what a worker that ended would have to say of the present; what it counted stays."""
    mark_process_dead(worker, str(folder))  # type: ignore[no-untyped-call]


class JointMetrics:
    """The metrics of all workers, and of the service as a whole.

    Args:
        metrics: those of the service as a whole are taken from here.
        folder: where the workers write theirs.
        processes: gives the processes that run, names with process ids.
    """

    def __init__(self, metrics: Metrics, folder: Path, processes: Callable[[], Mapping[str, int]]) -> None:
        self._metrics = metrics
        self._folder = folder
        self._processes = processes
        self._decisions: dict[str, float] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def exposition(self) -> bytes:
        """The Prometheus text format.

        A worker that has just begun a file may be caught with nothing in it, so a failure is tried again.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return generate_latest(self._registry)
            except (struct.error, OSError):
                continue
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The families of the page."""
        self._count_decisions()
        whole = self._metrics.whole()
        for metric in whole:
            yield from metric.collect()
        names = {family.name for metric in whole for family in metric.describe()}
        joint = MultiProcessCollector(None, path=str(self._folder))  # type: ignore[no-untyped-call]
        yield from (family for family in joint.collect() if family.name not in names)  # type: ignore[no-untyped-call]
        yield from _processes(self._processes())

    def _count_decisions(self) -> None:
        """Count up ``worker_decisions`` to what each worker's own file says."""
        for file in self._folder.glob("counter_*.db"):
            worker = file.stem.rpartition("_")[2]
            merged = MultiProcessCollector.merge([str(file)])  # type: ignore[no-untyped-call]
            now = sum(
                sample.value for family in merged if family.name == "guardsvc_decisions" for sample in family.samples
            )
            self._metrics.worker_decisions.labels(worker).inc(max(now - self._decisions.get(worker, 0.0), 0.0))
            self._decisions[worker] = now


def _processes(running: Mapping[str, int]) -> Iterator[Metric]:
    """The usual metrics of processes, for each of them."""
    joint: dict[str, Metric] = {}
    for name, pid in running.items():
        for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
            into = joint.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                into.add_sample(sample.name, {"process": name, **sample.labels}, sample.value)
    yield from joint.values()
