"""Flood: hostile bodies of 1 MiB from a process of its own, which cannot delay the calls that are measured.

    python -m tests.load.flood ADDRESS RATE SECONDS

It says "ready", begins with the first line it reads, and ends with the number of each answer as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from tests.load.client import Pacer, connect, framed, undisturbed
from tests.load.memory import MIB
from tests.load.others import answer_of
from tests.server.process import check_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.load.client import Call

CONNECTIONS = 4
UNITS = (b"1,", b"1e9,", b"[],", b'{"a":1},', b'"\\u200b\\u202e",', b'"aGVsbG8gd29ybGQ=",')
"""What costs a reader of JSON most for each byte."""


def hostile(unit: bytes) -> bytes:
    """A message of nearly 1 MiB that is nothing but repetitions."""
    head = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":['
    tail = b"0]}}}"
    body = head + unit * ((MIB - len(head) - len(tail)) // len(unit)) + tail
    return framed(check_request(body).SerializeToString())


@asynccontextmanager
async def flooding(address: str, rate: int, seconds: int) -> AsyncIterator[Callable[[], Awaitable[Counter[str]]]]:
    """A process that floods when it is called, and how often it got which answer."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.load.flood", address, str(rate), str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert await child.stdout.readline() == b"ready\n"
    begin, told = child.stdin, child.stdout

    async def flood() -> Counter[str]:
        begin.write(b"\n")
        return Counter(json.loads(await told.readline()))

    try:
        yield flood
    finally:
        begin.close()
        await child.wait()


async def _flood(address: str, rate: int, seconds: int) -> None:
    messages = [hostile(unit) for unit in UNITS]
    connections = await connect(address, CONNECTIONS)
    _say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    calls: list[Call] = []
    begun = perf_counter()
    for number, body in zip(range(rate * seconds), cycle(messages), strict=False):
        due = begun + number / rate
        await asyncio.sleep(due - perf_counter())
        calls.append(connections[number % CONNECTIONS].send(body, due))
    await Pacer.settled(calls)
    for connection in connections:
        connection.close()
    _say(json.dumps(Counter(map(answer_of, calls))))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with undisturbed():
        asyncio.run(_flood(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
