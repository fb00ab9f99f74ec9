"""Watch: notices that a configuration file has changed, by edit, replacement or a symbolic link's new target."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from watchfiles import awatch

if TYPE_CHECKING:
    from asyncio import Event
    from collections.abc import Awaitable, Callable
    from pathlib import Path

__all__ = ["watch"]

log = structlog.get_logger(__name__)

POLL_MS = 2_000
"""How often to look even when the file system reports nothing; network file systems do not."""
SETTLING = 0.1
"""Seconds in which the content must not change: a file in the middle of being written may be valid and say less."""


async def watch(path: Path, content: bytes, changed: Callable[[], Awaitable[None]], stop: Event) -> None:
    """Call ``changed`` whenever the content of the file is another one, until ``stop`` is set.

    Kubernetes mounts a ConfigMap as ``file -> ..data/file`` with ``..data -> ..<timestamp>`` and
    replaces the second link, so the folder is watched, not the file, and the content decides.

    Args:
        path: the file.
        content: what it held when it was loaded.
        changed: called after each change.
        stop: ends the watch.
    """
    seen: bytes | None = content
    async for _ in awatch(
        path.parent,
        stop_event=stop,
        recursive=False,
        rust_timeout=POLL_MS,
        yield_on_timeout=True,
        step=20,
    ):
        if _content(path) == seen or (now := await _settled(path)) == seen:
            continue
        seen = now
        if now is None:
            log.warning("configuration_unreadable", path=str(path))
            continue
        await changed()


async def _settled(path: Path) -> bytes | None:
    before = _content(path)
    while True:
        await asyncio.sleep(SETTLING)
        now = _content(path)
        if now == before:
            return now
        before = now


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
