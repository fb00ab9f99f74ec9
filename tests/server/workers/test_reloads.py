"""Reloads of several workers: all have the new policy or none."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.packages.installed import environment, install
from tests.server.policies import allowing
from tests.server.process import (
    call,
    gateway,
    serving,
    wait_until,
)
from tests.server.workers.asked import (
    MOODY,
    addresses,
    in_force,
    moody,
    pids,
    ready,
    verdicts,
)

RELOADS = 'guardsvc_policy_reloads_total{{result="{}"}}'
BAD = "policy: {guards: [{type: access_lost}]}\n"


def test_a_reload_reaches_all_or_none(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--workers", "2", "--config", str(config)) as running:
        assert verdicts(running, "old") == ["allow", "allow"]
        for count, tool in enumerate(("new", "newer", "newest"), start=1):
            config.write_text(BAD)
            running.wait_for_log("reload_failed", count)
            assert running.metric("guardsvc_policy_stale") == 1
            assert ready(running)
            config.write_text(allowing(tool))
            log = running.wait_for_log("policy_loaded", count)
            assert verdicts(running, tool) == ["allow", "allow"]
            assert verdicts(running, "old") == ["access_denied", "access_denied"]
            assert json.loads(running.get("/readyz")[1])["policy"] == log["policy"]
            assert running.metric("guardsvc_policy_stale") == 0

        assert running.metric(RELOADS.format("failed")) == 3
        assert running.metric(RELOADS.format("loaded")) == 3
        running.signal(signal.SIGHUP)
        running.wait_for_metric(RELOADS.format("unchanged"), 1)
        assert running.end() == 0
    assert {log.get("worker") for log in running.logs("policy_loaded")} == {None}


def test_no_decision_is_wrong_during_rapid_reloads(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("both", "old"))
    with serving(tmp_path, "--workers", "2", "--quiet", "--config", str(config)) as running:
        with gateway(addresses(running)[0]) as one, gateway(addresses(running)[1]) as other:
            for number in range(30):
                draft = tmp_path / "draft"
                draft.write_text(BAD if number % 3 == 0 else allowing("both", "new" if number % 2 else "old"))
                draft.rename(config)
                running.signal(signal.SIGHUP)
                for asking in (one, other):
                    assert asking.verdict(call("both")) == "allow"
                    assert asking.verdict(call("neither")) == "access_denied"
        running.wait_for_log("policy_loaded")
        wait_until(lambda: in_force(running, "new"), "the last one in force")
        assert running.end() == 0


def test_a_replaced_worker_takes_the_last_good_policy(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--workers", "2", "--config", str(config)) as running:
        config.write_text(allowing("new"))
        running.wait_for_log("policy_loaded")
        config.write_text(BAD)
        running.wait_for_log("reload_failed")
        os.kill(pids(running)[0], signal.SIGKILL)
        running.wait_for_log("worker_serving", 3)

        assert verdicts(running, "new") == ["allow", "allow"]
        assert verdicts(running, "old") == ["access_denied", "access_denied"]
        assert ready(running)
        assert running.end() == 0


@pytest.mark.parametrize(("mood", "told"), [("one fails", "not in this mood"), ("all die", "ended")])
def test_what_a_worker_cannot_load_comes_into_force_nowhere(tmp_path: Path, mood: str, told: str) -> None:
    install(tmp_path, "moods", MOODY, {"moody": "MOODY"})
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--workers", "2", "--config", str(config), env=environment(tmp_path)) as running:
        before = running.get("/version")[1]
        config.write_text(moody(tmp_path, mood))
        failed = running.wait_for_log("reload_failed")

        assert told in failed["problems"][0]
        assert failed["problems"][0].startswith("worker ")
        assert running.metric("guardsvc_policy_stale") == 1
        wait_until(lambda: ready(running), "ready")
        assert running.get("/version")[1] == before
        assert verdicts(running, "old") == ["allow", "allow"]
        assert verdicts(running, "new") == ["access_denied", "access_denied"]

        config.write_text(allowing("new"))
        running.wait_for_log("policy_loaded")
        assert verdicts(running, "new") == ["allow", "allow"]
        assert running.end() == 0


def test_the_log_level_is_that_of_all(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--workers", "2", "--config", str(config)) as running:
        config.write_text(allowing("newer", log={"level": "error"}))
        wait_until(lambda: running.metric(RELOADS.format("loaded")) == 1, "reload")
        verdicts(running, "old")
        running.signal(signal.SIGUSR1)
        running.wait_for_log("log_level")
        os.kill(pids(running)[0], signal.SIGKILL)
        running.wait_for_log("worker_serving", 3)
        verdicts(running, "new")
        running.wait_for_log("decision", 2)
        running.signal(signal.SIGUSR1)
        config.write_text(allowing("newest", log={"level": "info"}))
        wait_until(lambda: running.metric(RELOADS.format("loaded")) == 2, "reload")
        verdicts(running, "old")
        running.wait_for_log("decision", 4)
        assert running.end() == 0
    assert [(log["worker"], log["subject"]) for log in running.logs("decision")] == [
        (0, "new"),
        (1, "new"),
        (0, "old"),
        (1, "old"),
    ]
