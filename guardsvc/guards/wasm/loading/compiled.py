"""Compiled modules on disk. To load one is to run what it says, so nothing is loaded that others could have written.

An entry carries a MAC under a key that lies beside it, readable by this user alone, over what it was compiled from and
for: component, version of wasmtime, kind of engine, processor.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
import secrets
import stat
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from guardsvc.guards.wasm.loading.engines import EngineKind

__all__ = ["CompiledCache", "key_of", "mac_of", "read_private", "write_private"]

log = structlog.get_logger(__name__)

MAC_BYTES = 32
MOST_ENTRIES = 64
PRIVATE = 0o700


class CompiledCache:
    """A folder of compiled modules.

    Args:
        folder: made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = key_of(folder)

    @property
    def usable(self) -> bool:
        """Whether anything can be kept."""
        return self._key is not None

    def load(self, digest: str, kind: EngineKind) -> bytes | None:
        """What was compiled of a component, None where it is not there or cannot be trusted.

        Args:
            digest: of the component.
            kind: of the engine.
        """
        if self._key is None:
            return None
        name = _name(digest, kind)
        data = read_private(self._folder / name)
        if data is None or len(data) <= MAC_BYTES:
            return None
        mac, body = data[:MAC_BYTES], data[MAC_BYTES:]
        if not hmac.compare_digest(mac, mac_of(self._key, name, body)):
            log.warning("wasm_cache_entry_refused", entry=name, reason="its MAC is not right")
            return None
        return body

    def keep(self, digest: str, kind: EngineKind, body: bytes) -> None:
        """Keep what was compiled; where that cannot be done, nothing is kept."""
        if self._key is None:
            return
        name = _name(digest, kind)
        if write_private(self._folder / name, mac_of(self._key, name, body), body):
            self._prune()

    def _prune(self) -> None:
        with suppress(OSError):
            entries = sorted(self._folder.glob("*.cwasm"), key=lambda path: path.stat().st_mtime)
            for path in entries[:-MOST_ENTRIES]:
                path.unlink()


def _name(digest: str, kind: EngineKind) -> str:
    built_for = f"{version('wasmtime')}|{kind!r}|{_processor()}"
    return f"{digest.partition(':')[2]}-{hashlib.sha256(built_for.encode()).hexdigest()[:32]}.cwasm"


@cache
def _processor() -> str:
    """The processor's model and what it can do."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        told = {line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}
        return platform.machine() + "|" + "|".join(sorted(told))
    return f"{platform.machine()}|{platform.processor()}"


def mac_of(key: bytes, name: str, body: bytes) -> bytes:
    """What says that an entry of this name was written by someone who has the key."""
    made = hmac.new(key, name.encode() + b"\0", hashlib.sha256)
    made.update(body)
    return made.digest()


def key_of(folder: Path) -> bytes | None:
    """The folder's key, made where there is none; None where the folder cannot be used."""
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            log.warning("wasm_cache_ignored", folder=str(folder), reason="others own it or can write it")
            return None
        path = folder / "key"
        if not path.exists():
            temporary = folder / f".key.{secrets.token_hex(8)}"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(MAC_BYTES))
            with suppress(FileExistsError):
                os.link(temporary, path)  # the first of several workers makes it
            temporary.unlink()
    except OSError as error:
        log.info("wasm_cache_in_memory", folder=str(folder), reason=error.strerror)
        return None
    key = read_private(path, secret=True)
    return key if key is not None and len(key) == MAC_BYTES else None


def write_private(path: Path, *parts: bytes) -> bool:
    """Write a file that only this user can read, whole or not at all; whether it could be done."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
        temporary.replace(path)
    except OSError as error:
        log.warning("wasm_cache_not_written", folder=str(path.parent), reason=error.strerror)
        with suppress(OSError):
            temporary.unlink()
        return False
    return True


def read_private(path: Path, *, secret: bool = False) -> bytes | None:
    """The content of a file of this user alone, read by the descriptor that was looked at."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if (
            not stat.S_ISREG(found.st_mode)
            or found.st_uid != os.geteuid()
            or found.st_mode & (0o077 if secret else 0o022)
        ):
            log.warning("wasm_cache_entry_refused", entry=path.name, reason="others own it or can write it")
            return None
        return file.read()
