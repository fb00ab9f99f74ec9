"""Capture: the queue before the file, and the thread that writes it. The event loop only appends."""

from __future__ import annotations

import random
import threading
from collections import deque
from contextlib import suppress
from time import monotonic, sleep, time
from typing import TYPE_CHECKING

import msgspec
import structlog

from guardsvc.model import Decision
from guardsvc.observe.audit.files import FileSink
from guardsvc.observe.audit.sink import SinkError
from guardsvc.observe.capture.key import CaptureKey, new_key
from guardsvc.observe.capture.record import Captor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.observe.metrics import Metrics

__all__ = ["Capture", "CaptureOptions"]

log = structlog.get_logger(__name__)

FILE_MODE = 0o600
BATCH = 32
"""Records written at once."""
REST_S = 0.001
"""What the thread leaves the event loop between two batches."""
LINGER_S = 0.05
"""Seconds that records wait for more of them."""
RETRY_S = 1.0
"""Seconds after which a file that could not be written is tried again; what comes meanwhile is lost."""
ENTRY_BYTES = 8 << 10
"""What a decision that waits takes beside its payload."""
PARSED = 32
"""Bytes of Python objects that a byte of a request becomes at worst."""


class CaptureOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How operations are captured.

    Attributes:
        path: of the file.
        key: seals payloads and makes digests; a random one without, so that digests of other processes differ.
        worker: id of this worker.
        full: whether payloads and header fields are kept, sealed with the key.
        sample: share of exchanges that are captured.
        max_record_bytes: of a payload that is kept.
        max_file_bytes, max_file_age_s: when a file is rotated.
        keep: how many rotated files are kept.
        queue_records, queue_bytes: what may wait to be written; bytes are those of the bodies.
    """

    path: str
    key: CaptureKey | None = None
    worker: str = "0"
    full: bool = False
    sample: float = 1.0
    max_record_bytes: int = 256 << 10
    max_file_bytes: int | None = 50 << 20
    max_file_age_s: float | None = None
    keep: int = 4
    queue_records: int = 1024
    queue_bytes: int = 4 << 20

    @property
    def memory_bound(self) -> int:
        """Bytes that waiting records take at worst."""
        return self.queue_records * ENTRY_BYTES + self.queue_bytes * PARSED


class _Entry(msgspec.Struct, gc=False):
    decision: Decision
    at: float
    policy_name: str
    size: int
    weight: int


class Capture:
    """The capture of one worker.

    Args:
        options: how.
        metrics: where to count.
    """

    def __init__(self, options: CaptureOptions, metrics: Metrics) -> None:
        self._options = options
        self._captor = Captor(
            options.key or CaptureKey(new_key()),
            worker=options.worker,
            full=options.full,
            max_bytes=options.max_record_bytes,
        )
        self._sink = FileSink(
            options.path,
            max_bytes=options.max_file_bytes,
            max_age_s=options.max_file_age_s,
            keep=options.keep,
            mode=FILE_MODE,
        )
        results = ("written", "dropped", "failed", "unwritten")
        self._count = {result: metrics.capture_records.labels(result).inc for result in results}
        self._queue: deque[_Entry] = deque()
        # Each of these is changed by one thread only: the first two by the loop's.
        self._bytes_in = 0
        self._lost = 0
        self._bytes_out = 0
        self._failed = 0
        self._lost_told = 0
        self._telling = 0
        self._broken = False
        self._stop_at: float | None = None
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def take(self, decisions: Sequence[Decision], *, policy_name: str, size: int) -> None:
        """Have the decisions of one exchange captured if it is drawn and there is room. Never blocks.

        Args:
            decisions: of one exchange.
            policy_name: name of the policy.
            size: bytes of the body.
        """
        if self._options.sample < 1.0 and random.random() >= self._options.sample:  # noqa: S311  no secret
            return
        held = self._bytes_in - self._bytes_out
        full = len(self._queue) + len(decisions) > self._options.queue_records
        if full or (held and held + size > self._options.queue_bytes):
            self._lost += len(decisions)
            self._count["dropped"](len(decisions))
            return
        at = time()
        self._bytes_in += size
        for number, decision in enumerate(decisions):
            self._queue.append(_Entry(decision, at, policy_name, size, 0 if number else size))
        if not self._wake.is_set():
            self._wake.set()

    def stop(self, timeout: float) -> int:
        """Write what waits, for at most so many seconds; blocks. How many records were left."""
        if self._stop_at is None and self._thread.is_alive():
            self._stop_at = monotonic() + timeout
            self._wake.set()
            self._thread.join(timeout + RETRY_S)
        left = len(self._queue)
        if left:
            self._count["unwritten"](left)
        return left

    # Called in the thread.

    def _run(self) -> None:
        while True:
            try:
                if not self._queue:
                    if self._stop_at is not None:
                        break
                    self._wake.clear()
                    if not self._queue and self._stop_at is None:
                        self._wake.wait()
                        sleep(LINGER_S)
                if self._stop_at is not None and monotonic() >= self._stop_at:
                    break
                self._write(self._take())
                sleep(REST_S)
            except Exception:
                with suppress(Exception):  # whatever becomes of the log, the next record may be written
                    log.exception("capture_failed")
                sleep(RETRY_S)
        if not self._queue:
            self._write(self._take())
        with suppress(SinkError):
            self._sink.sync()
        self._sink.close()

    def _take(self) -> list[bytes]:
        lines: list[bytes] = []
        self._telling = self._lost + self._failed - self._lost_told
        if self._telling:
            lines.append(self._captor.gap(time(), self._telling))
        while self._queue and len(lines) < BATCH:
            entry = self._queue.popleft()
            self._bytes_out += entry.weight
            try:
                line = self._captor.line(entry.decision, entry.at, policy_name=entry.policy_name, size=entry.size)
            except Exception as error:
                log.warning("capture_unreadable", decision_id=entry.decision.id, error=type(error).__name__)
                self._count["failed"]()
                self._failed += 1
            else:
                lines.append(line)
        return lines

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        gaps = bool(self._telling)
        try:
            self._sink.prepare(sum(len(line) + 1 for line in lines))
            self._sink.append([line + b"\n" for line in lines])
        except SinkError as error:
            self._failed += len(lines) - gaps
            self._count["failed"](len(lines) - gaps)
            if not self._broken:
                log.error("capture_broken", reason=str(error))  # noqa: TRY400  no fault of ours
            self._broken = True
            if self._stop_at is None:
                sleep(RETRY_S)
            return
        self._lost_told += self._telling
        self._count["written"](len(lines) - gaps)
        if self._broken:
            self._broken = False
            log.warning("capture_mended")
