"""Workers begin and end: a killed one is replaced, and a signal ends all and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from guardsvc.observe.tally import POUR_WITHIN
from tests.packages.installed import environment, install, install_handmade
from tests.server.policies import small
from tests.server.process import (
    ANYWHERE,
    HANG,
    call,
    check_request,
    gateway,
    launched,
    serving,
    wait_until,
)
from tests.server.test_shutdown import write_gated_policy
from tests.server.workers.asked import (
    ALLOWED,
    MOODY,
    addresses,
    children,
    is_there,
    moody,
    pids,
    ready,
    verdicts,
)


def test_a_killed_worker_is_replaced_and_counted_while_the_other_answers(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", *small(tmp_path)) as running:
        first, second = addresses(running)
        assert verdicts(running, "any") == ["allow", "allow"]
        with gateway(second) as asking:
            os.kill(pids(running)[0], signal.SIGKILL)
            wait_until(lambda: not ready(running), "not ready")
            while not ready(running):
                assert asking.verdict(call()) == "allow"
        assert running.logs("worker_ended")[0]["cause"] == "SIGKILL"
        assert running.metric('guardsvc_worker_restarts_total{reason="ended",worker="0"}') == 1
        assert running.metric('guardsvc_worker_restarts_total{reason="ended",worker="1"}') == 0
        assert running.metric('guardsvc_workers{state="serving"}') == 2

        assert addresses(running) == [first, second]
        time.sleep(2 * POUR_WITHIN)
        before = running.metric(ALLOWED)
        assert before >= 3
        assert verdicts(running, "any") == ["allow", "allow"]
        running.wait_for_metric(ALLOWED, before + 2)
        assert running.end() == 0


def test_a_worker_that_is_killed_with_a_decision_under_way_leaves_none_in_flight(tmp_path: Path) -> None:
    install_handmade(tmp_path)
    config, gate = write_gated_policy(tmp_path)
    with serving(tmp_path, "--workers", "2", "--config", str(config), env=environment(tmp_path)) as running:
        with gateway(addresses(running)[1]) as asking:
            under_way = asking.check.future(check_request(call()), timeout=HANG)
            wait_until((gate / "came-1").exists, "the decision has begun")
            running.wait_for_metric("guardsvc_inflight", 1)
            os.kill(pids(running)[1], signal.SIGKILL)
            assert under_way.exception() is not None
        wait_until(lambda: ready(running), "ready again")
        running.wait_for_metric("guardsvc_inflight", 0)
        assert running.end() == 0


def test_a_worker_that_keeps_ending_is_replaced_more_and_more_slowly(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", *small(tmp_path)) as running:
        for count in range(1, 4):
            os.kill(pids(running)[0], signal.SIGTERM if count == 2 else signal.SIGKILL)
            running.wait_for_log("worker_serving", 2 + count)
        causes = [log["cause"] for log in running.logs("worker_ended")]
        assert causes == ["SIGKILL", "exit code 0", "SIGKILL"]
        assert running.metric('guardsvc_worker_restarts_total{reason="ended",worker="0"}') == 3
        assert running.end() == 0


@pytest.mark.parametrize(("mood", "code", "told"), [("one fails", 3, "not in this mood"), ("all die", 5, "worker ")])
def test_a_worker_that_cannot_start_ends_the_service(tmp_path: Path, mood: str, code: int, told: str) -> None:
    install(tmp_path, "moods", MOODY, {"moody": "MOODY"})
    config = tmp_path / "config.yaml"
    config.write_text(moody(tmp_path, mood))
    args = (*ANYWHERE, "--workers", "2", "--config", str(config))
    with launched(tmp_path, *args, env=environment(tmp_path)) as running:
        assert running.wait() == code

    assert told in running.stderr
    assert running.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path, "--workers", "3", *small(tmp_path)) as running:
        running.signal(number)
        assert running.wait() == 0

        assert [log.get("worker") for log in running.logs("stopped")][-1] is None
        assert {log.get("worker") for log in running.logs("stopped")} == {0, 1, 2, None}
        assert running.logs("worker_ended") == []
        assert not any(is_there(pid) for pid in pids(running).values())


def test_a_signal_to_the_whole_group_ends_all(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", *small(tmp_path)) as running:
        for pid in (*pids(running).values(), running.process.pid):
            os.kill(pid, signal.SIGINT)
        assert running.wait() == 0
        assert running.logs("worker_ended") == []


def test_a_signal_during_the_start_ends_all(tmp_path: Path) -> None:
    with launched(tmp_path, *ANYWHERE, "--workers", "2", *small(tmp_path)) as running:
        wait_until(lambda: children(running.process.pid), "a worker begins")
        begun = children(running.process.pid)
        running.signal(signal.SIGTERM)
        assert running.wait() in (0, -signal.SIGTERM)
        wait_until(lambda: not any(map(is_there, begun)), "none is left")


def test_decisions_under_way_finish_in_all_workers(tmp_path: Path) -> None:
    install_handmade(tmp_path)
    config, gate = write_gated_policy(tmp_path)
    with serving(tmp_path, "--workers", "2", "--config", str(config), env=environment(tmp_path)) as running:
        first, second = addresses(running)
        with gateway(first) as one, gateway(second) as other:
            under_way = [
                asking.check.future(check_request(call(number=number)), timeout=HANG)
                for number, asking in enumerate((one, other), start=1)
            ]
            wait_until((gate / "came-1").exists, "the first has begun")
            wait_until((gate / "came-2").exists, "the second has begun")
            running.signal(signal.SIGTERM)
            wait_until(lambda: not ready(running), "not ready")
            (gate / "open").touch()
            assert [each.result().status.code for each in under_way] == [0, 0]
        assert running.wait() == 0


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    variables = environment(TMPDIR=str(tmp_path))
    with serving(tmp_path, "--workers", "2", *small(tmp_path), env=variables) as running:
        assert len(list(tmp_path.glob("guardsvc-metrics-*"))) == 1
        running.signal(signal.SIGKILL)
        running.wait()
        wait_until(lambda: not any(map(is_there, pids(running).values())), "the workers have ended")

    assert {log["worker"] for log in running.logs("supervisor_gone")} == {0, 1}
    assert list(tmp_path.glob("guardsvc-metrics-*")) == []


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", *small(tmp_path), env=environment(TMPDIR=str(tmp_path))) as running:
        (folder,) = tmp_path.glob("guardsvc-metrics-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert running.end() == 0
        assert not folder.exists()
