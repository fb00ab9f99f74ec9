"""Pool: the threads that WASM guards run in, and the fair and short line before them.

Guests give the interpreter's lock away, so that they run truly at once. The last free thread is only for guards that
have none, or for tenants where there is one guard, and a line gets longer only while it takes no more than half of the
room that is left: one guard or tenant that is slow costs the others no more than their share.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter, OrderedDict, deque
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from guardsvc.guards.wasm.failures import WasmFailure

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Job", "Pool"]


class Job:
    """One call, waiting or running.

    Args:
        guard: id of the guard.
        tenant: whose operation it judges.
        work: what to do in a thread; what it raises is its result too.
        deadline: when it must be over, on the clock of ``time.perf_counter``.
        ended: is told in the event loop's thread, with what came of it, even where nobody waits any more.

    Attributes:
        begun: when it was submitted, on the same clock.
        waited: seconds it waited for a thread.
        started: whether it has come to run.
    """

    __slots__ = (
        "begun",
        "cancelled",
        "deadline",
        "ended",
        "future",
        "guard",
        "loop",
        "started",
        "tenant",
        "waited",
        "work",
    )

    def __init__(
        self,
        guard: str,
        tenant: str | None,
        work: Callable[[], Any],
        deadline: float,
        ended: Callable[[Job, BaseException | None], None],
    ) -> None:
        self.guard = guard
        self.tenant = tenant
        self.work = work
        self.deadline = deadline
        self.ended = ended
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.begun = perf_counter()
        self.waited = 0.0
        self.cancelled = False
        self.started = False


class Pool:
    """Threads of lower priority.

    Args:
        threads: how many there are at most.
        queue: how many jobs may wait.
        nice: how much lower their priority is.
    """

    def __init__(self, *, threads: int, queue: int, nice: int) -> None:
        self._most_threads = threads
        self._most_waiting = queue
        self._nice = nice
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._asleep: list[threading.Lock] = []
        self._waiting: OrderedDict[str, OrderedDict[str | None, deque[Job]]] = OrderedDict()
        self._length = 0
        self._running: Counter[str] = Counter()
        self._running_tenants: Counter[tuple[str, str | None]] = Counter()

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return self._length

    def submit(self, job: Job) -> None:
        """Have a job done.

        Raises:
            WasmFailure: ``busy``, there is no room for it.
        """
        with self._lock:
            line = self._waiting.setdefault(job.guard, OrderedDict()).setdefault(job.tenant, deque())
            if len(line) >= self._most_waiting - self._length:
                raise WasmFailure("busy", f"{self._length} calls wait")
            line.append(job)
            self._length += 1
            if self._length <= self._idle or self._threads == self._most_threads:
                self._wake()
            else:
                self._threads += 1
                threading.Thread(target=self._serve, name=f"wasm-{self._threads}", daemon=True).start()

    def cancel(self, job: Job) -> None:
        """Nobody waits for a job any more: it is not begun; one that runs is ended by its deadline."""
        job.cancelled = True

    def _serve(self) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + self._nice)
        bed = threading.Lock()
        bed.acquire()
        while True:
            job = self._next(bed)
            job.started = True
            job.waited = perf_counter() - job.begun
            result: Any = None
            error: BaseException | None = None
            try:
                result = job.work()
            except BaseException as raised:
                error = raised
            finally:
                with self._lock:
                    self._running[job.guard] -= 1
                    self._running_tenants[job.guard, job.tenant] -= 1
                    if not self._running_tenants[job.guard, job.tenant]:
                        del self._running_tenants[job.guard, job.tenant]
            self._tell(job, result, error)
            del job, result, error  # they have an operation, which the thread is not to keep while it sleeps

    def _next(self, bed: threading.Lock) -> Job:
        """The next job for a thread that has none.

        Args:
            bed: a lock that is held and that the thread sleeps at. It takes less time than a condition, in which every
                sleep makes a lock of its own.
        """
        with self._lock:
            self._idle += 1
        while True:
            with self._lock:
                if (job := self._pick()) is not None:
                    self._idle -= 1
                    self._running[job.guard] += 1
                    self._running_tenants[job.guard, job.tenant] += 1
                    if self._length and self._idle:
                        self._wake()
                    return job
                self._asleep.append(bed)
            bed.acquire()

    def _wake(self) -> None:
        if self._asleep:
            self._asleep.pop().release()

    def _pick(self) -> Job | None:
        """The next job that may run now, guards and their tenants in turn."""
        last = self._idle + self._most_threads - self._threads <= 1 and self._most_threads > 1
        for guard in list(self._waiting):
            if last and self._running[guard] and len(self._waiting) + len(+self._running) > 1:
                continue
            lines = self._waiting[guard]
            for tenant in list(lines):
                if last and self._running_tenants[guard, tenant]:
                    continue
                job = self._first(lines, tenant)
                if not lines:
                    del self._waiting[guard]
                else:
                    self._waiting.move_to_end(guard)
                if job is not None:
                    return job
        return None

    def _first(self, lines: OrderedDict[str | None, deque[Job]], tenant: str | None) -> Job | None:
        line = lines[tenant]
        job = None
        while line and job is None:
            job = line.popleft()
            self._length -= 1
            if job.cancelled:
                job = None
            elif job.deadline <= perf_counter():
                job.waited = perf_counter() - job.begun
                self._tell(job, None, WasmFailure("queue", "no thread was free in time"))
                job = None
        if line:
            lines.move_to_end(tenant)
        else:
            del lines[tenant]
        return job

    def _tell(self, job: Job, result: Any, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the event loop has ended, and with it whoever waited
            job.loop.call_soon_threadsafe(self._deliver, job, result, error)

    def _deliver(self, job: Job, result: Any, error: BaseException | None) -> None:
        job.ended(job, error)
        if job.future.done():
            return
        if error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
