"""Resident memory of a service, all its processes together, against the bound that it prints at start."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.server.process import Running

MIB = 1_048_576
PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY_S = 0.05


class Memory:
    """Looks at a service while something happens to it.

    Attributes:
        peak: most MiB seen.
        bound: MiB that it says at start it never exceeds.
    """

    def __init__(self, service: Running) -> None:
        self._pid = service.process.pid
        self.bound: float = service.logs("ready")[0]["memory_bound_mib"]["total"]
        self.peak = 0.0
        self.look()

    def look(self) -> float:
        """Resident MiB now; pages that processes share count in each of them."""
        now = sum(map(_resident, _family(self._pid))) / MIB
        self.peak = max(self.peak, now)
        return now

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(EVERY_S)

    def __str__(self) -> str:
        return f"RSS at most {self.peak:.0f} MiB, now {self.look():.0f}; its printed bound is {self.bound:.0f} MiB"


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found.extend(map(int, task.read_text().split()))
    return found


def _resident(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0
