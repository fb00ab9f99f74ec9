"""A small file system of a test's own, which can be filled and emptied."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Disk", "mounted"]

SIZE = 16 << 20


class Disk:
    """A mounted file system.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @property
    def free(self) -> int:
        """Bytes that are left."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, left: int = 0) -> None:
        """Fill it up to so many bytes, in whole pages; others may take room meanwhile."""
        with self._filler.open("ab", buffering=0) as filler:
            while (more := self.free - left) > 0:
                try:
                    filler.write(bytes(more))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def clear(self) -> None:
        """Free what ``fill`` took."""
        self._filler.unlink()


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """A file system in memory, or the end of the test where this process may not mount one."""
    folder.mkdir()
    options = f"size={SIZE},mode=0700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)
