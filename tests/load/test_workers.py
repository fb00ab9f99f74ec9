"""Two workers: behind a real Envoy they share the load, and one that is killed is replaced beside the other."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from deploy.demo.bootstrap import GUARDSVC, MCP_SERVER, SHIPPED, SHIPPED_WORKERS, Bootstrap
from deploy.demo.services import Envoy
from tests.load.client import Pacer, connect, header_block, run, saturate, undisturbed
from tests.load.figures import CPUS, Figures, Stolen, best_of
from tests.load.memory import Memory
from tests.load.others import MESSAGE, answer_of, beside
from tests.server.process import serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.load.client import Call
    from tests.server.process import Running

pytestmark = pytest.mark.long

POLICY = Path(__file__).parents[1] / "e2e" / "policies" / "workers.yaml"
DENIED = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_everything","arguments":{}}}'
FIELDS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2025-06-18",
    "content-length": str(len(DENIED)),
}
NOWHERE = 9
"""The port of the MCP server, which no call reaches."""
SECONDS = 4.0
LEAST_SHARE = 0.35
RESTARTS = 'guardsvc_worker_restarts_total{{reason="ended",worker="{}"}}'
TIMES_ONE = 1.6
CPUS_NEEDED = 6
"""Two workers, Envoy, the client and the kernel's part of their traffic each want a core."""


def test_two_workers_behind_envoy(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with ExitStack() as running:
        _, one_envoy = running.enter_context(behind_envoy(tmp_path / "one", 1))
        two, two_envoy = running.enter_context(behind_envoy(tmp_path / "two", 2))
        run(_throughput(one_envoy, 0.5))
        run(_throughput(two_envoy, 0.5))

        def attempt() -> list[str]:
            stolen = Stolen()
            before = _decisions(two)
            single, pair = run(_throughput(one_envoy, SECONDS)), run(_throughput(two_envoy, SECONDS))
            shares = [after - share for share, after in zip(before, _decisions(two), strict=True)]
            ratio = pair / single
            tell(f"through Envoy: one worker {single:.0f}/s, two {pair:.0f}/s, {ratio:.2f} times; {stolen}")
            tell(f"shares of the two on one metrics page: {' and '.join(f'{s / sum(shares):.1%}' for s in shares)}")
            assert min(shares) >= LEAST_SHARE * sum(shares)
            if CPUS < CPUS_NEEDED:
                tell(f"{CPUS} CPUs for client, Envoy and workers: {TIMES_ONE} times is asked for from {CPUS_NEEDED} on")
                return []
            return [f"{ratio:.2f} times one worker"] if ratio < TIMES_ONE else []

        best_of(attempt, tell)


def test_a_worker_is_killed(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with serving(tmp_path, "--quiet", "--workers", "2") as service:
        memory = Memory(service)
        first, second = service.logs("ready")[0]["grpc"]
        asked: list[Call] = []
        back = 0.0

        async def kill() -> None:
            nonlocal back
            connections = await connect(first)
            pacer = Pacer(connections, MESSAGE, 300)
            ending = asyncio.create_task(pacer.run(1))
            await asyncio.sleep(0.5)
            killed = perf_counter()
            (pid,) = (log["pid"] for log in service.logs("worker_serving") if log["worker"] == 0)
            os.kill(pid, signal.SIGKILL)
            asked.extend(await ending)
            await asyncio.to_thread(service.wait_for_log, "worker_serving", 3)
            back = perf_counter() - killed
            connections = await connect(first)
            asked.extend(again := await Pacer(connections, MESSAGE, 300).run(1))
            connections[0].close()
            assert {answer_of(call) for call in again} == {"allow"}

        stolen = Stolen()
        with undisturbed():
            others = run(beside(second, kill))
        memory.look()
        lost = sum(call.answer is None for call in asked)
        tell(f"the killed worker serves again after {back:.1f} s; {lost} of its calls had no answer; {stolen}")
        tell(f"at the other worker: {others}")
        tell(str(memory))

        assert others.answers.keys() == {"allow"}
        wait_until(lambda: service.get("/readyz")[0] == 200, "ready again")
        assert [service.metric(RESTARTS.format(number)) for number in range(2)] == [1, 0]
        assert service.logs("worker_ended")[0]["cause"] == "SIGKILL"
        assert memory.peak <= memory.bound
        assert service.end() == 0


@contextmanager
def behind_envoy(folder: Path, workers: int) -> Iterator[tuple[Running, str]]:
    """The service and the address of an Envoy before it."""
    folder.mkdir()
    with serving(folder, "--quiet", "--config", str(POLICY), "--workers", str(workers)) as service:
        bootstrap = Bootstrap(SHIPPED if workers == 1 else SHIPPED_WORKERS)
        bootstrap.point(MCP_SERVER, NOWHERE)
        bootstrap.point(GUARDSVC, *(int(listening["default"].rpartition(":")[2]) for listening in _listeners(service)))
        envoy = Envoy(bootstrap, folder)
        envoy.start()
        try:
            envoy.wait()
            yield service, envoy.url().removeprefix("http://").partition("/")[0]
        finally:
            envoy.stop()


def _listeners(service: Running) -> list[dict[str, str]]:
    listeners: list[dict[str, str]] = service.logs("ready")[0]["listeners"]
    return listeners


def _decisions(service: Running) -> list[float]:
    page = service.get("/metrics")[1]
    found = dict(re.findall(r'guardsvc_worker_decisions_total\{worker="(\d)"\} (\S+)', page))
    return [float(found.get(str(number), 0)) for number in range(2)]


async def _throughput(envoy: str, seconds: float) -> float:
    connections = await connect(envoy, 4, headers=header_block("/mcp", envoy, FIELDS))
    calls = await saturate(connections, DENIED, each=16, seconds=seconds)
    for connection in connections:
        connection.close()
    assert all(call.answer is not None and b"access_denied" in call.answer for call in calls)
    assert Figures.of(calls).unanswered == 0
    return len(calls) / seconds
