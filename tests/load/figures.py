"""Figures of a run, and another try where the machine, not the service, may have been late."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.load.client import Call

ATTEMPTS = 3
CPUS = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Figures:
    """Latencies in milliseconds of the calls of a run, from when they were due."""

    calls: int
    unanswered: int
    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, calls: Iterable[Call]) -> Figures:
        every = list(calls)
        latencies = sorted(call.latency * 1000 for call in every if call.answer is not None)
        assert latencies, f"none of {len(every)} calls was answered"

        def quantile(share: float) -> float:
            return latencies[min(int(len(latencies) * share), len(latencies) - 1)]

        return cls(len(every), len(every) - len(latencies), quantile(0.5), quantile(0.99), latencies[-1])

    def __str__(self) -> str:
        return (
            f"{self.calls} calls, {self.unanswered} unanswered, "
            f"p50 {self.p50:.2f} ms, p99 {self.p99:.2f} ms, worst {self.worst:.1f} ms"
        )


class Stolen:
    """Milliseconds of processor time that the host took from this machine since this was made."""

    def __init__(self) -> None:
        self._begun = self._now()

    def __str__(self) -> str:
        return f"{(self._now() - self._begun) * 1000 / os.sysconf('SC_CLK_TCK'):.0f} ms stolen by the host"

    @staticmethod
    def _now() -> int:
        return int(Path("/proc/stat").read_text().split(maxsplit=9)[8])


def best_of(attempt: Callable[[], list[str]], tell: Callable[[str], None]) -> None:
    """Try until an attempt misses no target, up to three times; what must always hold the attempt asserts itself.

    Args:
        attempt: measures, and returns which targets it missed.
        tell: is told which.
    """
    missed: list[str] = []
    for number in range(1, ATTEMPTS + 1):
        missed = attempt()
        if not missed:
            return
        tell(f"attempt {number} of {ATTEMPTS} missed: {'; '.join(missed)}")
    raise AssertionError(f"missed in every attempt, at last: {'; '.join(missed)}")
