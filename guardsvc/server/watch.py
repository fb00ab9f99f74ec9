"""Watch: notices that a configuration file has changed, by edit, replacement or a symbolic link's new target."""

from __future__ import annotations

import hashlib
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


async def watch(path: Path, changed: Callable[[], Awaitable[None]], stop: Event) -> None:
    """Call ``changed`` whenever the content of the file is another one, until ``stop`` is set.

    Kubernetes mounts a ConfigMap as ``file -> ..data/file`` with ``..data -> ..<timestamp>`` and
    replaces the second link, so the folder is watched, not the file, and the content decides.
    """
    seen = _digest(path)
    async for _ in awatch(
        path.absolute().parent,
        stop_event=stop,
        recursive=False,
        rust_timeout=POLL_MS,
        yield_on_timeout=True,
        step=20,
    ):
        now = _digest(path)
        if now == seen:
            continue
        seen = now
        if now is None:
            log.warning("configuration_unreadable", path=str(path))
            continue
        await changed()


def _digest(path: Path) -> bytes | None:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None
