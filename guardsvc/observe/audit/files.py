"""Files: a sink that appends to a file, rotates it, and notices when others do."""

from __future__ import annotations

import fcntl
import os
from datetime import datetime
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

import structlog

from guardsvc.observe.audit.sink import Found, SinkError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FileSink", "rotated"]

log = structlog.get_logger(__name__)

FILE_MODE = 0o640
CHUNK = 64 << 10
MAX_TAIL = 8 << 20
"""Bytes read from the end of a file in search of its last line."""
ROTATION_RETRY_S = 5.0
BEGINNING = b'{"type":"'
"""How every record begins."""


class FileSink:
    """A file that one process writes, held by a lock (``flock``).

    Args:
        path: of the file.
        max_bytes: size above which it is rotated, None for never.
        max_age_s: seconds since its first line after which it is rotated, None for never.
        keep: how many rotated files are kept, ``path.1`` the newest.
        mode: of a file that is made.
    """

    def __init__(
        self, path: str, *, max_bytes: int | None, max_age_s: float | None, keep: int, mode: int = FILE_MODE
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._keep = keep
        self._mode = mode
        self._fd: int | None = None
        self._size = 0
        self._born = 0.0
        self._rotate_again = 0.0

    def prepare(self, size: int) -> Found | None:
        """Rotate if it is time to, and open the file unless it is open and still in its place."""
        if self._fd is not None and self._was_moved():
            self.close()
        if self._fd is not None and self._is_due(size):
            self._rotate()
        return self._open() if self._fd is None else None

    def append(self, lines: Sequence[bytes]) -> None:
        """Write all lines or, as far as the disk lets us, none."""
        if self._fd is None:
            raise AssertionError("not prepared")
        data = memoryview(b"".join(lines))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            self._undo()
            self.close()
            raise SinkError(f"{self._path} cannot be written: {error.strerror}") from error
        self._size += written

    def sync(self) -> None:
        """``fdatasync``."""
        try:
            if self._fd is not None:
                os.fdatasync(self._fd)
        except OSError as error:
            self.close()
            raise SinkError(f"{self._path} cannot be synced: {error.strerror}") from error

    def close(self) -> None:
        """Close the file, which gives up the lock."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _undo(self) -> None:
        """Cut off what a failed write left. Where even this fails, the next opening finds it torn."""
        try:
            if self._fd is not None:
                os.ftruncate(self._fd, self._size)
        except OSError:
            log.warning("audit_line_torn", path=self._path)

    def _open(self) -> Found:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self._mode)
        except OSError as error:
            raise SinkError(f"{self._path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = self._read_end(fd)
            self._size = os.fstat(fd).st_size
            self._born = time() if self._size == 0 else _birth(fd)
        except BlockingIOError as error:
            os.close(fd)
            raise SinkError(f"{self._path} is written by another process") from error
        except OSError as error:
            os.close(fd)
            raise SinkError(f"{self._path} cannot be read: {error.strerror}") from error
        self._fd = fd
        return found

    def _read_end(self, fd: int) -> Found:
        last, torn = last_line(fd)
        if torn:
            if not _is_ours(torn):
                raise OSError(0, "it ends in what is no record")
            os.ftruncate(fd, os.fstat(fd).st_size - len(torn))
        if last is None and not torn:
            last = _last_of(rotated(self._path, 1))
        return Found(last, torn)

    def _was_moved(self) -> bool:
        try:
            there = os.stat(self._path)  # noqa: PTH116  for every batch
        except OSError:
            return True
        here = os.fstat(self._fd or 0)
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _is_due(self, size: int) -> bool:
        if self._size == 0 or monotonic() < self._rotate_again:
            return False
        if self._max_bytes is not None and self._size + size > self._max_bytes:
            return True
        return self._max_age_s is not None and time() - self._born > self._max_age_s

    def _rotate(self) -> None:
        """Move the files up by one; where that fails, go on with the file as it is."""
        try:
            if self._keep == 0:
                os.unlink(self._path)  # noqa: PTH108
            for number in range(self._keep - 1, 0, -1):
                if os.path.lexists(older := rotated(self._path, number)):
                    os.replace(older, rotated(self._path, number + 1))  # noqa: PTH105
            if self._keep:
                os.replace(self._path, rotated(self._path, 1))  # noqa: PTH105
        except OSError as error:
            self._rotate_again = monotonic() + ROTATION_RETRY_S
            log.error("audit_rotation_failed", path=self._path, reason=error.strerror)  # noqa: TRY400
            return
        self.close()


def rotated(path: str, number: int) -> str:
    """The name of a rotated file, 1 for the newest."""
    return f"{path}.{number}"


def last_line(fd: int) -> tuple[bytes | None, bytes]:
    """The last whole line of a file, None where there is none, and what stands after it."""
    size = os.fstat(fd).st_size
    tail, start = b"", size
    while start > 0 and tail.count(b"\n") < 2 and len(tail) < MAX_TAIL:  # noqa: PLR2004  the line and the one before
        step = min(CHUNK, start)
        start -= step
        tail = os.pread(fd, step, start) + tail
    whole, newline, torn = tail.rpartition(b"\n")
    if not newline:
        return None, tail
    return whole[whole.rfind(b"\n") + 1 :], torn


def _is_ours(torn: bytes) -> bool:
    """Whether a piece of a line may be a record's, or what a file system leaves after a power cut."""
    return BEGINNING.startswith(torn[: len(BEGINNING)]) or not torn.strip(b"\0")


def _last_of(path: str) -> bytes | None:
    try:
        with Path(path).open("rb") as file:
            return last_line(file.fileno())[0]
    except OSError:
        return None


def _birth(fd: int) -> float:
    """When the file's first line was written, by the line's own time, or else when the file last changed."""
    head = os.pread(fd, 4096, 0)
    _, found, rest = head.partition(b'"time":"')
    try:
        return datetime.fromisoformat(rest[: rest.index(b'"')].decode()).timestamp() if found else os.fstat(fd).st_mtime
    except ValueError:
        return os.fstat(fd).st_mtime
