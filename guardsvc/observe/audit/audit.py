"""Audit: what the event loop sees of it.

Decisions go in. Where the audit is required, whether they are recorded comes back.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import perf_counter, time
from typing import TYPE_CHECKING, Literal

import msgspec

from guardsvc.model import Decision
from guardsvc.observe.audit.chain import Chain
from guardsvc.observe.audit.files import FileSink
from guardsvc.observe.audit.record import Encoder
from guardsvc.observe.audit.sink import Sink, SinkError, StreamSink
from guardsvc.observe.audit.writer import Entry, Fsync, Result, Writer

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Sequence

    from guardsvc.observe.audit.keys import AuditKey
    from guardsvc.observe.metrics import Metrics

__all__ = ["Audit", "AuditError", "AuditMode", "AuditOptions"]

AuditMode = Literal["best_effort", "required"]

LINGER_S = 0.02
"""Seconds that records wait for more of them where nobody waits for theirs: one wake-up for many."""
ENTRY_BYTES = 8 << 10
"""What a decision that waits takes beside its payload."""
PARSED = 32
"""Bytes of Python objects that a byte of a request becomes at worst: empty objects in a list, short header fields."""


class AuditError(Exception):
    """The audit cannot be written at start, and it is required."""


class AuditOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the audit is kept.

    Attributes:
        path: of the file, or None for standard output.
        keys: the first signs and digests; the others are believed in what the file holds already.
        worker: id of this worker.
        version: of guardsvc.
        mode: whether a decision whose record cannot be written is a denial.
        include_arguments: whether records hold arguments as they are.
        max_file_bytes, max_file_age_s: when a file is rotated, None for never.
        keep: how many rotated files are kept.
        fsync: when the file is synced.
        queue_records, queue_bytes: what may wait to be written; bytes are those of the requests.
    """

    path: str | None
    keys: tuple[AuditKey, ...]
    worker: str = "0"
    version: str = ""
    mode: AuditMode = "best_effort"
    include_arguments: bool = False
    max_file_bytes: int | None = None
    max_file_age_s: float | None = None
    keep: int = 10
    fsync: Fsync = "interval"
    queue_records: int = 8192
    queue_bytes: int = 8 << 20

    @property
    def memory_bound(self) -> int:
        """Bytes that waiting records take at worst."""
        return self.queue_records * ENTRY_BYTES + self.queue_bytes * PARSED


class Audit:
    """The audit of one worker.

    Args:
        options: how it is kept.
        metrics: where to count.
    """

    def __init__(self, options: AuditOptions, metrics: Metrics) -> None:
        self.is_required = options.mode == "required"
        self._most_shed = options.queue_records // 2
        self._tally = _Tally(metrics)
        self._loop: AbstractEventLoop | None = None
        self._writer = Writer(
            encoder=Encoder(options.worker, options.keys[0], include_arguments=options.include_arguments),
            chain=Chain({key.id: key for key in options.keys}, {"worker": options.worker, "version": options.version}),
            sink=self._sink(options),
            tally=self._tally,
            resolve=self._resolve,
            max_records=options.queue_records,
            max_bytes=options.queue_bytes,
            linger_s=0.0 if self.is_required else LINGER_S,
            fsync=options.fsync,
        )

    def start(self) -> None:
        """Open the sink and begin to write.

        Raises:
            AuditError: it cannot be opened, and the audit is required. Where it is not, the writer goes
                on trying.
        """
        try:
            self._writer.open()
        except SinkError as error:
            if self.is_required:
                raise AuditError(str(error)) from error
        self._writer.start()

    def add(
        self, decisions: Sequence[Decision], *, policy_name: str = "", size: int = 0, weight: int | None = None
    ) -> None:
        """Have decisions recorded if there is room. Never blocks.

        Args:
            decisions: those of one request.
            policy_name: name of the policy.
            size: bytes of the request's body.
            weight: bytes of all of the request; without it, its body and its header fields.
        """
        for entry in self._entries(decisions, policy_name, size, weight):
            if not self._writer.put(entry):
                self._writer.lose()

    def add_shed(self, decision: Decision, *, policy_name: str = "") -> None:
        """Have it recorded that a call was refused unread. Never blocks.

        Whoever floods the service must not drive out the records of what was decided, so that these take no more
        than half of the queue.

        Args:
            decision: the refusal.
            policy_name: name of the policy.
        """
        if self._writer.waiting < self._most_shed:
            self.add((decision,), policy_name=policy_name, weight=0)
        else:
            self._writer.lose()

    async def keep(
        self,
        decisions: Sequence[Decision],
        *,
        policy_name: str = "",
        size: int = 0,
        weight: int | None = None,
        deadline: float,
    ) -> bool:
        """Have decisions recorded; whether they may be applied.

        Where the audit is required and the request would pass, this waits until the records are written.
        A request that is refused anyway, and everything else, waits for nothing.

        Args:
            decisions: those of one request.
            policy_name: name of the policy.
            size: bytes of the request's body.
            weight: bytes of all of the request; without it, its body and its header fields.
            deadline: when to give up, on the clock of ``time.perf_counter``.
        """
        if not self.is_required or _refusal(decisions) is not None:
            self.add(decisions, policy_name=policy_name, size=size, weight=weight)
            return True
        if self._writer.is_broken or deadline <= perf_counter():
            self._tally.count("withdrawn", len(decisions))
            return False
        self._loop = loop = asyncio.get_running_loop()
        entries = self._entries(decisions, policy_name, size, weight)
        futures: list[Future[bool]] = []
        for entry in entries:
            entry.written = future = loop.create_future()
            if not self._writer.put(entry):
                _withdraw(entries)
                self._tally.count("withdrawn", len(entries) - len(futures))
                return False
            futures.append(future)
        timer = loop.call_later(max(deadline - perf_counter(), 0.0), _resolve_now, futures, False)
        try:
            results = [await future for future in futures]
        finally:
            timer.cancel()
        if not all(results):
            _withdraw(entries)
        return all(results)

    def stop(self, timeout: float) -> int:
        """Write what waits, for at most so many seconds; blocks. How many records were left."""
        return self._writer.stop(timeout)

    @staticmethod
    def _entries(decisions: Sequence[Decision], policy_name: str, size: int, weight: int | None) -> list[Entry]:
        now = time()
        if weight is None:
            headers = decisions[0].operation.headers
            weight = size + sum(len(name) + len(headers.get(name) or "") for name in headers)
        if len(decisions) == 1:
            return [Entry(decisions[0], now, policy_name, size, weight)]
        refusal = _refusal(decisions)
        # They hold the same request: it weighs once.
        return [
            Entry(
                decision,
                now,
                policy_name,
                size,
                0 if number else weight,
                refused_with=None if decision.id == refusal else refusal,
            )
            for number, decision in enumerate(decisions)
        ]

    def _sink(self, options: AuditOptions) -> Sink:
        if options.path is None:
            return StreamSink(1, self._keep_waiting)
        if _is_stream(options.path):
            return StreamSink(options.path, self._keep_waiting)
        return FileSink(
            options.path, max_bytes=options.max_file_bytes, max_age_s=options.max_file_age_s, keep=options.keep
        )

    def _keep_waiting(self, waited: float) -> bool:
        return self._writer.keep_waiting(waited)

    def _resolve(self, futures: list[Future[bool]], written: bool) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(_resolve_now, futures, written)


class _Tally:
    """Counts in the metrics; every result is there from the start."""

    def __init__(self, metrics: Metrics) -> None:
        results: tuple[Result, ...] = ("written", "dropped", "withdrawn", "unwritten")
        self._count = {result: metrics.audit_records.labels(result).inc for result in results}
        self._queue = metrics.audit_queue.set
        self._lag = metrics.audit_lag.set
        self._broken = metrics.audit_broken.set

    def count(self, result: Result, number: int = 1) -> None:
        if number:
            self._count[result](number)

    def show(self, queued: int, lag: float, *, broken: bool) -> None:
        self._queue(queued)
        self._lag(lag)
        self._broken(broken)


def _refusal(decisions: Sequence[Decision]) -> str | None:
    """Id of the decision that keeps a request from passing, None where it passes."""
    return next((decision.id for decision in decisions if decision.applied in ("deny", "pending")), None)


def _withdraw(entries: Sequence[Entry]) -> None:
    for entry in entries:
        entry.withdrawn = True


def _resolve_now(futures: list[Future[bool]], written: bool) -> None:
    for future in futures:
        if not future.done():
            future.set_result(written)


def _is_stream(path: str) -> bool:
    return Path(path).exists() and not Path(path).is_file()
