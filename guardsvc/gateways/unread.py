"""Unread: calls whose message has not come in yet, and how many of them may come in at once.

It has nothing of grpc, so that the supervisor can tell what they may take up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from guardsvc.gateways.admission import OverloadedError

__all__ = ["FAST", "SLOW", "Unread"]

FAST = 16
"""Calls that grpc may read by itself at once."""
SLOW = 48
"""Calls that we read at once."""
READ_WITHIN = 5.0
"""Seconds that the message of a call may take that we read."""
MAKES_WAY = 0.005
"""The same while others wait to be read: what is honest and not large is there at once."""


class Unread:
    """The calls of a process whose message has not come in yet.

    While others wait, the newest goes first, and what does not come in makes way: otherwise calls would wait
    behind those that are never sent.

    Args:
        most: how many may wait to be read.

    Attributes:
        fast: calls that grpc reads by itself.
        full: whether the memory of the process is used up, so that no further message is read.
    """

    def __init__(self, most: int) -> None:
        self.fast = 0
        self.full = False
        self._most = most
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._called = 0
        self._timer: asyncio.Handle | None = None

    @property
    def count(self) -> int:
        """Calls whose message comes in now."""
        return self.fast + len(self._reading)

    async def read(self, context: Any) -> bytes | None:
        """The message of a call; None where the caller is gone.

        Raises:
            OverloadedError: there is no room for it, or it did not come in time.
        """
        if self.full:
            raise OverloadedError("memory")
        if len(self._reading) + self._called >= SLOW:
            await self._turn()
        task = asyncio.ensure_future(context.read())
        self._reading[task] = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(READ_WITHIN):
                data = await task
        except TimeoutError:
            raise OverloadedError("unread") from None
        except asyncio.CancelledError:
            if _cancelled():
                raise
            raise self._given_up() from None
        finally:
            del self._reading[task]
            self._call()
        return data if isinstance(data, bytes) else None

    def give_up(self) -> None:
        """Read no further: the memory of the process is used up."""
        self.full = True
        for task in self._reading:
            task.cancel()

    def _given_up(self) -> OverloadedError:
        return OverloadedError("memory" if self.full else "unread")

    async def _turn(self) -> None:
        """Wait to be read; where too many do, the one that waited longest is late anyway."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        if len(self._waiting) >= self._most:
            self._waiting.popleft().set_exception(OverloadedError("unread"))
        self._waiting.append(turn)
        if self._timer is None:
            self._timer = loop.call_later(MAKES_WAY, self._look_again)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:
                self._called -= 1
                self._call()
            raise
        self._called -= 1

    def _call(self) -> None:
        """Let others be read as far as there is room."""
        while self._waiting and len(self._reading) + self._called < SLOW:
            turn = self._waiting.pop()
            if not turn.done():
                turn.set_result(None)
                self._called += 1

    def _look_again(self) -> None:
        """Let what came in while this process was busy be seen first."""
        self._timer = asyncio.get_running_loop().call_later(0, self._make_way)

    def _make_way(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time() - MAKES_WAY
        for task, began in self._reading.items():
            if began <= before:
                task.cancel()
        self._timer = loop.call_later(MAKES_WAY, self._look_again) if self._waiting else None


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
