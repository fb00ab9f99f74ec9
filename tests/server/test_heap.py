"""What a large message took is kept for the next: its pages are not mapped anew each time."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from guardsvc.observe import Metrics
from guardsvc.server import load
from guardsvc.server.configuration import load_configuration
from guardsvc.server.load import Load
from tests.server.policies import allowing

if TYPE_CHECKING:
    from pathlib import Path

COPIES = """
import resource
from guardsvc.server.heap import keep_freed

message = bytearray(b"x") * (1 << 20)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [bytes(message) for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed()
faults()
print(faults())
"""
"""Three copies of 1 MiB at once, twenty times: 15 360 pages of 4 KiB."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be told")
def test_copies_of_a_message_use_the_same_pages() -> None:
    done = subprocess.run([sys.executable, "-c", COPIES], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000


async def test_a_worker_keeps_what_is_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(allowing("echo", large_bodies={"processes": 0}))
    asked: list[None] = []
    monkeypatch.setattr(load, "keep_freed", lambda: asked.append(None))
    worker = Load(load_configuration(file), Metrics("0", process=False), None)
    worker.start()
    await worker.stop()
    assert asked
