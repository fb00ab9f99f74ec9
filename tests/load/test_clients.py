"""Clients that hang, clients by the thousand, and bodies of 64 MiB: the others are answered, and memory is bounded."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from tests.load.client import Pacer, connect, framed, run, undisturbed
from tests.load.figures import Stolen
from tests.load.memory import MIB, Memory
from tests.load.others import MESSAGE, NO_ANSWER, answer_of, beside
from tests.server.process import check_request, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.load.client import Call
    from tests.server.process import Running

    Disturb = Callable[[], Awaitable[object]]

pytestmark = pytest.mark.long

LONG = 60
"""Seconds that a client which hangs would wait."""
STREAMS = 10_000
BURST = 10
BEGUN_PER_S = 4000
"""Beyond, grpc's own backlog ends some of them, whoever they belong to."""
ENDED_PER_S = 1500
LARGE = 64 * MIB
CONFIGURED = {"grpc": {"max_message_bytes": 80 * MIB}}
PART = MESSAGE[:3]
ANSWERED = 0.99
"""Of the calls of others while clients flood the service; the rest are told that it is overloaded."""


@contextmanager
def watched(service: Running, tell: Callable[[str], None]) -> Iterator[Callable[[Disturb], None]]:
    """Runs what happens to a service beside others, and holds its memory to the bound it printed."""
    memory = Memory(service)

    def happen(disturb: Disturb) -> None:
        stolen = Stolen()

        async def measure() -> None:
            watching = asyncio.create_task(memory.watch())
            others = await beside(service.grpc_address, disturb)
            watching.cancel()
            tell(f"{others}, {stolen}")
            assert others.answers.keys() <= {"allow", "overloaded"}
            assert others.answers["allow"] >= ANSWERED * others.answers.total()

        with undisturbed():
            run(measure())

    yield happen
    tell(str(memory))
    assert memory.peak <= memory.bound


def test_hung_clients(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """Requests that never end, answers that are never read, connections that say nothing."""
    with serving(tmp_path, "--quiet") as service, ExitStack() as silent:
        host, _, port = service.grpc_address.rpartition(":")

        async def hang() -> None:
            for _ in range(50):
                silent.enter_context(socket.create_connection((host, int(port))))
            unfinished = await connect(service.grpc_address, 10, seconds=LONG)
            for connection in unfinished:
                for _ in range(50):
                    connection.begin(PART)
            deaf = await connect(service.grpc_address, 10, reads=False, seconds=LONG)
            for connection in deaf:
                for _ in range(100):
                    connection.send(MESSAGE, perf_counter())
                    await asyncio.sleep(0.001)
            await asyncio.sleep(4)
            for connection in unfinished + deaf:
                connection.close()

        with watched(service, tell) as happen:
            happen(hang)
        service.wait_for_metric("guardsvc_inflight", 0)
        assert service.end() == 0


def test_ten_thousand_streams(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """All begun and none ended, then all ended."""
    with serving(tmp_path, "--quiet") as service:
        ends: list[Call] = []

        async def flood() -> None:
            connections = await connect(service.grpc_address, 20, seconds=LONG)
            streams = []
            for number in range(STREAMS):
                connection = connections[number % len(connections)]
                streams.append((connection, stream := connection.begin(PART)))
                ends.append(connection.under_way[stream])
                if number % BURST == 0:
                    await asyncio.sleep(BURST / BEGUN_PER_S)
            await asyncio.sleep(2)
            for number, (connection, stream) in enumerate(streams):
                connection.finish(stream, MESSAGE[len(PART) :])
                if number % BURST == 0:
                    await asyncio.sleep(BURST / ENDED_PER_S)
            await Pacer.settled(ends)
            for connection in connections:
                connection.close()

        with watched(service, tell) as happen:
            happen(flood)
        answers = Counter(map(answer_of, ends))
        tell(f"of {STREAMS} streams: {dict(answers)}")
        assert answers.keys() <= {"allow", "overloaded"}
        service.wait_for_metric("guardsvc_inflight", 0)


def test_bodies_of_64_mib(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """Above and below the largest message that is accepted."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":"'
    body += b"x" * LARGE + b'"}}}'
    message = framed(check_request(body).SerializeToString())
    for expected, service_settings in ((NO_ANSWER, {}), ("too_large", CONFIGURED)):
        folder = tmp_path / expected.replace(" ", "_")
        folder.mkdir()
        file = folder / "config.json"
        file.write_text(json.dumps({"service": service_settings, "policy": {"name": "large", "default": "allow"}}))
        with serving(folder, "--quiet", "--config", str(file)) as service:
            calls: list[Call] = []
            with watched(service, tell) as happen:
                happen(partial(_send, service.grpc_address, message, calls))
            answers = Counter(map(answer_of, calls))
            tell(f"4 bodies of 64 MiB, {service_settings or 'as shipped'}: {dict(answers)}")
            assert answers.keys() <= {expected, "overloaded"}


async def _send(address: str, message: bytes, calls: list[Call]) -> None:
    connections = await connect(address, 4, seconds=LONG)
    calls.extend(connection.send(message, perf_counter()) for connection in connections)
    await Pacer.settled(calls)
    for connection in connections:
        connection.close()
