"""WASM guards under load: modules swapped each second fail no decision, a guard in quarantine holds up no other."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.guards.wasm.components import ANSWER, answer_of, component
from tests.load.client import Pacer, connect, framed, run, undisturbed
from tests.load.figures import CPUS, Figures, Stolen, best_of
from tests.load.others import MESSAGE, NO_ANSWER, NONE_YET, beside
from tests.load.others import answer_of as answer_to
from tests.server.process import call, check_request, gateway, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.load.client import Call

pytestmark = pytest.mark.long

RETURN = f'(func (export "evaluate") (param i32) (result i32) (i32.const {ANSWER}))'
SPIN = '(func (export "evaluate") (param i32) (result i32) (loop (br 0)) unreachable)'
POLICY = """
service: {{wasm: {{cache: {folder}/cache}}}}
policy:
  default: allow
  deadline_ms: 2000
  guards:
    - {{type: wasm, timeout_ms: {timeout}, {more}settings: {{module: {folder}/guard.wasm, allow_unsigned: true}}}}
"""
RATES = (1000, 700, 500, 300)
"""Decisions a second: the target, and what is asked for where a machine has not the time for that."""
HELD_MS = 50
"""Where calls of two seconds take longer at the median they pile up: the rate cannot be held."""
SWAPS = 18
NOT_JUDGED = ("overloaded", NO_ANSWER, NONE_YET)
"""What a machine that is too busy makes of calls; no module does."""
TIMES_QUIET = 2
HOSTILE_RATE = 50
REFUSED = {"guard_timeout", "guard_quarantined"}


def configured(folder: Path, content: bytes, **settings: Any) -> str:
    put(folder, content)
    (folder / "guardsvc.yaml").write_text(POLICY.format(folder=folder, **settings))
    return str(folder / "guardsvc.yaml")


def put(folder: Path, content: bytes) -> None:
    draft = folder / "draft"
    draft.write_bytes(content)
    draft.replace(folder / "guard.wasm")


def test_modules_are_swapped_under_load(tmp_path: Path, tell: Callable[[str], None]) -> None:
    versions = [component(answer_of("deny", "second_version", "No.") + RETURN), b"\0asm broken", component(RETURN)]
    with serving(tmp_path, "--config", configured(tmp_path, versions[-1], timeout=1500, more="")) as service:

        def reloads() -> list[float]:
            return [service.metric(f'guardsvc_policy_reloads_total{{result="{r}"}}') for r in ("loaded", "failed")]

        async def measure() -> tuple[float, list[Call]]:
            connections = await connect(service.grpc_address, 2)
            for rate in RATES:
                pacer = Pacer(connections, MESSAGE, rate)
                if (probed := Figures.of(await pacer.run(2))).p50 < HELD_MS:
                    break
                tell(f"{rate} decisions/s are more than this machine has the time for now: {probed}")
            swapping = asyncio.create_task(swap())
            calls = await pacer.run(SWAPS + 1)
            await swapping
            for connection in connections:
                connection.close()
            return rate, calls

        async def swap() -> None:
            for number in range(SWAPS):
                await asyncio.sleep(1)
                put(tmp_path, versions[number % 3])

        def attempt() -> list[str]:
            stolen, before = Stolen(), reloads()
            with undisturbed():
                rate, calls = run(measure())
            found, answers = Figures.of(calls), Counter(map(answer_to, calls))
            loaded, failed = (now - then for now, then in zip(reloads(), before, strict=True))
            target = "the target" if rate == RATES[0] else f"BELOW the target of {RATES[0]}"
            tell(f"{rate} decisions/s, {target}, on {CPUS} CPUs, {stolen}: {found}; {dict(answers)}")
            tell(f"{loaded:.0f} modules put in force, {failed:.0f} refused")

            assert answers.keys() <= {"allow", "second_version", *NOT_JUDGED}
            assert min(answers["allow"], answers["second_version"], loaded, failed) > 0
            return [f"{answers[what]} calls: {what}" for what in NOT_JUDGED if answers[what]]

        best_of(attempt, tell)


def test_a_guard_in_quarantine_beside_others(tmp_path: Path, tell: Callable[[str], None]) -> None:
    evil = framed(check_request(call("evil")).SerializeToString())
    config = configured(tmp_path, component(SPIN), timeout=100, more="match: {tools: [evil]}, ")
    with serving(tmp_path, "--config", config) as service:

        def attempt() -> list[str]:
            calls: list[Call] = []

            async def flood() -> None:
                connections = await connect(service.grpc_address, 2)
                calls.extend(await Pacer(connections, evil, HOSTILE_RATE).run(5))
                for connection in connections:
                    connection.close()

            with gateway(service.grpc_address) as asking:  # until it is quarantined
                assert asking.verdict(call("evil")) in REFUSED
                assert asking.verdict(call("evil")) in REFUSED
            with undisturbed():
                others = run(beside(service.grpc_address, flood))
            answers = Counter(map(answer_to, calls))
            tell(f"{HOSTILE_RATE} calls a second of a guard that spins: {dict(answers)}")
            tell(str(others))
            assert others.answers.keys() == {"allow"}
            assert answers.keys() <= REFUSED
            assert answers["guard_quarantined"] > answers["guard_timeout"]
            return [f"p99 {others.ratio:.1f} times quiet"] if others.ratio > TIMES_QUIET else []

        best_of(attempt, tell)
