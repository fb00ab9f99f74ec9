"""Audits to write and files to read."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import TYPE_CHECKING, Any

from guardsvc.observe import Metrics
from guardsvc.observe.audit import Audit, AuditKey, AuditOptions
from tests.observe.decisions import decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardsvc.model import Decision

HANG = 120.0
KEY = AuditKey("k1", b"0123456789abcdef")
OTHER_KEY = AuditKey("k2", b"fedcba9876543210")
KEYS = {KEY.id: KEY, OTHER_KEY.id: OTHER_KEY}


class Kept:
    """A running audit and its metrics."""

    def __init__(self, path: Path | None, **more: Any) -> None:
        self.metrics = Metrics("0", process=False)
        options: dict[str, Any] = {"path": None if path is None else str(path), "keys": (KEY,), **more}
        self.audit = Audit(AuditOptions(**options), self.metrics)

    def add(self, *decisions: Decision) -> None:
        self.audit.add(decisions or (decision(),))

    async def keep(self, *decisions: Decision, seconds: float = HANG) -> bool:
        return await self.audit.keep(decisions or (decision(),), deadline=perf_counter() + seconds)

    def metric(self, name: str, result: str | None = None) -> float:
        labels = {} if result is None else {"result": result}
        value = self.metrics.registry.get_sample_value(f"guardsvc_audit_{name}", labels)
        assert value is not None
        return value

    @property
    def counts(self) -> dict[str, float]:
        """Records by result, as far as there are any."""
        results = ("written", "dropped", "withdrawn", "unwritten")
        return {result: count for result in results if (count := self.metric("records_total", result))}

    def wait_for(self, result: str, count: float) -> None:
        wait_until(lambda: self.metric("records_total", result) >= count, f"{count:g} {result}: {self.counts}")


@contextmanager
def auditing(path: Path | None, *, grace: float = HANG, **more: Any) -> Iterator[Kept]:
    """An audit that is started, and stopped in the end."""
    kept = Kept(path, **more)
    kept.audit.start()
    try:
        yield kept
    finally:
        kept.audit.stop(grace)


def write(path: Path, count: int = 1, **more: Any) -> None:
    """Let a process of its own life write so many decisions."""
    with auditing(path, **more) as kept:
        kept.add(*[decision(id=f"d{number}") for number in range(count)])


def records(path: Path) -> list[dict[str, Any]]:
    """The lines of a file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def types(path: Path) -> list[str]:
    return [record["type"] for record in records(path)]


def wait_until(holds: Callable[[], Any], what: str) -> None:
    end = monotonic() + HANG
    while not holds():
        assert monotonic() < end, f"waited {HANG:g} s in vain: {what}"
        sleep(0.005)


@contextmanager
def fifo(path: Path) -> Iterator[Callable[[], bytes]]:
    """A FIFO with a reader that reads when it is told to, and then everything there is."""
    os.mkfifo(path)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read() -> bytes:
        data = b""
        while True:
            try:
                data += os.read(fd, 1 << 16)
            except BlockingIOError:
                return data

    try:
        yield read
    finally:
        os.close(fd)
