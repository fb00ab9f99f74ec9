"""Twenty hostile bodies of 1 MiB a second beside calls of 1 KiB, which hardly notice."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import cycle
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from tests.load.client import Pacer, connect, framed, run, undisturbed
from tests.load.figures import CPUS, Stolen, best_of
from tests.load.memory import MIB, Memory
from tests.load.others import NO_ANSWER, NONE_YET, answer_of, beside
from tests.server.process import check_request, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.load.client import Call

pytestmark = pytest.mark.long

RATE = 20
SECONDS = 6
TIMES_QUIET = 3
UNITS = (b"1,", b"1e9,", b"[],", b'{"a":1},', b'"\\u200b\\u202e",', b'"aGVsbG8gd29ybGQ=",')
"""What costs a reader of JSON most for each byte."""


def hostile(unit: bytes) -> bytes:
    """A message of nearly 1 MiB that is nothing but repetitions."""
    head = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":['
    tail = b"0]}}}"
    body = head + unit * ((MIB - len(head) - len(tail)) // len(unit)) + tail
    return framed(check_request(body).SerializeToString())


def test_hostile_bodies(tmp_path: Path, tell: Callable[[str], None]) -> None:
    messages = [hostile(unit) for unit in UNITS]
    with serving(tmp_path, "--quiet") as service:
        memory = Memory(service)

        def attempt() -> list[str]:
            stolen = Stolen()
            calls: list[Call] = []

            async def flood() -> None:
                connections = await connect(service.grpc_address, 4)
                bodies = cycle(messages)
                begun = perf_counter()
                for number in range(RATE * SECONDS):
                    due = begun + number / RATE
                    await asyncio.sleep(due - perf_counter())
                    calls.append(connections[number % 4].send(next(bodies), due))
                await Pacer.settled(calls)
                for connection in connections:
                    connection.close()

            with undisturbed():
                others = run(beside(service.grpc_address, flood))
            memory.look()
            answers = Counter(map(answer_of, calls))
            tell(f"{CPUS} CPUs, {stolen}; {RATE} bodies a second: {dict(answers)}")
            tell(str(others))
            tell(str(memory))
            assert others.answers.keys() == {"allow"}
            assert not answers.keys() & {NO_ANSWER, NONE_YET}
            assert memory.peak <= memory.bound
            return [f"p99 {others.ratio:.1f} times quiet"] if others.ratio > TIMES_QUIET else []

        best_of(attempt, tell)
