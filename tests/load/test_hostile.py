"""Twenty hostile bodies of 1 MiB a second beside calls of 1 KiB, which hardly notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.load.client import run, undisturbed
from tests.load.figures import CPUS, Stolen, best_of
from tests.load.flood import flooding
from tests.load.memory import Memory
from tests.load.others import NO_ANSWER, NONE_YET, Beside, beside
from tests.server.process import call, gateway, serving

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.long

RATE = 20
SECONDS = 6
TIMES_QUIET = 3
LARGE = call() + b" " * 100_000


def test_hostile_bodies(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with serving(tmp_path, "--quiet") as service:
        memory = Memory(service)
        with gateway(service.grpc_address) as asking:
            # It is answered once the process for large bodies is there, whose start is not quiet.
            assert asking.verdict(LARGE) == "allow"

        async def attacked() -> tuple[Beside, Counter[str]]:
            answers: list[Counter[str]] = []
            async with flooding(service.grpc_address, RATE, SECONDS) as flood:

                async def disturb() -> None:
                    answers.append(await flood())

                return await beside(service.grpc_address, disturb), answers[0]

        def attempt() -> list[str]:
            stolen = Stolen()
            with undisturbed():
                others, answers = run(attacked())
            memory.look()
            tell(f"at most {TIMES_QUIET} times quiet on {CPUS} CPUs; {stolen}")
            tell(f"{RATE} bodies a second: {dict(answers)}")
            tell(str(others))
            tell(str(memory))
            assert others.answers.keys() == {"allow"}
            assert not answers.keys() & {NO_ANSWER, NONE_YET}
            assert memory.peak <= memory.bound
            return [f"p99 {others.ratio:.1f} times quiet"] if others.ratio > TIMES_QUIET else []

        best_of(attempt, tell)
