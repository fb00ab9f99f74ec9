"""The watch where the host gives no notice of changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from guardsvc.model import file_state
from guardsvc.server import watch as module

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest


async def test_without_inotify_the_clock_says_when_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_inotify(*_: object, **__: object) -> AsyncIterator[None]:
        raise OSError(24, "inotify instances used up")
        yield

    monkeypatch.setattr(module, "awatch", no_inotify)
    monkeypatch.setattr(module, "POLL_MS", 10)
    monkeypatch.setattr(module, "SETTLING", 0.001)
    file, stop, changes = tmp_path / "config.yaml", asyncio.Event(), asyncio.Event()
    file.write_bytes(b"old")

    async def changed() -> None:
        changes.set()

    with structlog.testing.capture_logs() as logs:
        watching = asyncio.create_task(module.watch(file, b"old", changed, stop))
        await asyncio.sleep(0.05)
        assert not changes.is_set()
        file.write_bytes(b"new")
        async with asyncio.timeout(120):
            await changes.wait()
            stop.set()
            await watching

    assert [(log["event"], log["log_level"]) for log in logs] == [("watch_polls", "warning")]


async def test_a_change_between_load_and_watch_is_seen(tmp_path: Path) -> None:
    file, stop, changes = tmp_path / "config.yaml", asyncio.Event(), asyncio.Event()
    file.write_bytes(b"new already")

    async def changed() -> None:
        changes.set()
        stop.set()

    async with asyncio.timeout(120):
        await module.watch(file, b"what was loaded", changed, stop)

    assert changes.is_set()


async def test_files_are_told_once_for_each_state_they_are_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_S", 0.005)
    monkeypatch.setattr(module, "SETTLING", 0.001)
    file, stop, changes = tmp_path / "guard.wasm", asyncio.Event(), asyncio.Queue[None]()
    file.write_bytes(b"old")
    loaded = {file: file_state(file)}

    watching = asyncio.create_task(
        module.watch_files(lambda: loaded, lambda: changes.put(None), stop),
    )
    await asyncio.sleep(0.03)
    assert changes.empty()

    file.write_bytes(b"changed")
    async with asyncio.timeout(120):
        await changes.get()
    await asyncio.sleep(0.03)
    assert changes.empty()  # it could not be loaded: it is not tried again

    loaded[file] = file_state(file)
    await asyncio.sleep(0.03)
    file.unlink()
    async with asyncio.timeout(120):
        await changes.get()
        stop.set()
        await watching
    assert changes.empty()
