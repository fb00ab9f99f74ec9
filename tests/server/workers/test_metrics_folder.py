"""The folder of the workers' metrics: whose is removed, and whose is not."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from guardsvc.server.workers.metrics_folder import PREFIX, YOUNG_S, MetricsFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def aged(folder: Path) -> Path:
    """The folder as if nobody had changed it for longer than a supervisor takes to lock it."""
    long_ago = folder.stat().st_mtime - 2 * YOUNG_S
    os.utime(folder, (long_ago, long_ago))
    return folder


def test_what_a_killed_supervisor_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / "counter_0.db").write_bytes(b"x")
    aged(left)
    made = MetricsFolder()
    assert list(tmp_path.iterdir()) == [made.path]
    made.remove()
    made.remove()
    assert list(tmp_path.iterdir()) == []


def test_those_of_others_stay(tmp_path: Path) -> None:
    running = MetricsFolder()
    aged(running.path)
    (young := tmp_path / f"{PREFIX}young").mkdir()
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (link := tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (other := tmp_path / "other").mkdir()
    for folder in (elsewhere, other):
        aged(folder)
    made = MetricsFolder()
    assert set(tmp_path.iterdir()) == {running.path, made.path, young, elsewhere, link, other}
    running.remove()
    made.remove()
