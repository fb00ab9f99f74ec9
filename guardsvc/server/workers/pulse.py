"""Pulse: how the supervisor sees that a worker's event loop still turns.

The loop writes a byte into a pipe now and then, and nothing else writes there: a worker that answers its supervisor
from another thread while its loop hangs has no pulse.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

__all__ = ["Pulse", "beat", "interval"]

BEATS = 5
"""How many beats fall into the time after which a worker counts as hung, at least."""
RAREST = 1.0
"""Seconds between two beats, at most."""
PIPE_BYTES = 65_536


def interval(hang_s: float) -> float:
    """Seconds between two beats."""
    return min(hang_s / BEATS, RAREST)


async def beat(descriptor: int, hang_s: float) -> None:
    """Give a sign of life in every interval, for ever.

    Args:
        descriptor: the worker's end of the pipe, which does not block.
        hang_s: seconds after which a worker without a pulse counts as hung.
    """
    while True:
        # A full pipe has signs enough, and without a supervisor nobody looks.
        with suppress(OSError):
            os.write(descriptor, b".")
        await asyncio.sleep(interval(hang_s))


class Pulse:
    """The supervisor's end of the pipe.

    Args:
        descriptor: of the end that is read; it does not block.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    async def stops(self, hang_s: float) -> None:
        """Wait until there was no sign of life for so many seconds.

        Time in which this process did not run either does not count, such as that of a container that was paused.
        """
        tick = interval(hang_s)
        silent, before = 0.0, time.monotonic()
        while silent < hang_s:
            await asyncio.sleep(tick)
            now = time.monotonic()
            silent = 0.0 if self._felt() else silent + min(now - before, 2 * tick)
            before = now

    def close(self) -> None:
        """Let go of the pipe."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _felt(self) -> bool:
        """Whether there was a sign since the last look."""
        if self._descriptor is None:
            return False
        try:
            return bool(os.read(self._descriptor, PIPE_BYTES))
        except BlockingIOError:
            return False
