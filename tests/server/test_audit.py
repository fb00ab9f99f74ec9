"""The audit of a running service: every decision is in it, whatever happens to the file and the process."""

from __future__ import annotations

import json
import os
import resource
import signal
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.observe.audit import AuditKey
from guardsvc.observe.audit.verify import Report, verify
from guardsvc.server.audit import audit_options
from guardsvc.server.audit_settings import AuditSettings
from tests.cli.command import run_here
from tests.server.process import ANYWHERE, Running, call, gateway, launched, serving, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sixteen letters!"
KEYS = {"k1": AuditKey("k1", SECRET.encode())}
TOOL_POLICY = {
    "name": "main",
    "guards": [
        {
            "type": "access_list",
            "settings": {
                "unknown_server": "allow",
                "default": "deny",
                "rules": [{"action": "allow", "tools": ["echo"]}],
            },
        }
    ],
}


def configured(folder: Path, *, shadow: bool = False, **audit: Any) -> tuple[str, str]:
    """The options for a configuration with an audit in this folder."""
    config = folder / "config.json"
    settings = {
        "output": "file",
        "path": str(folder / "audit.jsonl"),
        "keys": [{"id": "k1", "secret": SECRET}],
        **audit,
    }
    policy = {**TOOL_POLICY, "mode": "shadow"} if shadow else TOOL_POLICY
    config.write_text(json.dumps({"service": {"audit": settings, "shutdown_grace_s": 2}, "policy": policy}))
    return "--config", str(config)


def records(path: Path) -> list[dict[str, Any]]:
    return [record for record in map(json.loads, path.read_bytes().splitlines()) if record["type"] == "decision"]


def whole(*paths: Path) -> Report:
    report = verify([str(path) for path in paths], KEYS)
    assert report.breaks == []
    return report


def ask(running: Running, *tools: str) -> list[str]:
    with gateway(running.grpc_address) as asking:
        return [asking.verdict(call(tool, number)) for number, tool in enumerate(tools)]


def test_every_decision_is_in_the_file_when_the_service_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with serving(tmp_path, *configured(tmp_path)) as running:
        assert ask(running, *["echo"] * 200, "other") == ["allow"] * 200 + ["access_denied"]
        assert running.end() == 0
    report = whole(path)
    last = records(path)[-1]

    assert report.decisions == 201
    assert (last["reason"], last["guard"], last["policy_name"], last["size"]) == (
        "access_denied",
        "access_list",
        "main",
        len(call("other", 200)),
    )
    (refused,) = running.logs("decision")
    assert refused["decision_id"] == last["decision_id"]
    (stopped,) = running.logs("audit_stopped")
    end = next(iter(report.chains.values()))
    assert (stopped["chain"], stopped["seq"], stopped["mac"]) == (end.chain, end.seq, end.mac)
    assert SECRET not in path.read_text() + running.stderr


def test_metrics_show_the_audit(tmp_path: Path) -> None:
    with serving(tmp_path, *configured(tmp_path, mode="required")) as running:
        assert running.metric("guardsvc_audit_broken") == 0
        ask(running, "echo", "echo")
        assert running.metric('guardsvc_audit_records_total{result="written"}') == 2


def test_a_killed_service_goes_on_with_its_chain(tmp_path: Path) -> None:
    options = configured(tmp_path, mode="required")
    for life in ("first", "second"):
        folder = tmp_path / life
        folder.mkdir()
        with serving(folder, *options) as running:
            assert ask(running, "echo", "echo") == ["allow", "allow"]
            running.signal(signal.SIGKILL)
            running.wait()
    report = whole(tmp_path / "audit.jsonl")

    assert (report.decisions, len(report.chains)) == (4, 1)


def test_standard_output_has_records_and_nothing_else(tmp_path: Path) -> None:
    with serving(tmp_path, *configured(tmp_path, output="stdout", path=None)) as running:
        ask(running, "echo", "other")
        assert running.end() == 0
        lines = [json.loads(line) for line in running.stdout.splitlines()]

    assert [line["type"] for line in lines] == ["chain_start", "decision", "decision"]
    whole(tmp_path / "process" / "stdout")


def test_logrotate_s_way_of_rotating(tmp_path: Path) -> None:
    path, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl-20260930"
    with serving(tmp_path, *configured(tmp_path, max_bytes=None)) as running:
        ask(running, "echo")
        wait_until(lambda: running.metric('guardsvc_audit_records_total{result="written"}') == 1, "written")
        path.rename(moved)
        running.signal(signal.SIGHUP)
        ask(running, "echo")
        assert running.end() == 0

    assert (len(records(moved)), len(records(path))) == (1, 1)
    assert whole(path, moved).notes == []


def test_a_full_disk_denies_what_must_be_recorded_and_nothing_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with serving(tmp_path, *configured(tmp_path, mode="required")) as running:
        pid = running.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (30_000, before[1]))
        with gateway(running.grpc_address) as asking:
            verdicts = [asking.verdict(call()) for _ in range(80)]
            assert set(verdicts) == {"allow", "audit_unavailable"}
            first = verdicts.index("audit_unavailable")
            assert "allow" not in verdicts[first:]
            assert asking.verdict(call("other")) == "access_denied", "a refusal stays what it is"
            answer = json.loads(asking.ask(call(number=7)).denied_response.body)
            assert (answer["id"], answer["error"]["code"]) == (7, -32603)
            assert answer["error"]["message"] == "The decision cannot be recorded."
        assert running.metric("guardsvc_audit_broken") == 1
        assert running.metric('guardsvc_denials_total{reason="audit_unavailable"}') == len(verdicts) - first + 1
        assert running.get("/readyz")[0] == 200
        whole(path)

        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        running.wait_for_metric("guardsvc_audit_broken", 0)
        assert ask(running, "echo") == ["allow"]
        assert running.end() == 0
    report = whole(path)

    assert len(running.logs("audit_broken")) == len(running.logs("audit_mended")) == 1
    assert report.lost == 0
    applied = [record["applied"] for record in records(path)]
    assert applied == ["allow"] * first + ["deny"] * (len(verdicts) - first + 2) + ["allow"]


def test_a_full_disk_stops_nothing_in_best_effort(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with serving(tmp_path, *configured(tmp_path, queue_records=64)) as running:
        pid = running.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (30_000, before[1]))
        assert set(ask(running, *["echo"] * 300)) == {"allow"}
        assert running.metric('guardsvc_audit_records_total{result="dropped"}') > 0
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        running.wait_for_metric("guardsvc_audit_broken", 0)
        ask(running, "echo")
        assert running.end() == 0
    report = whole(path)

    assert report.decisions + report.lost == 301
    assert report.lost > 0


def test_a_shadow_policy_denies_nothing_for_want_of_records(tmp_path: Path) -> None:
    with serving(tmp_path, *configured(tmp_path, mode="required", shadow=True)) as running:
        pid = running.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (30_000, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]))
        with gateway(running.grpc_address) as asking:
            assert {asking.ask(call()).status.code for _ in range(80)} == {0}
        assert running.metric('guardsvc_denials_total{reason="audit_unavailable"}') > 0


def test_a_reader_that_stops_reading_does_not_hold_up_the_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with serving(tmp_path, *configured(tmp_path, path=str(pipe))) as running:
            assert set(ask(running, *["echo"] * 300)) == {"allow"}
            assert running.end() == 0
            (stopped,) = running.logs("audit_stopped")
    finally:
        os.close(fd)

    assert stopped["unwritten"] > 0


@pytest.mark.parametrize("mode", ["required", "best_effort"])
def test_a_file_that_cannot_be_opened(tmp_path: Path, mode: str) -> None:
    options = configured(tmp_path, mode=mode, path=str(tmp_path / "missing" / "audit.jsonl"))
    if mode == "required":
        with launched(tmp_path, *ANYWHERE, *options) as running:
            assert running.wait() == 4
        assert "the audit is required, and " in running.stderr
        return
    with serving(tmp_path, *options) as running:
        assert ask(running, "echo") == ["allow"]
        assert running.metric("guardsvc_audit_broken") == 1
        (tmp_path / "missing").mkdir()
        running.wait_for_metric("guardsvc_audit_broken", 0)
        assert running.end() == 0
    assert whole(tmp_path / "missing" / "audit.jsonl").decisions == 1


def test_each_worker_has_a_file_and_a_chain(tmp_path: Path) -> None:
    options = configured(tmp_path, path=str(tmp_path / "audit-{worker}.jsonl"))
    with serving(tmp_path, *options, "--workers", "2") as running:
        for address in running.logs("ready")[0]["grpc"]:
            with gateway(address) as asking:
                assert asking.verdict(call()) == "allow"
        assert running.end() == 0
    paths = [tmp_path / f"audit-{number}.jsonl" for number in (0, 1)]

    assert [record["worker"] for path in paths for record in records(path)] == ["0", "1"]
    assert len(whole(*paths).chains) == 2


def test_the_path_names_the_worker() -> None:
    keys = ({"id": "k1", "secret": SECRET},)
    settings = AuditSettings.model_validate({"output": "file", "path": "/x/{worker}.jsonl", "keys": keys})
    options = audit_options(settings, 3)
    assert options is not None
    assert (options.path, options.worker) == ("/x/3.jsonl", "3")
    assert audit_options(AuditSettings()) is None


@pytest.mark.parametrize(
    ("audit", "problem"),
    [
        ({"output": "file"}, "service.audit.path: the key is missing"),
        ({"output": "stdout", "keys": []}, "service.audit.keys: the list is empty"),
        ({"output": "stdout", "keys": [{"id": "a b", "secret": SECRET}]}, "service.audit.keys[0].id"),
        ({"output": "stdout", "keys": [{"id": "a", "secret": "short"}]}, "shorter than 16 characters"),
        ({"output": "stdout", "keys": [{"id": "a", "secret": SECRET}] * 2}, "is the id of another key too"),
        (
            {"output": "stdout", "keys": [{"id": "a", "secret": SECRET}], "queue_bytes": 1048576},
            "is less than two bodies of policy.integrity.max_bytes 1048576",
        ),
        ({"output": "syslog"}, "is not one of none, file, stdout"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, audit: dict[str, Any], problem: str) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"service": {"audit": audit}, "policy": TOOL_POLICY}))
    refused = run_here("validate", config)

    assert refused.code == 3
    assert problem in refused.err
    assert SECRET not in refused.err


def test_several_workers_need_several_files(tmp_path: Path) -> None:
    with launched(tmp_path, *configured(tmp_path), "--workers", "2") as running:
        assert running.wait() == 3

    assert "is one file for 2 workers; put {worker} in it" in running.stderr
