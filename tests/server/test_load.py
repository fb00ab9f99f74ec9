"""Load: the look at the memory comes before it can be used up, and lets messages in again when there is room."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from guardsvc.observe import Metrics
from guardsvc.server import load
from guardsvc.server.configuration import Configuration, load_configuration
from guardsvc.server.load import FILLS, LOOK_EVERY, REST, Load, pause_for
from guardsvc.server.memory import worker_memory
from tests.server.policies import allowing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    file = tmp_path / "policy.yaml"
    file.write_text(allowing("echo", large_bodies={"processes": 0}))
    return load_configuration(file)


@pytest.mark.parametrize(
    ("left", "pause"),
    [(-1, LOOK_EVERY), (0, LOOK_EVERY), (FILLS // 10, 0.1), (FILLS, REST)],
)
def test_looks_come_the_sooner_the_less_memory_is_left(left: int, pause: float) -> None:
    assert pause_for(left) == pytest.approx(pause)


def test_a_worker_at_rest_looks_seldom(configuration: Configuration) -> None:
    assert pause_for(int(sum(worker_memory(configuration).values()) * 0.9) - load.resident()) == REST


async def test_nothing_is_read_while_the_memory_is_used_up(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = sum(worker_memory(configuration).values())
    watched = Load(configuration, Metrics("0", process=False), None)
    unread = watched.intake.unread
    assert unread is not None
    looks: asyncio.Queue[bool] = asyncio.Queue()
    resident = [bound]

    def seen() -> int:
        looks.put_nowait(unread.full)
        return resident[0]

    monkeypatch.setattr(load, "resident", seen)
    watched.start()
    try:
        async with asyncio.timeout(30):
            while not await looks.get():
                pass
            resident[0] = bound // 2
            while await looks.get():
                pass
    finally:
        await watched.stop()
    assert not unread.full
