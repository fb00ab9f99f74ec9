"""What becomes of records, and of decisions that need theirs, however slow or full the sink is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from time import monotonic, perf_counter

import pytest

from guardsvc.model import Mode
from guardsvc.observe import Recorder
from guardsvc.observe.audit import AuditOptions
from guardsvc.observe.audit.verify import verify
from tests.observe.audits import HANG, KEY, KEYS, Kept, auditing, fifo, records, types, wait_until
from tests.observe.decisions import decision, operation

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
