"""Load: what a worker takes on at once, made of its settings, and the look at its memory."""

from __future__ import annotations

import asyncio
import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

from guardsvc.gateways.admission import Admission, Bounds
from guardsvc.gateways.entrance import Intake
from guardsvc.gateways.judging import HERE
from guardsvc.gateways.unread import Unread
from guardsvc.observe import Shedding
from guardsvc.server.heap import keep_freed
from guardsvc.server.judges import Elsewhere, Judges
from guardsvc.server.judges.messages import Begin
from guardsvc.server.memory import judge_memory, worker_memory

if TYPE_CHECKING:
    from guardsvc.gateways.judging import Judging
    from guardsvc.observe import Metrics
    from guardsvc.server.configuration import Configuration

__all__ = ["Load"]

LOOK_EVERY = 0.02
"""Seconds between two looks at the memory, at least."""
REST = 0.2
"""The same at most: after so long the metrics show what is held."""
FILLS = 4 << 30
"""Bytes a second that messages cannot come in faster than, from all connections together."""
SPARE = 0.1
"""Part of the worker's memory that is kept free while messages come in."""
TRIM_EVERY = 5.0
"""Seconds between two returns of free memory to the system."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Load:
    """The load of one worker. Made for one event loop.

    Args:
        configuration: what it runs.
        metrics: where to count.
        worker: its number where there are several.
    """

    def __init__(self, configuration: Configuration, metrics: Metrics, worker: int | None) -> None:
        service = configuration.service
        overload, large = service.overload, service.large_bodies
        self._shedding = Shedding(metrics)
        self._metrics = metrics
        self._judges: Judges | None = None
        judging: Judging = HERE
        if large.processes:
            self._judges = Judges(
                _beginning(configuration, worker),
                processes=large.processes,
                most_waiting=large.max_waiting,
                restarted=metrics.judge_restarts.inc,
            )
            self._judges.adopt(configuration)
            judging = Elsewhere(self._judges, large.above_bytes)
        bounds = Bounds(
            decisions=overload.max_decisions,
            bytes=overload.max_bytes or service.grpc.max_message_bytes,
            streams=overload.max_streams,
            failure_mode=overload.failure_mode,
            retry_after_ms=overload.retry_after_ms,
        )
        self.intake = Intake(
            admission=Admission(bounds, self._shedding),
            unread=Unread(overload.max_decisions),
            judging=judging,
        )
        self._most = int(sum(worker_memory(configuration).values()) * (1 - SPARE))
        self._watching: asyncio.Task[None] | None = None

    def adopt(self, configuration: Configuration) -> None:
        """Judge large bodies by another configuration too."""
        if self._judges is not None:
            self._judges.adopt(configuration)

    def start(self) -> None:
        """Start the processes for large bodies, and look at the memory from now on."""
        keep_freed()
        if self._judges is not None:
            self._judges.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End them."""
        if self._watching is not None:
            self._watching.cancel()
        if self._judges is not None:
            await self._judges.stop()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        trimmed, was_busy, pause = loop.time(), False, REST
        while True:
            await asyncio.sleep(pause)
            held = self.intake.admission.held
            self._metrics.held_bytes.set(held)
            self._metrics.streams.set(self.intake.admission.streams)
            self._shedding.say_rest()
            if self.intake.unread is not None:
                pause = pause_for(self._look(self.intake.unread))
            was_busy = was_busy or held > 0
            if loop.time() - trimmed >= TRIM_EVERY:
                if was_busy:
                    _trim()
                trimmed, was_busy = loop.time(), False

    def _look(self, unread: Unread) -> int:
        """Let messages in or not; bytes that are left for them."""
        left = self._most - resident()
        if left >= 0:
            unread.full = False
            return left
        _trim()
        left = self._most - resident()
        if left < 0:
            unread.give_up()
        return left


def pause_for(left: int) -> float:
    """Seconds until the next look: before so many bytes of memory can have come in.

    Looking costs an idle service more than all else that it does.
    """
    return min(max(left / FILLS, LOOK_EVERY), REST)


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * PAGE


def _trim() -> None:
    """Give the system back what is free."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _beginning(configuration: Configuration, worker: int | None) -> Begin:
    service = configuration.service
    key = service.audit.keys[0] if service.audit.output != "none" else None
    return Begin(
        worker=worker,
        level=service.log.level,
        format=service.log.format,
        nice=service.large_bodies.nice,
        memory=judge_memory(configuration),
        audit=None if key is None else (key.id, key.secret.reveal().encode()),
        include_arguments=service.audit.include_arguments,
    )
