"""Watch: notices that a configuration file has changed, by edit, replacement or a symbolic link's new target.

What else a policy was loaded from, such as modules, is looked at now and then.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from watchfiles import awatch

from guardsvc.config.document import MAX_BYTES
from guardsvc.model import file_state

if TYPE_CHECKING:
    from asyncio import Event
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from guardsvc.model import FileState

__all__ = ["watch", "watch_files"]

log = structlog.get_logger(__name__)

POLL_MS = 2_000
"""How often to look even when the file system reports nothing; network file systems do not."""
STEP_MS = 100
"""How often the thread that listens to the file system wakes up; what happens within one step is one occasion."""
SETTLING = 0.1
"""Seconds in which the content must not change: a file in the middle of being written may be valid and say less."""
FILES_S = 0.5
"""Seconds between two looks at files beside the configuration."""
MAX_SETTLINGS = 50
"""How often to wait for that."""


async def watch(path: Path, content: bytes, changed: Callable[[], Awaitable[None]], stop: Event) -> None:
    """Call ``changed`` whenever the content of the file is another one, or gone, until ``stop`` is set.

    Kubernetes mounts a ConfigMap as ``file -> ..data/file`` with ``..data -> ..<timestamp>`` and
    replaces the second link, so the folder is watched, not the file, and the content decides.

    Args:
        path: the file.
        content: what it held when it was loaded.
        changed: called after each change.
        stop: ends the watch.
    """
    seen: bytes | None = content
    async for _ in _occasions(path.parent, stop):
        if _content(path) == seen or (now := await _settled(path)) == seen:
            continue
        seen = now
        await changed()


async def watch_files(
    files: Callable[[], Mapping[Path, FileState]], changed: Callable[[], Awaitable[None]], stop: Event
) -> None:
    """Call ``changed`` when one of the files is another one than was loaded, until ``stop`` is set.

    Args:
        files: those that the policy in force was loaded from, each with its state of then.
        changed: called once for each state that they are found in.
        stop: ends the watch.
    """
    tried: dict[Path, FileState] = {}
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(FILES_S):
                await stop.wait()
        loaded = dict(files())
        if not loaded or stop.is_set():
            continue
        now = await asyncio.to_thread(_states, loaded)
        if now in (loaded, tried):
            continue
        for _ in range(MAX_SETTLINGS):
            before = now
            await asyncio.sleep(SETTLING)
            now = await asyncio.to_thread(_states, loaded)
            if now == before:
                break
        tried = now
        if now != loaded:
            await changed()


def _states(files: Iterable[Path]) -> dict[Path, FileState]:
    return {path: file_state(path) for path in files}


async def _occasions(folder: Path, stop: Event) -> AsyncIterator[None]:
    """When to look: something happened in the folder, or it is time to anyway.

    A host may have no inotify instance left; then only the clock says when.
    """
    try:
        async for _ in awatch(
            folder, stop_event=stop, recursive=False, rust_timeout=POLL_MS, yield_on_timeout=True, step=STEP_MS
        ):
            yield
    except (OSError, RuntimeError) as error:
        log.warning("watch_polls", folder=str(folder), every_s=POLL_MS / 1000, reason=str(error))
    while not stop.is_set():
        try:
            async with asyncio.timeout(POLL_MS / 1000):
                await stop.wait()
        except TimeoutError:
            yield


async def _settled(path: Path) -> bytes | None:
    now = _content(path)
    for _ in range(MAX_SETTLINGS):
        before = now
        await asyncio.sleep(SETTLING)
        now = _content(path)
        if now == before:
            break
    return now


def _content(path: Path) -> bytes | None:
    """As much of the file as can matter, or None where it cannot be read; a pipe or device would hold up all else."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError:
        return None
