"""UNIX socket: the file that a listener is reached by, and that nobody else may take, replace or open.

grpc removes whatever socket stands at the path it is told to bind, also one that another process
serves, and sets no mode. So it binds under another name in the same folder; the socket gets its mode
and group there and is then renamed to its path, in one step and only if nobody answers at it.
"""

from __future__ import annotations

import fcntl
import grp
import os
import secrets
import socket
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from guardsvc.server.listener_settings import SocketSettings

__all__ = ["SocketError", "UnixSocket"]

OTHERS_MAY_WRITE = 0o002
LOCK_WITHIN = 5.0


class SocketError(Exception):
    """A socket cannot be made at its path; the message names the path and says why."""


class UnixSocket:
    """A socket file from its making to its removal.

    Args:
        path: where gateways connect.
        settings: modes and group.
    """

    def __init__(self, path: str, settings: SocketSettings) -> None:
        self._path = Path(path)
        self._settings = settings
        self._made: tuple[int, int] | None = None

    def make(self, bind: Callable[[str], object]) -> None:
        """Make the socket and put it at its path.

        Args:
            bind: binds and listens at the path it is given.

        Raises:
            SocketError: the folder is missing or open to others, the path is taken, or mode or group cannot be set.
            RuntimeError: of ``bind``.
        """
        group = self._group()
        self._make_folder(group)
        with self._folder_locked():
            self._refuse_if_taken()
            unnamed = self._path.with_name(f".{secrets.token_hex(4)}")
            try:
                bind(str(unnamed))
                self._set(unnamed, group, self._settings.mode_bits)
                unnamed.rename(self._path)
            except BaseException:
                with suppress(OSError):
                    unnamed.unlink()
                raise
        made = self._path.lstat()
        self._made = (made.st_dev, made.st_ino)

    def remove(self) -> None:
        """Remove the socket, unless another process has put its own in its place."""
        if self._made is None:
            return
        with suppress(OSError, SocketError), self._folder_locked():
            there = self._path.lstat()
            if (there.st_dev, there.st_ino) == self._made:
                self._path.unlink()

    def _group(self) -> int:
        name = self._settings.group
        if name is None:
            return -1
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            if name.isdecimal():
                return int(name)
            raise SocketError(f'{self._path}: there is no group "{name}" on this machine') from None

    def _make_folder(self, group: int) -> None:
        folder = self._path.parent
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise SocketError(f"{folder} cannot be created: {error.strerror}") from error
        else:
            self._set(folder, group, self._settings.directory_mode_bits)
        try:
            found = folder.stat()
        except OSError as error:
            raise SocketError(f"{folder} cannot be used: {error.strerror}") from error
        if not stat.S_ISDIR(found.st_mode):
            raise SocketError(f"{folder} is not a folder")
        if found.st_uid not in (0, os.geteuid()):
            raise SocketError(
                f"{folder} belongs to user {found.st_uid}, who could put another socket in the place of this one; "
                "take a folder of this user's or of root's"
            )
        if found.st_mode & OTHERS_MAY_WRITE:
            raise SocketError(
                f"{folder} can be written by everyone, who could put another socket in the place of this one; "
                "take a folder inside it, which is created with mode 0750"
            )

    def _refuse_if_taken(self) -> None:
        try:
            there = self._path.lstat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise SocketError(f"{self._path} cannot be used: {error.strerror}") from error
        if not stat.S_ISSOCK(there.st_mode):
            raise SocketError(f"{self._path} is there and is not a socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                return
            except FileNotFoundError:
                return
            except BlockingIOError:
                pass
            except OSError as error:
                raise SocketError(f"{self._path} is taken, as it seems: {error.strerror}") from error
        raise SocketError(f"{self._path} is taken; another process answers there")

    def _set(self, path: Path, group: int, mode: int) -> None:
        try:
            if group != -1:
                os.chown(path, -1, group)
            path.chmod(mode)
        except OSError as error:
            what = f'group "{self._settings.group}"' if isinstance(error, PermissionError) else f"mode {mode:04o}"
            raise SocketError(f"{self._path}: {what} cannot be set: {error.strerror}") from error

    @contextmanager
    def _folder_locked(self) -> Iterator[None]:
        """Keep other guardsvc processes from looking at the path and taking it at the same time.

        Raises:
            SocketError: the folder cannot be locked.
        """
        try:
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SocketError(f"{self._path.parent} cannot be used: {error.strerror}") from error
        try:
            _lock(folder, self._path.parent)
            yield
        finally:
            os.close(folder)


def _lock(descriptor: int, folder: Path) -> None:
    end = time.monotonic() + LOCK_WITHIN
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise SocketError(f"{folder} is locked by another process") from None
            time.sleep(0.02)
        except OSError as error:
            raise SocketError(f"{folder} cannot be locked: {error.strerror}") from error
        else:
            return
