"""Capture: what of a decision is kept, how it is sealed, and what becomes of what cannot be written."""

from __future__ import annotations

import json
import stat
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.model import Caller, Finding, GatewayProtocol, Headers, Kind, Operation, Phase, Severity
from guardsvc.observe import Metrics
from guardsvc.observe.capture import (
    Capture,
    CapturedOperation,
    CaptureKey,
    CaptureOptions,
    CapturingRecorder,
    KeyTextError,
    OpeningError,
    SealedOperation,
    new_key,
)
from guardsvc.observe.capture.read import CaptureFileError, opened, read_lines
from guardsvc.observe.capture.record import Captor, restored
from tests.observe.decisions import decision, operation, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = CaptureKey(new_key())
SECRET = "arguments-that-nobody-may-read"
PAYLOAD = {"name": "search", "arguments": {"q": SECRET, "n": 2**70, "f": 1.0}}
ASKED: Operation = operation(
    payload=PAYLOAD,
    headers=Headers([("authorization", f"Bearer {SECRET}"), ("accept", "a"), ("accept", "b")]),
    path=f"/mcp?key={SECRET}",
    http_method="POST",
    revision="2025-11-25",
)


class Capturing:
    """A running capture and its metrics."""

    def __init__(self, path: Path, **more: Any) -> None:
        self.metrics = Metrics("0", process=False)
        self.capture = Capture(CaptureOptions(path=str(path), **more), self.metrics)

    @property
    def counts(self) -> dict[str, float]:
        read = self.metrics.registry.get_sample_value
        results = ("written", "dropped", "failed", "unwritten")
        return {each: n for each in results if (n := read("guardsvc_capture_records_total", {"result": each}))}


@contextmanager
def capturing(path: Path, **more: Any) -> Iterator[Capturing]:
    running = Capturing(path, **more)
    running.capture.start()
    try:
        yield running
    finally:
        running.capture.stop(20)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def captured(data: bytes) -> CapturedOperation | SealedOperation:
    (line,) = read_lines([data + b"\n"], "test")
    assert isinstance(line, CapturedOperation | SealedOperation)
    return line


def test_digests_keep_names_and_nothing_that_was_sent() -> None:
    finding = Finding(rule="r", severity=Severity.HIGH, where="/arguments/q", excerpt=SECRET)
    refusing = outcome(verdict="deny", code="access_denied", findings=(finding,))
    data = Captor(KEY, worker="3", full=False, max_bytes=1024).line(
        decision("deny", refusing, operation=ASKED), 1.5, policy_name="main", size=77
    )
    assert SECRET.encode() not in data
    line = captured(data)

    assert isinstance(line, CapturedOperation)
    assert (line.time, line.worker, line.policy_name, line.size) == ("1970-01-01T00:00:01.500Z", "3", "main", 77)
    assert (line.subject, line.server, line.caller.principal, line.caller.verified) == (
        "search",
        "library",
        "ann",
        True,
    )
    assert (line.applied, line.reason, line.guard) == ("deny", "access_denied", "list")
    assert line.outcomes[0].rules[0].where == "/arguments/q"
    assert (line.withheld, bytes(line.payload), line.headers, line.path) == ("digests", b"null", (), "")
    other = Captor(CaptureKey(new_key()), worker="3", full=False, max_bytes=1024)
    again = captured(other.line(decision("deny", operation=ASKED), 1.5, policy_name="main", size=77))
    assert isinstance(again, CapturedOperation)
    assert line.payload_digest != again.payload_digest


def test_a_uri_is_shown_without_what_may_be_secret_and_says_so() -> None:
    uri = f"https://u:{SECRET}@host/path?key={SECRET}"
    asked = operation(method="resources/read", phase=Phase.RESOURCE_READ, subject=uri, payload={"uri": uri})
    data = Captor(KEY, worker="0", full=False, max_bytes=1024).line(
        decision(operation=asked), 1, policy_name="", size=1
    )

    assert SECRET.encode() not in data
    line = captured(data)
    assert isinstance(line, CapturedOperation)
    assert line.subject_cut


def test_full_records_are_sealed_and_bring_everything_back() -> None:
    data = Captor(KEY, worker="0", full=True, max_bytes=1 << 20).line(
        decision(operation=ASKED), 1, policy_name="main", size=77
    )
    sealed = captured(data)
    assert isinstance(sealed, SealedOperation)
    assert not any(word in data for word in (SECRET.encode(), b"search", b"library", b"ann", b"allow"))
    assert opened(sealed, {}) is sealed

    line = opened(sealed, {KEY.id: KEY})
    assert isinstance(line, CapturedOperation)
    back = restored(line, GatewayProtocol.EXT_AUTHZ)
    assert back == ASKED
    assert back.payload == PAYLOAD
    assert type(back.payload["arguments"]["f"]) is float
    assert back.headers.all("accept") == ("a", "b")


@pytest.mark.parametrize("member", ["sealed", "time", "decision_id"])
def test_a_sealed_record_that_was_changed_is_not_opened(member: str) -> None:
    data = Captor(KEY, worker="0", full=True, max_bytes=1 << 20).line(
        decision(operation=ASKED), 1, policy_name="", size=1
    )
    row = json.loads(data)
    row[member] = ("B" if row[member][0] == "A" else "A") + row[member][1:]

    with pytest.raises(OpeningError):
        opened(captured(json.dumps(row).encode()), {KEY.id: KEY})


def test_what_is_too_large_or_was_read_elsewhere_is_withheld() -> None:
    captor = Captor(KEY, worker="0", full=True, max_bytes=16)
    large = opened(captured(captor.line(decision(operation=ASKED), 1, policy_name="", size=1)), {KEY.id: KEY})
    assert isinstance(large, CapturedOperation)
    assert (large.withheld, bytes(large.payload)) == ("too_large", b"null")
    assert large.payload_digest is not None
    away = captor.line(decision(operation=ASKED, digests={}), 1, policy_name="", size=1)
    elsewhere = opened(captured(away), {KEY.id: KEY})
    assert isinstance(elsewhere, CapturedOperation)
    assert (elsewhere.withheld, elsewhere.payload_digest) == ("elsewhere", None)


@pytest.mark.parametrize("text", ["", "short", "A" * 43, "é" * 44, "AAAA" * 11 + "AAAA"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(KeyTextError):
        CaptureKey(text)


def test_every_key_is_another_one() -> None:
    assert CaptureKey(new_key()).id != CaptureKey(new_key()).id
    text = new_key()
    assert CaptureKey(text).id == CaptureKey(text + "\n").id


async def test_the_recorder_hands_on_what_it_captures(tmp_path: Path) -> None:
    with capturing(tmp_path / "c.jsonl") as running:
        recorder = CapturingRecorder(running.metrics, (), None, running.capture)
        decisions = [decision(id="a"), decision(id="b")]
        assert await recorder.keep(decisions, policy_name="p", size=3, deadline=perf_counter() + 1)

    assert [row["decision_id"] for row in lines(tmp_path / "c.jsonl")] == ["a", "b"]
    assert running.counts == {"written": 2}
    assert stat.S_IMODE((tmp_path / "c.jsonl").stat().st_mode) == 0o600


def test_what_there_is_no_room_for_is_counted_and_told_in_the_file(tmp_path: Path) -> None:
    running = Capturing(tmp_path / "c.jsonl", queue_records=16)
    for number in range(20):
        running.capture.take([decision(id=f"d{number}")], policy_name="", size=1)
    running.capture.start()
    running.capture.stop(20)

    assert running.counts == {"written": 16, "dropped": 4}
    rows = lines(tmp_path / "c.jsonl")
    assert [row["lost"] for row in rows if row["type"] == "gap"] == [4]


def test_bytes_that_wait_are_bounded(tmp_path: Path) -> None:
    running = Capturing(tmp_path / "c.jsonl", queue_bytes=1000)
    for _ in range(3):
        running.capture.take([decision()], policy_name="", size=600)

    assert running.counts == {"dropped": 2}


def test_a_share_is_drawn(tmp_path: Path) -> None:
    with capturing(tmp_path / "c.jsonl", sample=0.25, queue_records=10_000) as running:
        for _ in range(2000):
            running.capture.take([decision()], policy_name="", size=1)

    assert 350 < running.counts["written"] < 650


def test_files_rotate(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    with capturing(path, max_file_bytes=20_000, keep=2) as running:
        for number in range(300):
            running.capture.take([decision(id=f"d{number}")], policy_name="", size=1)

    assert running.counts == {"written": 300}
    assert {each.name for each in tmp_path.iterdir()} == {"c.jsonl", "c.jsonl.1", "c.jsonl.2"}
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in tmp_path.iterdir())
    assert lines(path)[-1]["decision_id"] == "d299"


def test_a_file_that_cannot_be_written_loses_records_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "none" / "c.jsonl"
    running = Capturing(path)
    running.capture.take([decision(id="a")], policy_name="", size=1)
    running.capture.start()
    running.capture.stop(20)

    assert running.counts == {"failed": 1}


def test_what_cannot_be_encoded_is_counted(tmp_path: Path) -> None:
    odd = decision(operation=operation(caller=Caller(tenant="\ud800")))
    with capturing(tmp_path / "c.jsonl") as running:
        running.capture.take([odd], policy_name="", size=1)
        running.capture.take([decision(id="b")], policy_name="", size=1)

    assert running.counts == {"written": 1, "failed": 1}


def test_a_last_line_that_was_cut_short_ends_a_file_and_any_other_is_an_error() -> None:
    data = Captor(KEY, worker="0", full=False, max_bytes=1).line(decision(), 1, policy_name="", size=1)

    assert len(list(read_lines([data + b"\n", data[:40]], "x"))) == 1
    with pytest.raises(CaptureFileError, match="line 1 is no captured operation"):
        list(read_lines([data[:40] + b"\n", data + b"\n"], "x"))


def test_kinds_and_words_come_back() -> None:
    asked = operation(kind=Kind.NOTIFICATION, method="notifications/initialized", phase=Phase.CONNECTION, subject=None)
    data = Captor(KEY, worker="0", full=True, max_bytes=9999).line(decision(operation=asked), 1, policy_name="", size=1)
    line = opened(captured(data), {KEY.id: KEY})

    assert isinstance(line, CapturedOperation)
    assert restored(line, GatewayProtocol.EXT_AUTHZ) == asked
