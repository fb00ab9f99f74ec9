"""Writer: the thread that encodes, links and writes records, and the bounded queue before it.

The event loop only appends to the queue. The thread works in small batches and rests between them, so
that it never keeps the interpreter from the loop for long.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
import structlog

from guardsvc.model import Decision
from guardsvc.observe.audit.chain import Position
from guardsvc.observe.audit.record import timestamp
from guardsvc.observe.audit.sink import POLL_S, Sink, SinkError

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Iterable

    from guardsvc.observe.audit.chain import Chain
    from guardsvc.observe.audit.record import Encoder

__all__ = ["Entry", "Fsync", "Result", "Tally", "Writer"]

log = structlog.get_logger(__name__)

Fsync = Literal["never", "interval", "always"]
Result = Literal["written", "dropped", "withdrawn", "unwritten"]

BATCH = 32
"""Records written at once."""
BATCH_BYTES = 256 << 10
"""After so many bytes a batch takes no further record."""
REST_S = 0.0005
"""What the thread leaves the event loop between two batches."""
RETRY_S = 1.0
"""How often a broken sink is tried."""
SYNC_S = 1.0
"""How often what was written is synced under ``fsync: interval``."""
STALLED_S = 1.0
"""A write that takes longer makes the sink count as broken."""
SHOW_EVERY = 63
"""The loop shows the state at every 64th record that waits."""
LINK_BYTES = 320
"""What linking adds to a record, at most."""


class Tally(Protocol):
    """Is told what becomes of records."""

    def count(self, result: Result, number: int = 1) -> None:
        """So many records came to this."""

    def show(self, queued: int, lag: float, *, broken: bool) -> None:
        """Records that wait, the age in seconds of the oldest, and whether the sink cannot be written."""


class Entry(msgspec.Struct, gc=False):
    """A decision that waits to be written.

    Attributes:
        decision: the decision.
        at: when it was made, seconds since the epoch.
        policy_name: name of the policy.
        size: bytes of the body.
        weight: bytes of the request that wait with it.
        refused_with: id of another decision, which keeps the request of both from passing.
        written: resolved with whether it was written; None where nobody waits.
        withdrawn: whether nobody wants it written any more.
    """

    decision: Decision
    at: float
    policy_name: str = ""
    size: int = 0
    weight: int = 0
    refused_with: str | None = None
    written: Future[bool] | None = None
    withdrawn: bool = False


class Writer:
    """Writes entries in the order they come.

    Args:
        encoder: makes records of decisions.
        chain: links them.
        sink: takes them.
        tally: is told what becomes of them.
        resolve: resolves futures of another thread.
        max_records: entries that may wait.
        max_bytes: bytes of the requests of entries that may wait; one entry may always.
        linger_s: seconds to wait for more entries once one has come.
        fsync: when to sync.
    """

    def __init__(  # noqa: PLR0913  its parts and its bounds
        self,
        *,
        encoder: Encoder,
        chain: Chain,
        sink: Sink,
        tally: Tally,
        resolve: Callable[[list[Future[bool]], bool], None],
        max_records: int,
        max_bytes: int,
        linger_s: float,
        fsync: Fsync,
    ) -> None:
        self._encoder = encoder
        self._chain = chain
        self._sink = sink
        self._tally = tally
        self._resolve = resolve
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._linger_s = linger_s
        self._fsync = fsync
        self._queue: deque[Entry] = deque()
        self._wake = threading.Event()
        self._idle = False
        # Each of these numbers is changed by one thread only: the first two by the loop's.
        self._bytes_in = 0
        self._lost = 0
        self._bytes_out = 0
        self._lost_told = 0
        self._batch: list[tuple[Entry | None, bytes]] = []
        self._writing_since: float | None = None
        self._broken = False
        self._retry_at = 0.0
        self._synced_at = 0.0
        self._dirty = False
        self._stop_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    # Called in the event loop's thread.

    def open(self) -> None:
        """Open the sink before the thread starts.

        Raises:
            SinkError: it cannot be opened; the thread will try again.
        """
        try:
            self._prepare()
        except SinkError as error:
            self._break(str(error))
            raise

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_broken(self) -> bool:
        """Whether the sink cannot be written: it failed, or a write has been under way for too long."""
        since = self._writing_since
        return self._broken or (since is not None and monotonic() - since > STALLED_S)

    def put(self, entry: Entry) -> bool:
        """Let an entry wait to be written; False where there is no room. Never blocks."""
        queue = self._queue
        waiting = len(queue)
        held = self._bytes_in - self._bytes_out
        if waiting >= self._max_records or (held and entry.weight and held + entry.weight > self._max_bytes):
            return False
        self._bytes_in += entry.weight
        queue.append(entry)
        if self._idle:
            self._idle = False
            self._wake.set()
        if waiting & SHOW_EVERY == SHOW_EVERY:
            self.show()
        return True

    def lose(self) -> None:
        """Count a record for which there was no room, so that the file says so once there is."""
        if self._lost == self._lost_told:
            log.error("audit_dropping", waiting=self.waiting)
        self._lost += 1
        self._tally.count("dropped")

    @property
    def waiting(self) -> int:
        """Records that wait."""
        return len(self._queue) + sum(entry is not None for entry, _ in list(self._batch))

    def show(self) -> None:
        """Tell the tally how things are; the thread does so too, unless it is stuck in a write."""
        oldest = self._oldest()
        lag = max(time() - oldest.at, 0.0) if oldest is not None else 0.0
        self._tally.show(self.waiting, lag, broken=self.is_broken)

    def _oldest(self) -> Entry | None:
        """The entry that waits longest; the other thread may take it meanwhile."""
        try:
            return next((entry for entry, _ in self._batch[:BATCH] if entry is not None), None) or self._queue[0]
        except IndexError:
            return None

    def stop(self, timeout: float) -> int:
        """Write what waits, for at most so many seconds, and end.

        Returns:
            How many records were left unwritten.
        """
        if self._stop_at is not None:
            return self.waiting
        self._retry_at = 0.0
        self._stop_at = monotonic() + timeout
        self._wake.set()
        self._thread.join(timeout + 2 * POLL_S)
        left = self.waiting
        self._tally.count("unwritten", left)
        end = self._chain.end or Position("", -1, "")
        log.info("audit_stopped", unwritten=left, chain=end.chain, seq=end.seq, mac=end.mac)
        return left

    # Called in the writer's own thread.

    def keep_waiting(self, waited: float) -> bool:
        """Asked by a sink that waits for its reader: whether to go on waiting."""
        if waited > STALLED_S and not self._broken:
            self._say_broken("nobody reads it")
            self._give_up()
        self.show()
        return self._stop_at is None or monotonic() < self._stop_at

    def _run(self) -> None:
        while True:
            try:
                self._rest()
                if self._stop_at is not None and (not self.waiting or monotonic() >= self._stop_at):
                    break
                if monotonic() >= self._retry_at:
                    self._work()
            except Exception:
                with suppress(Exception):  # whatever becomes of the log, records go on
                    log.exception("audit_failed")
                sleep(RETRY_S)
        self._end()

    def _rest(self) -> None:
        """Sleep until there is something to do."""
        if self._broken:
            until = self._retry_at if self._stop_at is None else min(self._retry_at, self._stop_at)
            sleep(max(until - monotonic(), REST_S))
        elif self._batch or self._queue:
            if self._linger_s or len(self._queue) >= BATCH:
                sleep(REST_S)
        else:
            self.show()
            self._wake.clear()
            self._idle = True
            if not self._queue and self._stop_at is None:
                self._wake.wait(SYNC_S if self._dirty else None)
            self._idle = False
            if self._queue and self._stop_at is None:
                sleep(self._linger_s)

    def _work(self) -> None:
        self._take()
        if self._batch or self._broken:
            self._write()
        if self._dirty and self._fsync == "interval" and monotonic() - self._synced_at > SYNC_S:
            try:
                self._sync()
            except SinkError as error:
                self._break(str(error))

    def _end(self) -> None:
        try:
            if self._dirty and self._fsync != "never":
                self._sync()
        except SinkError as error:
            self._say_broken(str(error))
        self._sink.close()
        self.show()

    def _take(self) -> None:
        """Move entries from the queue to the batch, encoded; and say so where some were lost."""
        queue, batch = self._queue, self._batch
        size = sum(len(record) for _, record in batch)
        while queue and len(batch) < BATCH and size < BATCH_BYTES:
            entry = queue[0]
            if entry.withdrawn:
                self._tally.count("withdrawn")
            else:
                record = self._encoder.encode(
                    entry.decision,
                    entry.at,
                    policy_name=entry.policy_name,
                    size=entry.size,
                    refused_with=entry.refused_with,
                )
                batch.append((entry, record))
                size += len(record)
            queue.popleft()
            self._bytes_out += entry.weight
        lost = self._lost - self._lost_told
        if lost and not self._broken:
            self._lost_told += lost
            gap = {"type": "gap", "time": timestamp(time()), "lost": lost}
            batch.append((None, msgspec.json.encode(gap)))
            log.warning("audit_gap", lost=lost)

    def _write(self) -> None:
        self._writing_since = monotonic()
        ends: list[Position] = []
        try:
            self._prepare()
            lines, ends = self._chain.link(record for _, record in self._batch)
            if lines:
                self._sink.append(lines)
                self._dirty = True
            if self._fsync == "always":
                self._sync()
        except SinkError as error:
            self._done(ends[: error.written])
            self._break(str(error))
        else:
            self._done(ends)
            self._mend()
        finally:
            self._writing_since = None

    def _prepare(self) -> None:
        found = self._sink.prepare(sum(len(record) + LINK_BYTES for _, record in self._batch))
        if found is not None:
            first = self._chain.resume(found.last, found.torn, timestamp(time()))
            self._batch[:0] = [(None, record) for record in first]

    def _done(self, ends: list[Position]) -> None:
        """So many of the batch are written, and this is where the chain stands after each."""
        if not ends:
            return
        self._chain.end = ends[-1]
        entries = [entry for entry, _ in self._batch[: len(ends)] if entry is not None]
        del self._batch[: len(ends)]
        self._tally.count("written", len(entries))
        self._tell(entries, written=True)

    def _tell(self, entries: Iterable[Entry], *, written: bool) -> None:
        futures = []
        for entry in entries:
            if entry.written is not None:
                futures.append(entry.written)
                entry.written = None
        if futures:
            self._resolve(futures, written)

    def _break(self, reason: str) -> None:
        self._retry_at = monotonic() + RETRY_S
        if not self._broken:
            self._say_broken(reason)
        self._give_up()
        kept = [(entry, record) for entry, record in self._batch if entry is None or not entry.withdrawn]
        self._tally.count("withdrawn", len(self._batch) - len(kept))
        self._batch[:] = kept
        self.show()

    def _give_up(self) -> None:
        """Tell everyone who waits that it was not written; those decisions become other ones."""
        waiting = [*(entry for entry, _ in self._batch if entry is not None), *list(self._queue)]
        waiting = [entry for entry in waiting if entry.written is not None]
        for entry in waiting:
            entry.withdrawn = True
        self._tell(waiting, written=False)

    def _say_broken(self, reason: str) -> None:
        self._broken = True
        self.show()
        log.error("audit_broken", reason=reason, waiting=self.waiting)

    def _mend(self) -> None:
        if self._broken:
            self._broken = False
            log.warning("audit_mended", waiting=self.waiting)
            self.show()

    def _sync(self) -> None:
        self._synced_at = monotonic()
        self._dirty = False
        self._sink.sync()
