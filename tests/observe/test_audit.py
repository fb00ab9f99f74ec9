"""A sink that is slow, full or broken: what becomes of records, and of decisions that need theirs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic, perf_counter, sleep

import pytest

from guardsvc.model import Mode
from guardsvc.observe import Recorder
from guardsvc.observe.audit import AuditError, AuditOptions
from guardsvc.observe.audit.verify import verify
from tests.observe.audits import HANG, KEY, KEYS, Kept, auditing, fifo, records, types, wait_until
from tests.observe.decisions import decision, operation

ROOT = Path(__file__).parents[2]
SOON = HANG / 2
"""Seconds; what waits for a sink that is stuck takes ``HANG``, or for ever."""
FILLS_A_PIPE = 400
"""Records; a pipe takes 64 KiB."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


async def test_a_decision_is_recorded(path: Path) -> None:
    with auditing(path) as kept:
        assert await kept.keep(decision(id="one"))

    assert records(path)[1]["decision_id"] == "one"
    assert kept.counts == {"written": 1}
    assert (kept.metric("queue"), kept.metric("lag_seconds"), kept.metric("broken")) == (0, 0, 0)


async def test_the_recorder_passes_on_what_the_gateway_knows(path: Path) -> None:
    with auditing(path) as kept:
        recorder = Recorder(kept.metrics, (), kept.audit)
        assert await recorder.keep((decision(),), policy_name="main", size=77, deadline=perf_counter() + HANG)
        recorder.keep_refused((decision("deny", code="audit_unavailable"),), policy_name="main", size=77)

    first, second = records(path)[1:]
    assert [(record["policy_name"], record["size"]) for record in (first, second)] == [("main", 77)] * 2
    assert second["reason"] == "audit_unavailable"


async def test_a_recorder_without_an_audit_keeps_nothing() -> None:
    recorder = Recorder(Kept(Path("unused")).metrics, ())

    assert await recorder.keep((decision(),), policy_name="", size=0, deadline=0.0)
    recorder.keep_refused((decision(),), policy_name="", size=0)


async def test_decisions_about_one_request_name_the_one_that_refused_it(path: Path) -> None:
    with auditing(path, mode="required") as kept:
        assert await kept.keep(decision(id="call"), decision("deny", id="answer"))
        assert await kept.keep(decision(id="a"), decision(id="b"))
        shadow = decision("deny", id="d", mode=Mode.SHADOW)
        assert await kept.keep(decision(id="c", mode=Mode.SHADOW), shadow)

    assert {record["decision_id"]: record.get("refused_with") for record in records(path)[1:]} == {
        "call": "answer",
        "answer": None,
        "a": None,
        "b": None,
        "c": None,
        "d": None,
    }


async def test_required_waits_until_the_record_is_written(path: Path) -> None:
    with auditing(path, mode="required", fsync="always") as kept:
        for number in range(20):
            assert await kept.keep(decision(id=f"d{number}"))
            assert records(path)[-1]["decision_id"] == f"d{number}"


async def test_required_decisions_are_written_together(path: Path) -> None:
    with auditing(path, mode="required") as kept:
        answers = await asyncio.gather(*(kept.keep(decision(id=f"d{number}")) for number in range(1_000)))

    assert all(answers)
    assert verify([str(path)], KEYS).decisions == 1_000


async def test_a_slow_sink_holds_up_nobody_in_best_effort(tmp_path: Path) -> None:
    with fifo(tmp_path / "pipe") as read, auditing(tmp_path / "pipe", grace=0.1, queue_records=64) as kept:
        longest = 0.0
        for _ in range(FILLS_A_PIPE):
            begun = perf_counter()
            assert await kept.keep()
            longest = max(longest, perf_counter() - begun)
            await asyncio.sleep(0.0001)
        wait_until(lambda: kept.metric("records_total", "dropped") > 0 and kept.metric("queue") >= 64, "full")
        assert longest < SOON
        await asyncio.sleep(0.3)
        assert kept.metric("lag_seconds") > 0.2
        wait_until(lambda: kept.metric("broken") == 1, "nobody reads")

        wait_until(lambda: read() == b"" and kept.metric("queue") == 0 and kept.metric("broken") == 0, "drained")
        written, dropped = (kept.metric("records_total", result) for result in ("written", "dropped"))
        assert written + dropped == FILLS_A_PIPE
        assert kept.metric("broken") == 0


async def test_shed_calls_leave_room_for_what_is_decided(tmp_path: Path) -> None:
    with fifo(tmp_path / "pipe"), auditing(tmp_path / "pipe", grace=0.1, queue_records=128) as kept:
        for _ in range(FILLS_A_PIPE):
            kept.audit.add_shed(decision("deny", code="overloaded"))
            await asyncio.sleep(0.0001)
        wait_until(lambda: kept.metric("records_total", "dropped") > 0, "its half of the queue is full")
        lost = kept.metric("records_total", "dropped")
        for _ in range(32):
            kept.add()
        assert kept.metric("records_total", "dropped") == lost


async def test_what_was_lost_is_in_the_file(tmp_path: Path) -> None:
    data = b""
    with fifo(tmp_path / "pipe") as read, auditing(tmp_path / "pipe", grace=0.1, queue_records=64) as kept:
        for _ in range(FILLS_A_PIPE):
            kept.add()
            await asyncio.sleep(0.0001)
        end = monotonic() + HANG
        while kept.metric("queue") > 0 or b'"type":"gap"' not in data:
            data += read()
            await asyncio.sleep(0.01)
            assert monotonic() < end
        kept.add()
        kept.wait_for("written", kept.metric("records_total", "written"))
        await asyncio.sleep(0.1)
        data += read()
    path = tmp_path / "collected"
    path.write_bytes(data)
    report = verify([str(path)], KEYS)

    assert report.breaks == []
    assert report.lost == kept.counts["dropped"] > 0
    assert report.decisions == kept.counts["written"]


async def test_a_slow_sink_refuses_what_needs_its_record(tmp_path: Path) -> None:
    with fifo(tmp_path / "pipe") as read, auditing(tmp_path / "pipe", grace=0.1, mode="required") as kept:
        while await kept.keep(seconds=0.1):
            pass
        begun = perf_counter()
        assert not await kept.keep(seconds=0.1)
        assert perf_counter() - begun < SOON

        wait_until(lambda: kept.metric("broken") == 1, "nobody reads")
        begun = perf_counter()
        assert not await kept.keep(seconds=HANG)
        assert perf_counter() - begun < SOON, "a sink that is known to be stuck is not waited for"

        data = read()
        end = monotonic() + HANG
        while not await kept.keep(seconds=1):
            data += read()
            assert monotonic() < end
        assert kept.metric("broken") == 0
        assert b'"chain_start"' in data


async def test_a_decision_that_was_refused_for_want_of_its_record_has_the_record_of_the_refusal(
    tmp_path: Path,
) -> None:
    with fifo(tmp_path / "pipe") as read, auditing(tmp_path / "pipe", grace=0.1, mode="required") as kept:
        number = 0
        while await kept.keep(decision(id=f"d{number}"), seconds=0.1):
            number += 1
        kept.add(decision("deny", id=f"d{number}", code="audit_unavailable"))
        data = b""
        end = monotonic() + HANG
        while b"audit_unavailable" not in data:
            data += read()
            await asyncio.sleep(0.01)
            assert monotonic() < end
    last = json.loads(data.splitlines()[-1])

    assert (last["decision_id"], last["applied"], last["reason"]) == (f"d{number}", "deny", "audit_unavailable")


async def test_a_full_queue_refuses_what_needs_its_record(tmp_path: Path) -> None:
    with fifo(tmp_path / "pipe"), auditing(tmp_path / "pipe", grace=0.1, mode="required", queue_records=64) as kept:
        for _ in range(FILLS_A_PIPE):
            kept.add()
        wait_until(lambda: kept.metric("records_total", "dropped") > 0, "full")
        begun = perf_counter()
        assert not await kept.keep()
        assert perf_counter() - begun < SOON


async def test_a_refused_request_waits_for_nothing(tmp_path: Path) -> None:
    with fifo(tmp_path / "pipe"), auditing(tmp_path / "pipe", grace=0.1, mode="required", queue_records=64) as kept:
        for _ in range(FILLS_A_PIPE):
            kept.add()
        begun = perf_counter()
        assert await kept.keep(decision("deny"))
        assert await kept.keep(decision("pending"))
        assert perf_counter() - begun < SOON


async def test_bytes_that_wait_are_bounded_too(tmp_path: Path) -> None:
    with fifo(tmp_path / "pipe"), auditing(tmp_path / "pipe", grace=0.1, queue_bytes=1 << 20) as kept:
        for _ in range(FILLS_A_PIPE):
            kept.audit.add((decision(),), size=256 << 10)
            await asyncio.sleep(0.001)

        assert kept.metric("queue") < 64
        assert kept.counts["dropped"] > 0


async def test_one_request_may_wait_however_large_it_is(path: Path) -> None:
    with auditing(path, mode="required", queue_bytes=1 << 20) as kept:
        for _ in range(3):
            assert await kept.audit.keep((decision(), decision()), size=64 << 20, deadline=perf_counter() + HANG)

    assert kept.counts == {"written": 6}


def test_the_bound_on_memory_is_known() -> None:
    options = AuditOptions(path=None, keys=(KEY,), queue_records=1_000, queue_bytes=1 << 20)

    assert 32 << 20 < options.memory_bound < 64 << 20


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


def test_the_end_writes_what_waits(path: Path) -> None:
    with auditing(path) as kept:
        kept.add(*[decision(id=f"d{number}") for number in range(5_000)])

    assert kept.counts == {"written": 5_000}
    assert verify([str(path)], KEYS).decisions == 5_000


def test_the_end_does_not_wait_for_a_reader_that_never_comes(tmp_path: Path) -> None:
    with fifo(tmp_path / "pipe"):
        kept = Kept(tmp_path / "pipe")
        kept.audit.start()
        kept.add(*[decision()] * FILLS_A_PIPE)
        begun = monotonic()
        left = kept.audit.stop(0.5)

        assert 0.4 < monotonic() - begun < SOON
        assert 0 < left < FILLS_A_PIPE
        assert kept.counts["unwritten"] == left


async def test_a_required_decision_that_is_given_up_by_its_caller_does_no_harm(path: Path) -> None:
    with auditing(path, mode="required") as kept:
        task = asyncio.create_task(kept.keep(decision(id="given up")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await kept.keep(decision(id="next"))

    assert [record["decision_id"] for record in records(path)[1:]] == ["given up", "next"]


async def test_a_decision_without_time_left_is_refused(path: Path) -> None:
    with auditing(path, mode="required") as kept:
        assert not await kept.audit.keep((decision(),), deadline=perf_counter() - 1)


async def test_a_record_that_no_encoder_can_make_does_not_end_the_audit(path: Path) -> None:
    cyclic: dict[str, object] = {"name": "t"}
    cyclic["arguments"] = cyclic
    with auditing(path, mode="required") as kept:
        assert await kept.keep(decision(id="cyclic", operation=operation(payload=cyclic)))
        assert await kept.keep(decision(id="next"))

    assert types(path) == ["chain_start", "decision", "decision"]
    assert records(path)[1]["incomplete"].startswith("RecursionError")
