"""Sink: where lines go. A stream here; files, which rotate, in ``files``."""

from __future__ import annotations

import os
import select
import stat
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Found", "Sink", "SinkError", "StreamSink"]

PIPE_BUF = 4096
"""Bytes that a pipe takes without blocking once it is ready to be written, and in one piece."""
POLL_S = 0.2
"""How often a wait for a reader looks up."""


class Found(msgspec.Struct, frozen=True):
    """What an opened sink held.

    Attributes:
        last: its last whole line, None where there is none.
        torn: what stood after it and was cut off.
    """

    last: bytes | None = None
    torn: bytes = b""


class SinkError(Exception):
    """Lines could not be written.

    Attributes:
        written: how many of them were.
    """

    def __init__(self, reason: str, written: int = 0) -> None:
        super().__init__(reason)
        self.written = written


class Sink(Protocol):
    """Takes lines. Called from one thread only."""

    def prepare(self, size: int) -> Found | None:
        """Make ready for so many bytes; what was found where a file was opened for it, else None.

        Raises:
            SinkError: it cannot be opened.
        """

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines.

        Raises:
            SinkError: not all of them were written; the sink is closed and can be prepared again.
        """

    def sync(self) -> None:
        """Make what was written survive the machine. Raises SinkError."""

    def close(self) -> None:
        """Let go of it."""


class StreamSink:
    """Standard output, or a path that is a FIFO or a device. A reader that is slow is waited for.

    Args:
        target: a file descriptor that stays open, or a path that is opened without waiting for a reader.
        waits: called while nobody reads, with the seconds waited so far; False gives up.
    """

    def __init__(self, target: int | str, waits: Callable[[float], bool]) -> None:
        self._target = target
        self._waits = waits
        self._fd: int | None = None
        self._is_pipe = False
        self._torn = False

    def prepare(self, size: int) -> Found | None:
        """Open it. A stream holds nothing."""
        del size
        if self._fd is not None:
            return None
        try:
            if isinstance(self._target, int):
                fd = self._target
            else:
                fd = os.open(self._target, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            mode = os.fstat(fd).st_mode
        except OSError as error:
            raise SinkError(f"{self._target} cannot be opened: {error.strerror}") from error
        self._fd = fd
        self._is_pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        return Found()

    def append(self, lines: Sequence[bytes]) -> None:
        """Write line by line, so that lines of several writers do not mix where they fit a pipe's piece."""
        written = 0
        try:
            if self._torn:
                self._write(b"\n")
                self._torn = False
            for line in lines:
                self._write(line)
                written += 1
        except OSError as error:
            self.close()
            raise SinkError(f"{self._target} cannot be written: {error.strerror or error}", written) from error

    def _write(self, line: bytes) -> None:
        if self._fd is None:
            raise AssertionError("not prepared")
        rest = memoryview(line)
        while rest:
            if self._is_pipe:
                self._wait(self._fd)
            try:
                rest = rest[os.write(self._fd, rest[:PIPE_BUF] if self._is_pipe else rest) :]
            except BlockingIOError:
                self._wait(self._fd)
            except OSError:
                self._torn = len(rest) < len(line)
                raise

    def _wait(self, fd: int) -> None:
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        if poll.poll(0):
            return
        since = monotonic()
        while not poll.poll(POLL_S * 1000):
            if not self._waits(monotonic() - since):
                raise TimeoutError("nobody reads it")

    def sync(self) -> None:
        """A stream cannot be synced."""

    def close(self) -> None:
        """Close what was opened here."""
        fd, self._fd = self._fd, None
        if fd is not None and not isinstance(self._target, int):
            os.close(fd)
