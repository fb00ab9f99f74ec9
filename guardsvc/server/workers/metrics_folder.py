"""The folder in which workers keep their metrics, made for one supervisor and gone with it."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["MetricsFolder"]

PREFIX = "guardsvc-metrics-"
YOUNG_S = 600.0
"""A folder that is younger may be one that its supervisor has yet to lock."""


class MetricsFolder:
    """A new folder below ``TMPDIR``, locked for as long as the supervisor runs.

    Those that supervisors left behind, as they were killed, are removed: where the folder outlives a container they
    would fill it.
    """

    def __init__(self) -> None:
        _remove_left(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove it with what is in it. May be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        lock, self._lock = self._lock, -1
        if lock != -1:
            os.close(lock)


def _remove_left(below: Path) -> None:
    for folder in below.glob(f"{PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and time.time() - found.st_mtime > YOUNG_S:
                _remove_unlocked(folder)


def _remove_unlocked(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
