"""Pool: the processes that judge for one worker, each one thing at a time, and the short line before them."""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

import structlog

from guardsvc.gateways.admission import OverloadedError
from guardsvc.server.judges.child import ChildGoneError, JudgingChild

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from guardsvc.engine import FactSources
    from guardsvc.gateways.exchange import Asker, Exchange
    from guardsvc.policy import Policy
    from guardsvc.server.configuration import Configuration
    from guardsvc.server.judges.messages import Asked, Begin

__all__ = ["Judges", "LateError", "LostError"]

log = structlog.get_logger(__name__)

OVERRUN = 5.0
"""Seconds beyond its deadline after which a process that still judges is ended. One that only waits for a core on a
busy machine should not be: to start another takes more of the machine than to let it finish."""
KEPT = 3
"""Configurations that can be judged by at once: those of the last reloads."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a process that ended is replaced; doubled for each that ends before it has judged anything."""


class LateError(Exception):
    """The deadline came before a decision."""


class LostError(Exception):
    """The process ended, or failed, before it decided."""


class Judges:
    """The processes of one worker.

    Args:
        begin: how each begins.
        processes: how many there are.
        most_waiting: how many requests may wait for one.
        restarted: is told of each process that had to be replaced.
    """

    def __init__(
        self, begin: Begin, *, processes: int, most_waiting: int, restarted: Callable[[], None] = lambda: None
    ) -> None:
        self._begin = begin
        self._number = processes
        self._most_waiting = most_waiting
        self._restarted = restarted
        self._keys: deque[tuple[int, Configuration]] = deque(maxlen=KEPT)
        self._last_key = 0
        self._children: set[JudgingChild] = set()
        self._idle: list[JudgingChild] = []
        self._waiting: deque[asyncio.Future[JudgingChild]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False

    @property
    def ready(self) -> int:
        """Processes that could judge now."""
        return len(self._idle)

    def start(self) -> None:
        """Start the processes, in the background."""
        for _ in range(self._number):
            self._keep(self._supply())

    def adopt(self, configuration: Configuration) -> None:
        """Know a configuration; those processes that have nothing else to do build its policy now."""
        self._last_key += 1
        self._keys.append((self._last_key, configuration))
        idle, self._idle = self._idle, []
        for child in idle:
            self._keep(self._prepare(child))

    def knows(self, policy: Policy) -> bool:
        """Whether the policy is that of a configuration it was told of lately."""
        return any(configuration.policy is policy for _, configuration in self._keys)

    async def judge(
        self, policy: Policy, asked: Asked, asker: Asker, *, deadline: float, sources: FactSources
    ) -> Exchange:
        """Have something judged; the exchange comes without payloads and header fields.

        Args:
            policy: one that it ``knows``.
            asked: what is judged.
            asker: who asks.
            deadline: when the decision must stand, on the clock of ``time.perf_counter``.
            sources: where facts come from, in this process.

        Raises:
            OverloadedError: too many wait already.
            LateError: the deadline has passed.
            LostError: the process ended or failed.
        """
        key, configuration = next(
            (key, configuration) for key, configuration in self._keys if configuration.policy is policy
        )
        child = await self._take(deadline)
        answer: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self._keep(self._converse(child, key, configuration, (asked, asker), deadline, sources, answer))
        try:
            async with asyncio.timeout(max(deadline - perf_counter(), 0.0)):
                return await answer
        except TimeoutError:
            raise LateError from None

    async def stop(self) -> None:
        """End all processes."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
        for child in self._children:
            child.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(child.wait() for child in self._children), return_exceptions=True)

    async def _take(self, deadline: float) -> JudgingChild:
        if self._idle:
            return self._idle.pop()
        if len(self._waiting) >= self._most_waiting:
            raise OverloadedError("large_bodies")
        future: asyncio.Future[JudgingChild] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(max(deadline - perf_counter(), 0.0)):
                return await future
        except TimeoutError:
            self._give_back(future)
            raise LateError from None
        except BaseException:
            self._give_back(future)
            raise

    def _give_back(self, future: asyncio.Future[JudgingChild]) -> None:
        """Leave the line; a process that was given meanwhile is somebody else's."""
        if future in self._waiting:
            self._waiting.remove(future)
        if future.done() and not future.cancelled():
            self._release(future.result())

    def _release(self, child: JudgingChild) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(child)
                return
        if self._keys and child.newest < self._keys[-1][0]:
            self._keep(self._prepare(child))
            return
        self._idle.append(child)

    async def _converse(  # noqa: PLR0917  all that a judgement needs
        self,
        child: JudgingChild,
        key: int,
        configuration: Configuration,
        what: tuple[Asked, Asker],
        deadline: float,
        sources: FactSources,
        answer: asyncio.Future[Exchange],
    ) -> None:
        """Have one thing judged. The process goes on to the next, or is replaced."""
        try:
            async with asyncio.timeout(max(deadline - perf_counter(), 0.0) + OVERRUN):
                exchange = await child.judge(key, configuration, *what, deadline=deadline, sources=sources)
        except TimeoutError:
            self._lose(child, "it did not end in time")
        except ChildGoneError as error:
            self._lose(child, str(error))
        except BaseException:
            self._lose(child, "the conversation failed")
            raise
        else:
            child.proved = True
            self._release(child)
            if not answer.done():
                if isinstance(exchange, str):
                    log.error("judging_failed", problem=exchange)
                    answer.set_exception(LostError(exchange))
                else:
                    answer.set_result(exchange)
        finally:
            if not answer.done():
                answer.set_exception(LostError("the process ended"))
            if not answer.cancelled():
                answer.exception()  # nobody may be left who asks

    async def _prepare(self, child: JudgingChild) -> None:
        key, configuration = self._keys[-1]
        try:
            problem = await child.adopt(key, configuration)
        except ChildGoneError as error:
            self._lose(child, str(error))
            return
        if problem:
            log.error("judges_policy_failed", problem=problem, policy=configuration.policy.hash)
        self._release(child)

    async def _follow(self, child: JudgingChild) -> None:
        """Replace a process that ends while it has nothing to do."""
        await child.ended()
        if child in self._idle:
            self._idle.remove(child)
            self._lose(child, "it ended")

    def _lose(self, child: JudgingChild, why: str) -> None:
        child.kill()
        self._children.discard(child)
        if self._ending:
            return
        log.error("judge_lost", pid=child.pid, why=why)
        self._restarted()
        self._keep(self._replace(child))

    async def _replace(self, child: JudgingChild) -> None:
        await child.wait()
        await self._supply(FIRST_PAUSE if child.proved else 2 * FIRST_PAUSE)

    async def _supply(self, pause: float = 0.0) -> None:
        """Start a process and prepare it; go on until there is one."""
        while not self._ending:
            await asyncio.sleep(pause)
            child = await JudgingChild.spawn()
            self._children.add(child)
            try:
                await child.begin(self._begin)
                key, configuration = self._keys[-1]
                problem = await child.adopt(key, configuration)
            except ChildGoneError as error:
                problem = str(error)
            if not problem:
                self._release(child)
                self._keep(self._follow(child))
                return
            log.error("judge_not_started", problem=problem)
            child.kill()
            self._children.discard(child)
            await child.wait()
            pause = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("judges_failed", exc_info=error)
