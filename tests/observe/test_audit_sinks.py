"""Sinks that fail: full disks, closed outputs, pipes without a reader, paths that cannot be opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

from guardsvc.observe.audit import AuditError
from guardsvc.observe.audit.verify import verify
from tests.observe.audits import HANG, KEYS, Kept, auditing, records, wait_until
from tests.observe.decisions import decision

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


async def test_a_disk_without_room_is_noticed() -> None:
    with auditing(Path("/dev/full"), grace=0.2, mode="required") as kept:
        assert not await kept.keep()
        wait_until(lambda: kept.metric("broken") == 1, "broken")
        assert not await kept.keep()
        assert "written" not in kept.counts


RUNS_OUT = """
import asyncio, resource, sys
from pathlib import Path
from tests.observe.audits import *
from tests.observe.decisions import decision

async def run(path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    with auditing(path, mode="required") as kept:
        number = 0
        while await kept.keep(decision(id=f"d{number}")):
            number += 1
        refused = decision("deny", id=f"d{number}", code="audit_unavailable")
        kept.add(refused)
        assert kept.metric("broken") == 1, kept.counts
        assert not await kept.keep()
        assert path.read_bytes().endswith(b"\\n"), "no torn line is left"
        assert path.stat().st_size <= 40_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        wait_until(lambda: kept.metric("broken") == 0, "room again")
        assert await kept.keep(decision(id="after"))
    print(number)

asyncio.run(run(Path(sys.argv[1])))
"""


def test_a_full_disk_loses_nothing_and_leaves_no_torn_line(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNS_OUT, path],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=2 * HANG,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    number = int(done.stdout.splitlines()[-1])
    report = verify([str(path)], KEYS)

    assert (report.breaks, report.lost) == ([], 0)
    assert [record["decision_id"] for record in records(path)[1:]] == [*(f"d{n}" for n in range(number + 1)), "after"]
    assert records(path)[-2]["reason"] == "audit_unavailable"


CLOSED = """
import sys, time
from tests.observe.audits import *
from guardsvc.observe import configure_logging
configure_logging("info", "json")
with auditing(None) as kept:
    for _ in range(200):
        kept.add()
        time.sleep(0.002)
    wait_until(lambda: kept.metric("broken") == 1, "broken")
    kept.audit.stop(0.3)
    sys.stderr.write(f"{kept.counts}\\n")
"""


@pytest.mark.parametrize("reads", [True, False])
def test_standard_output_that_its_reader_closes(reads: bool) -> None:
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CLOSED],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=write,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(write)
        if reads:
            data = b""
            while b'"decision"' not in data:
                data += os.read(read, 4096)
            sleep(0.05)
        os.close(read)
        _, err = process.communicate(timeout=HANG)
        assert process.returncode == 0, err.decode()
    counts = err.decode().splitlines()[-1]

    assert "'unwritten'" in counts
    assert ("'written'" in counts) is reads


def test_standard_output_that_was_never_open() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "-", sys.executable, "-c", CLOSED],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        timeout=HANG,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()
    assert b"'unwritten'" in done.stderr


def test_a_fifo_without_reader_is_no_sink_until_there_is_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(AuditError, match="cannot be opened"):
        Kept(pipe, mode="required").audit.start()
    with auditing(pipe) as kept:
        kept.add(decision(id="early"))
        sleep(0.05)
        assert kept.metric("broken") == 1
        fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            kept.wait_for("written", 1)
            lines = os.read(fd, 1 << 16).splitlines()
        finally:
            os.close(fd)

    assert [json.loads(line)["type"] for line in lines] == ["chain_start", "decision"]


@pytest.mark.parametrize("wrong", ["missing/audit.jsonl", "."])
def test_a_path_that_cannot_be_opened(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(AuditError, match="cannot be opened"):
        Kept(tmp_path / wrong, mode="required").audit.start()
    with auditing(tmp_path / wrong) as kept:
        kept.add()
        assert kept.audit.stop(0.2) == 1
        assert kept.counts == {"unwritten": 1}
