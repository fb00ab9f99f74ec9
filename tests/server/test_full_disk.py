"""The audit on a file system that is really full: what is answered, what is lost, and what the files say afterwards."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.cli.exit_codes import ExitCode
from tests.cli.command import run_here
from tests.packages.installed import environment
from tests.server.full_disk import Disk, mounted
from tests.server.process import ANYWHERE, Running, call, gateway, launched, serving, wait_until
from tests.server.test_audit import SECRET, configured

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT = 32_768
"""Bytes of room for some records before the file system is full."""
RESULT = 'guardsvc_audit_records_total{{result="{}"}}'
BROKEN = "guardsvc_audit_broken"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk") as mount:
        yield mount


def options(folder: Path, disk: Disk, **audit: Any) -> tuple[str, str]:
    """The options for a configuration in this folder whose audit is on the disk."""
    folder.mkdir(exist_ok=True)
    return configured(folder, path=str(disk.folder / "audit.jsonl"), queue_records=64, **audit)


def ask(running: Running, *tools: str, address: str | None = None) -> list[str]:
    with gateway(address or running.grpc_address) as asking:
        return [asking.verdict(call(tool, number)) for number, tool in enumerate(tools)]


def verified(disk: Disk) -> dict[str, Any]:
    """What ``guardsvc audit verify`` says of all files on the disk."""
    files = sorted(disk.folder.glob("audit*.jsonl*"))
    answer = run_here(
        "audit", "verify", "--output", "json", "--key", "k1=env:AUDIT_KEY", *files, env=environment(AUDIT_KEY=SECRET)
    )
    assert answer.err == ""
    report = answer.object
    assert (answer.code, report["breaks"]) == (0, [])
    return report


def applied(disk: Disk) -> list[tuple[str, str | None]]:
    """What was applied and why, of every decision on record."""
    lines = (disk.folder / "audit.jsonl").read_bytes().splitlines()
    return [(each["applied"], each.get("reason")) for each in map(json.loads, lines) if each["type"] == "decision"]


def test_best_effort_answers_and_says_what_was_lost(tmp_path: Path, disk: Disk) -> None:
    with serving(tmp_path, *options(tmp_path, disk)) as running:
        disk.fill(LEFT)
        assert set(ask(running, *["echo"] * 300)) == {"allow"}
        running.wait_for_metric(BROKEN, 1)
        assert "No space left on device" in running.logs("audit_broken")[0]["reason"]
        dropped = running.metric(RESULT.format("dropped"))
        assert dropped > 0
        on_disk = verified(disk)
        assert on_disk["decisions"] == running.metric(RESULT.format("written")) > 0
        assert on_disk["decisions"] + running.metric("guardsvc_audit_queue") + dropped == 300
        assert ask(running, "other") == ["access_denied"]
        assert running.get("/readyz")[0] == 200

        disk.clear()
        running.wait_for_metric(BROKEN, 0)
        assert ask(running, "echo") == ["allow"]
        assert running.end() == 0
    report = verified(disk)

    assert report["lost"] == sum(log["lost"] for log in running.logs("audit_gap")) >= dropped
    assert report["decisions"] + report["lost"] == 302
    assert applied(disk)[-1] == ("allow", None)
    assert len(running.logs("audit_broken")) == len(running.logs("audit_mended")) == 1


def test_required_denies_what_it_cannot_record_until_there_is_room(tmp_path: Path, disk: Disk) -> None:
    with serving(tmp_path, *options(tmp_path, disk, mode="required")) as running:
        disk.fill(LEFT)
        verdicts = ask(running, *["echo"] * 100)
        first = verdicts.index("audit_unavailable")
        assert set(verdicts[:first]) == {"allow"}
        assert set(verdicts[first:]) == {"audit_unavailable"}
        assert ask(running, "other") == ["access_denied"]
        assert running.metric(BROKEN) == 1
        assert verified(disk)["decisions"] == first

        disk.clear()
        running.wait_for_metric(BROKEN, 0)
        assert ask(running, "echo") == ["allow"]
        assert running.end() == 0
    report, told = verified(disk), applied(disk)

    assert [each for each in told if each[0] == "allow"] == [("allow", None)] * (first + 1)
    assert told[first + 1 : -1].count(("deny", "access_denied")) + report["lost"] >= 1
    assert len(told) + report["lost"] == 102


@pytest.mark.parametrize("mode", ["best_effort", "required"])
def test_it_fills_up_and_is_freed_again_and_again(tmp_path: Path, disk: Disk, mode: str) -> None:
    asked = 0
    with serving(tmp_path, *options(tmp_path, disk, mode=mode)) as running:
        for left in (0, 4096, 12_288):
            disk.fill(left)
            ask(running, *["echo"] * 40)
            running.wait_for_metric(BROKEN, 1)
            verified(disk)
            disk.clear()
            running.wait_for_metric(BROKEN, 0)
            asked += 40
        assert running.end() == 0
    report = verified(disk)

    assert report["decisions"] + report["lost"] == asked
    assert len(report["chains"]) == 1


@pytest.mark.parametrize("mode", ["best_effort", "required"])
def test_what_is_not_written_by_the_end_is_counted(tmp_path: Path, disk: Disk, mode: str) -> None:
    with serving(tmp_path, *options(tmp_path, disk, mode=mode)) as running:
        disk.fill()
        verdicts = ask(running, *["echo"] * 20)
        assert verdicts[-1] == ("allow" if mode == "best_effort" else "audit_unavailable")
        running.wait_for_metric(BROKEN, 1)
        assert running.end() == 0
        (stopped,) = running.logs("audit_stopped")
    on_disk = applied(disk)

    assert stopped["unwritten"] + len(on_disk) == 20
    if mode == "required":
        assert on_disk.count(("allow", None)) == verdicts.count("allow")


@pytest.mark.parametrize("mode", ["best_effort", "required"])
def test_killed_on_a_full_disk_the_next_one_goes_on(tmp_path: Path, disk: Disk, mode: str) -> None:
    settings = options(tmp_path / "config", disk, mode=mode)
    for life in ("first", "second"):
        folder = tmp_path / life
        folder.mkdir()
        with serving(folder, *settings) as running:
            assert ask(running, "echo") == ["allow"]
            wait_until(lambda: running.metric(RESULT.format("written")) >= 1, "written")
            disk.fill(1024)
            ask(running, *["echo"] * 30)
            running.wait_for_metric(BROKEN, 1)
            running.signal(signal.SIGKILL)
            running.wait()
        disk.clear()
    assert len(verified(disk)["chains"]) == 1


def test_started_on_a_full_disk_best_effort_waits_for_room(tmp_path: Path, disk: Disk) -> None:
    disk.fill()
    with serving(tmp_path, *options(tmp_path, disk)) as running:
        assert ask(running, "echo") == ["allow"]
        running.wait_for_metric(BROKEN, 1)
        disk.clear()
        running.wait_for_metric(BROKEN, 0)
        assert running.end() == 0
    assert verified(disk)["decisions"] == 1


def test_started_on_a_full_disk_required_does_not_serve_or_denies(tmp_path: Path, disk: Disk) -> None:
    disk.fill()
    with launched(tmp_path, *ANYWHERE, *options(tmp_path, disk, mode="required")) as running:
        wait_until(lambda: running.process.poll() is not None or "ready" in running.stderr, "started or ended")
        if running.process.poll() is not None:
            assert running.process.returncode == ExitCode.UNAVAILABLE
            return
        running.wait_for_log("ready")
        assert ask(running, "echo") == ["audit_unavailable"]
        disk.clear()
        running.wait_for_metric(BROKEN, 0)
        assert ask(running, "echo") == ["allow"]
        assert running.end() == 0
    verified(disk)


def test_rotation_goes_on_where_it_stopped(tmp_path: Path, disk: Disk) -> None:
    with serving(tmp_path, *options(tmp_path, disk, max_bytes=1 << 20, keep=3)) as running:
        disk.fill(LEFT)
        ask(running, *["echo"] * 60)
        running.wait_for_metric(BROKEN, 1)
        (disk.folder / "audit.jsonl").rename(disk.folder / "audit.jsonl.1")
        ask(running, "echo")
        disk.clear()
        running.wait_for_metric(BROKEN, 0)
        assert running.end() == 0
    report = verified(disk)
    assert report["decisions"] + report["lost"] == 61
    assert len(report["chains"]) == 1


def test_workers_go_on_though_the_folder_of_their_metrics_is_full_too(tmp_path: Path, disk: Disk) -> None:
    settings = configured(tmp_path, path=str(disk.folder / "audit-{worker}.jsonl"), queue_records=64)
    env = environment(TMPDIR=str(disk.folder))
    with serving(tmp_path, "--workers", "2", *settings, env=env) as running:
        addresses = running.logs("ready")[0]["grpc"]
        disk.fill(LEFT)
        for address in addresses:
            assert set(ask(running, *["echo"] * 150, address=address)) == {"allow"}
            assert ask(running, "other", address=address) == ["access_denied"]
        running.wait_for_metric(BROKEN, 2)
        assert running.logs("worker_ended") == []
        os.kill(running.logs("worker_serving")[0]["pid"], signal.SIGKILL)
        running.wait_for_log("worker_serving", 3)
        for address in addresses:
            assert ask(running, "echo", "other", address=address) == ["allow", "access_denied"]

        disk.clear()
        running.wait_for_metric(BROKEN, 0)
        assert running.end() == 0
    verified(disk)
