"""A worker whose event loop hangs is found, killed and replaced; one that is slow, or is not to be watched, is not."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.packages.installed import environment, install
from tests.server.process import HANG, Running, call, check_request, gateway, serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


HANG_S = 1.0
RESTARTS = 'guardsvc_worker_restarts_total{{reason="{}",worker="0"}}'

SLOW = """
import time

from guardsvc.model import ALLOW, GuardType, Phase, Settings


class Slow:
    def __init__(self, settings, context):
        pass

    def evaluate(self, operation, facts):
        time.sleep(float(operation.subject))
        return ALLOW


SLOW = GuardType(name="slow", settings=Settings, build=Slow, runs_on=frozenset({Phase.TOOL_INVOKE}))
"""


@contextmanager
def watched(folder: Path, hang_s: float | None = HANG_S) -> Iterator[Running]:
    """Two workers with a guard that blocks the event loop for as many seconds as the tool's name says."""
    install(folder, "slow", SLOW, {"slow": "SLOW"})
    config = folder / "config.yaml"
    policy = {"deadline_ms": 60_000, "guards": [{"type": "slow"}]}
    config.write_text(json.dumps({"service": {"worker_hang_s": hang_s}, "policy": policy}))
    with serving(folder, "--workers", "2", "--config", str(config), env=environment(folder)) as running:
        yield running
        assert running.end() == 0


def pid(running: Running, worker: int) -> int:
    """The newest process of a worker."""
    found: int = [log for log in running.logs("worker_serving") if log["worker"] == worker][-1]["pid"]
    return found


def address(running: Running, worker: int) -> str:
    found: str = running.logs("ready")[0]["grpc"][worker]
    return found


def test_a_worker_that_is_stopped_is_replaced_while_the_other_answers(tmp_path: Path) -> None:
    with watched(tmp_path) as running:
        stopped = pid(running, 0)
        begun = time.monotonic()
        os.kill(stopped, signal.SIGSTOP)
        with gateway(address(running, 1)) as asking:
            while not running.logs("worker_hung"):
                assert asking.verdict(call("0")) == "allow"
                assert time.monotonic() - begun < HANG
                time.sleep(0.02)
        # The last beat may be an interval old when it stops.
        assert time.monotonic() - begun >= HANG_S / 2
        (hung,) = running.logs("worker_hung")
        assert (hung["worker"], hung["pid"], hung["silent_s"]) == (0, stopped, HANG_S)
        running.wait_for_log("worker_serving", 3)
        with gateway(address(running, 0)) as asking:
            assert asking.verdict(call("0")) == "allow"
        assert running.logs("worker_ended")[0]["cause"] == "SIGKILL"
        assert running.metric(RESTARTS.format("hung")) == 1
        assert running.metric(RESTARTS.format("ended")) == 0
        assert pid(running, 0) != stopped


def test_a_guard_that_blocks_the_event_loop_hangs_its_worker(tmp_path: Path) -> None:
    with watched(tmp_path) as running:
        with gateway(address(running, 0)) as asking:
            under_way = asking.check.future(check_request(call("600")), timeout=HANG)
            assert running.wait_for_log("worker_hung")["worker"] == 0
            assert under_way.exception() is not None
        running.wait_for_log("worker_serving", 3)
        assert running.metric(RESTARTS.format("hung")) == 1


def test_one_that_goes_on_in_time_is_left_alone(tmp_path: Path) -> None:
    with watched(tmp_path, 3.0) as running:
        for _ in range(2):
            os.kill(pid(running, 0), signal.SIGSTOP)
            time.sleep(1.0)
            os.kill(pid(running, 0), signal.SIGCONT)
            with gateway(address(running, 0)) as asking:
                asking.ask(call("1"))
                assert asking.verdict(call("0")) == "allow"
        assert running.logs("worker_hung") == []
        assert running.metric(RESTARTS.format("hung")) == 0


def test_without_a_limit_a_stopped_worker_is_left_alone(tmp_path: Path) -> None:
    with watched(tmp_path, None) as running:
        os.kill(pid(running, 0), signal.SIGSTOP)
        time.sleep(2 * HANG_S)
        assert running.logs("worker_hung") == []
        os.kill(pid(running, 0), signal.SIGCONT)
        with gateway(address(running, 0)) as asking:
            assert asking.verdict(call("0")) == "allow"


def test_a_service_that_was_stopped_as_a_whole_has_no_hung_worker(tmp_path: Path) -> None:
    hang_s = 2 * HANG_S  # nobody may be without the processor for so long of its own
    with watched(tmp_path, hang_s) as running:
        processes = [running.process.pid, pid(running, 0), pid(running, 1)]
        for each in processes:
            os.kill(each, signal.SIGSTOP)
        time.sleep(1.5 * hang_s)
        for each in processes:
            os.kill(each, signal.SIGCONT)
        time.sleep(1.2 * hang_s)
        assert running.logs("worker_hung") == []
        assert running.get("/readyz")[0] == 200


def test_a_worker_that_hangs_holds_up_no_reload(tmp_path: Path) -> None:
    with watched(tmp_path) as running:
        os.kill(pid(running, 0), signal.SIGSTOP)
        config = tmp_path / "config.yaml"
        config.write_text(config.read_text().replace("60000", "50000"))
        running.wait_for_log("policy_loaded")
        wait_until(lambda: running.get("/readyz")[0] == 200, "both serve the new policy")
        assert running.metric(RESTARTS.format("hung")) == 1


def test_a_worker_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("service: {worker_hang_s: null, shutdown_grace_s: 0}\npolicy: {}\n")
    with serving(tmp_path, "--workers", "2", "--config", str(config)) as running:
        os.kill(pid(running, 0), signal.SIGSTOP)
        assert running.end() == 0
        assert [log["pid"] for log in running.logs("worker_killed")] == [pid(running, 0)]
