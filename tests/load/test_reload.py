"""Reloads each second under a thousand decisions a second: no decision fails, waits, or is another policy's."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from guardsvc.server.configuration import load_configuration
from tests.load.client import Pacer, connect, run, undisturbed
from tests.load.figures import CPUS, Figures, Stolen, best_of
from tests.load.others import MESSAGE, answer_of
from tests.load.policies import broken, sizeable, written
from tests.server.process import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.load.client import Call
    from tests.server.process import Running

pytestmark = pytest.mark.long

RATES = (1000, 700, 500, 300)
RELOADS = 20
QUIET_S = 5
LONGEST_STALL_MS = 50.0
CLOCKS_AGREE_WITHIN = 0.05
"""Seconds between a swap and its line in the log, at most."""


def test_reload_under_load(tmp_path: Path, tell: Callable[[str], None]) -> None:
    file = tmp_path / "policy.yaml"
    good = {"allow": written(sizeable("allow")), "access_denied": written(sizeable("deny"))}
    file.write_bytes(good["allow"])
    cut, wrong = broken()
    contents = (good["access_denied"], cut, good["allow"], wrong)
    before = [0.0, 0.0]

    with serving(tmp_path, "--config", str(file)) as service:

        def attempt() -> list[str]:
            stolen = Stolen()
            with undisturbed():
                rate, quiet, loaded, late = run(_measure(service.grpc_address, file, contents))
            service.wait_for_metric("guardsvc_policy_stale", 1)
            found = Figures.of(quiet), Figures.of(loaded)
            swaps = [service.metric(f'guardsvc_policy_reloads_total{{result="{r}"}}') for r in ("loaded", "failed")]
            tell(f"{rate} decisions/s on {CPUS} CPUs, client at most {late * 1000:.1f} ms late, {stolen}")
            tell(f"quiet  {found[0]}")
            tell(f"reload {found[1]}; p99 {found[1].p99 / found[0].p99:.2f} times quiet")
            tell(f"{swaps[0] - before[0]:.0f} policies put in force, {swaps[1] - before[1]:.0f} refused")

            assert (swaps[0] - before[0], swaps[1] - before[1]) == (RELOADS / 2, RELOADS / 2)
            assert [figures.unanswered for figures in found] == [0, 0]
            _check_answers(service, quiet + loaded, file, good)
            before[:] = swaps
            return _missed(*found)

        best_of(attempt, tell)
        file.write_bytes(good["access_denied"])
        service.wait_for_metric("guardsvc_policy_stale", 0)


async def _measure(
    address: str, file: Path, contents: tuple[bytes, ...]
) -> tuple[float, list[Call], list[Call], float]:
    connections = await connect(address, 2)
    for rate in RATES:
        pacer = Pacer(connections, MESSAGE, rate)
        if Figures.of(await pacer.run(2)).p50 < LONGEST_STALL_MS / 10:
            break
    pacer.latest = 0.0
    quiet = await pacer.run(QUIET_S)
    reloading = asyncio.create_task(_reload(file, contents))
    loaded = await pacer.run(RELOADS)
    await reloading
    for connection in connections:
        connection.close()
    return rate, quiet, loaded, pacer.latest


async def _reload(file: Path, contents: tuple[bytes, ...]) -> None:
    begun = asyncio.get_running_loop().time()
    for number in range(RELOADS):
        await asyncio.sleep(begun + number - asyncio.get_running_loop().time())
        new = file.with_name("new")
        new.write_bytes(contents[number % len(contents)])
        new.replace(file)


def _check_answers(service: Running, calls: list[Call], file: Path, good: dict[str, bytes]) -> None:
    """Each answer is that of a policy which was in force while the call was under way."""
    answers = {load_configuration(file, content=content).policy.hash: answer for answer, content in good.items()}
    swaps = [*service.logs("ready"), *service.logs("policy_loaded")]
    began = [datetime.fromisoformat(event["timestamp"]).timestamp() for event in swaps]
    in_force = [answers[event["policy"]] for event in swaps]
    clocks = time.time() - time.perf_counter()
    for call in calls:
        first = bisect_right(began, call.due + clocks - CLOCKS_AGREE_WITHIN) - 1
        last = bisect_right(began, call.ended + clocks + CLOCKS_AGREE_WITHIN) - 1
        assert answer_of(call) in in_force[max(first, 0) : last + 1]


def _missed(quiet: Figures, loaded: Figures) -> list[str]:
    missed = []
    if loaded.p99 > 3 * quiet.p99:
        missed.append(f"p99 {loaded.p99:.2f} ms is more than 3 times {quiet.p99:.2f} ms")
    if loaded.worst > LONGEST_STALL_MS:
        missed.append(f"a call took {loaded.worst:.1f} ms")
    return missed
