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
from guardsvc.server.judges import Elsewhere, Judges
from guardsvc.server.judges.messages import Begin
from guardsvc.server.memory import judge_memory, worker_memory

if TYPE_CHECKING:
    from guardsvc.gateways.judging import Judging
    from guardsvc.observe import Metrics
    from guardsvc.server.configuration import Configuration

__all__ = ["Load"]

LOOK_EVERY = 0.02
"""Seconds between two looks at the memory."""
SPARE = 0.1
"""Part of the worker's memory that is kept free while messages come in."""
TRIM_EVERY = 250
"""Looks between two returns of free memory to the system."""
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
        looks = 0
        was_busy = False
        while True:
            await asyncio.sleep(LOOK_EVERY)
            held = self.intake.admission.held
            self._metrics.held_bytes.set(held)
            self._metrics.streams.set(self.intake.admission.streams)
            self._shedding.say_rest()
            if self.intake.unread is not None:
                self._look(self.intake.unread)
            looks += 1
            was_busy = was_busy or held > 0
            if looks % TRIM_EVERY == 0 and was_busy:
                was_busy = False
                _trim()

    def _look(self, unread: Unread) -> None:
        if resident() <= self._most:
            unread.full = False
            return
        _trim()
        if resident() > self._most:
            unread.give_up()


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
