"""Joint metrics: those of several workers on one page.

Each worker writes its series to files of its own (prometheus-client's multi-process mode) and the supervisor adds
them up when it is asked. The files are named by the worker's number, not by its process id: a worker that takes the
place of one that ended goes on counting where that one stopped, so that counters never fall and files do not pile up.

They are written through memory, where a file system that is full ends the process (SIGBUS) instead of failing a call.
So their room is taken when they are made, and kept.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from guardsvc.observe.metrics import Metrics

__all__ = ["JointMetrics", "forget_worker", "join_metrics"]

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
ATTEMPTS = 3
ROOM = 1 << 20
"""Bytes of a worker's file of one kind of metric: some thousand series."""
ENTRY = 32
"""Bytes that a series takes beside its name, at most."""
USED = 8
"""Bytes at the beginning of a file which say how much of it is used."""


def join_metrics(folder: Path, worker: int) -> None:
    """Let every metric that this process makes from now on be one of a worker's."""
    os.environ[FOLDER] = str(folder)
    values.MmapedDict = _Reserved  # type: ignore[attr-defined]
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]


def forget_worker(folder: Path, worker: int) -> None:
    """Empty what a worker that ended would have to say of the present; what it counted stays, and so do its files."""
    for file in folder.glob(f"gauge_live*_{worker}.db"):
        with file.open("r+b") as gauges:
            gauges.write(bytes(USED))


class _Reserved(MmapedDict):
    """A file of metrics whose room is taken before it is written.

    Raises:
        OSError: there is no room.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            _take(filename, ROOM)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + ENTRY > self._capacity:
            _take(self._fname, 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _take(filename: str, size: int) -> None:
    """Write zeros up to a size; a hole would take its room later."""
    with Path(filename).open("ab") as file:
        file.write(bytes(max(size - file.tell(), 0)))


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
