"""What no decision can cost less than: the empty handler, and the library calls that an answer of guardsvc is made of.

Run it as ``python -m benchmarks.floor``. Each server does what the one before it does and one thing more. It judges
nothing and checks nothing: what stands here is calls of libraries, and as much Python as it takes to make them. Request
and load are those of ``guardsvc bench``.
"""  # noqa: INP001  a script

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from bisect import bisect_left
from collections import deque
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from statistics import median
from time import process_time, time, time_ns
from typing import Any

import msgspec
import uvloop

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from guardsvc.cli.bench.candidates import Candidate
from guardsvc.cli.bench.empty_server import ANSWER
from guardsvc.cli.bench.load import run_load
from guardsvc.cli.serve import GRPC_EXPERIMENTS
from guardsvc.gateways.seal import Correlation
from guardsvc.observe.audit import AuditKey
from guardsvc.observe.audit.record import DecisionRecord, GuardRecord
from guardsvc.observe.metrics import BUCKETS

SERVICE = "envoy.service.auth.v3.Authorization"
MESSAGE = (files("guardsvc.cli.bench") / "check_request.bin").read_bytes()
STEPS = ("empty handler", "and reading", "and JSON", "and the answer", "and a record", "and metrics")
AIMS = (0.7, 0.6)
GUARDS = ("argument_limits", "auth_bypass", "protocol_compliance", "sandbox_escape", "schema_validation", "secrets")
"""Guards that judge the call under the built-in policy: two series each, and a part of the record."""
LINES = 32
"""Records of one write."""
ROUNDS, SECONDS = 5, 1.0
CONNECTIONS, CALLS_EACH = 2, 8
ALONE = 3_000
"""Calls in a loop of their own."""


class Floor:
    """Answers calls by the first of the steps.

    Args:
        steps: how many, beside the empty handler.
        path: of the audit file.
    """

    def __init__(self, steps: int, path: str) -> None:
        self._steps = (self._read, self._decode, self._write, self._record, self._count)[:steps]
        self._audit = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._key = AuditKey("floor", b"k" * 32)
        self._json, self._text = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
        self._queue: deque[DecisionRecord] = deque()
        self._mac = ""
        self._counted: dict[tuple[str, str], int] = {}
        self._observed: dict[tuple[str, str], list[int]] = {}

    def answer(self, data: bytes) -> bytes:
        """Take the steps."""
        known: Any = data
        for step in self._steps:
            known = step(known)
        return ANSWER

    def _read(self, data: bytes) -> tuple[Any, ...]:
        """The fields of the CheckRequest that guards look at."""
        attributes = CheckRequest.FromString(data).attributes
        http = attributes.request.http
        headers = {field.key: field.raw_value.decode("latin-1") for field in http.header_map.headers}
        return (
            http.method,
            http.path,
            http.host,
            headers,
            attributes.source.address.socket_address.address,
            http.raw_body,
        )

    def _decode(self, read: tuple[Any, ...]) -> tuple[Any, ...]:
        """The message, with the count of members by which a repeated one would show."""
        body = read[-1]
        return *read, self._json(body), body.count(b'":')

    def _write(self, read: tuple[Any, ...]) -> tuple[Any, ...]:
        """The answer: decision id, response, and correlation token."""
        message = read[-2]
        decision_id = f"{time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"
        told = Correlation(
            decision_id=decision_id,
            tenant=None,
            principal=None,
            verified=False,
            server=None,
            subject=message["params"]["name"],
            method=message["method"],
            id=message["id"],
            policy_hash="0123456789abcdef",
            expires=time() + 3600,
        )
        payload = self._text(told)
        token = self._key.session.hex(payload)
        response = CheckResponse()
        response.status.code = 0
        allowed = response.ok_response
        for option in (allowed.headers.add(), allowed.response_headers_to_add.add()):
            option.header.key, option.header.value = "x-guardsvc-decision-id", decision_id
        return *read, decision_id, b"".join((response.SerializeToString(), payload, token.encode()))

    def _record(self, read: tuple[Any, ...]) -> tuple[Any, ...]:
        """The audit record: three codes, encoded, chained, and written with others."""
        _, _, _, headers, address, body, message, _, decision_id, _ = read
        guards = [
            GuardRecord(guard=name, type=name, tier="native", mode="enforce", verdict="allow", duration_us=9)
            for name in GUARDS
        ]
        self._queue.append(
            DecisionRecord(
                time="2026-07-28T00:00:00.000Z",
                decision_id=decision_id,
                worker="0",
                verdict="allow",
                applied="allow",
                mode="enforce",
                verified=False,
                address=address,
                session=self._key.session.hex(headers["x-request-id"].encode()),
                protocol="ext_authz",
                direction="request",
                phase="tool_invoke",
                kind="request",
                method=message["method"],
                subject=message["params"]["name"],
                subject_kind="tool",
                arguments_digest=self._key.argument.hex(self._text(message["params"]["arguments"])),
                size=len(body),
                guards=guards,
                policy="0123456789abcdef",
                duration_us=90,
                request_id=headers["x-request-id"],
            )
        )
        if len(self._queue) == LINES:
            os.write(self._audit, b"".join([self._linked(record) for record in self._queue]))
            self._queue.clear()
        return read

    def _linked(self, record: DecisionRecord) -> bytes:
        line = b'%b,"seq":1,"prev":"%b"' % (self._text(record)[:-1], self._mac.encode())
        self._mac = self._key.line.hex(line)
        return b'%b,"mac":"%b"}\n' % (line, self._mac.encode())

    def _count(self, read: tuple[Any, ...]) -> tuple[Any, ...]:
        """A counter and a histogram for the decision and for each guard, in plain numbers."""
        for name in ("decision", *GUARDS):
            counter, histogram = ("evaluations", name), ("duration", name)
            self._counted[counter] = self._counted.get(counter, 0) + 1
            if histogram not in self._observed:
                self._observed[histogram] = [0] * (len(BUCKETS) + 1)
            self._observed[histogram][bisect_left(BUCKETS, 90e-6)] += 1
        return read

    def alone(self) -> float:
        """Microseconds of processor time that a call takes in a loop that does nothing else."""
        spent = []
        for _ in range(ROUNDS):
            begun = process_time()
            for _ in range(ALONE):
                self.answer(MESSAGE)
            spent.append((process_time() - begun) / ALONE * 1e6)
        return min(spent)


class Server(Candidate):
    """A server of so many steps, as a process of its own."""

    def __init__(self, steps: int, folder: Path) -> None:
        super().__init__(STEPS[steps], None, folder)
        self._argument = [str(steps), str(folder / f"audit.{steps}")]

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.floor", *self._argument]


async def serve(floor: Floor) -> None:
    """Answer until the process is ended."""
    import grpc  # noqa: PLC0415  after its environment is set

    async def check(data: bytes, _context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return floor.answer(data)

    server = grpc.aio.server()
    handlers = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f'{{"event": "ready", "grpc": "127.0.0.1:{port}"}}', flush=True)  # noqa: T201
    await server.wait_for_termination()


def measure(server: Server) -> tuple[float, float]:
    """Calls per second, and microseconds of processor time for each of them."""
    before = server.cpu_seconds()
    loaded = asyncio.run(
        run_load(
            server.address,
            f"/{SERVICE}/Check",
            MESSAGE,
            seconds=SECONDS,
            connections=CONNECTIONS,
            calls_each=CALLS_EACH,
            begins=ANSWER,
        )
    )
    return loaded.calls / loaded.seconds, (server.cpu_seconds() - before) / loaded.calls * 1e6


def main() -> None:
    """Measure every server in turn, and print what it comes to."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        servers = [running.enter_context(Server(steps, Path(folder))) for steps in range(len(STEPS))]
        measured = [[measure(server) for server in servers] for _ in range(ROUNDS + 1)][1:]
        alone = [Floor(steps, str(Path(folder) / "alone")).alone() for steps in range(len(STEPS))]
    print(f"{'':16}{'calls/s':>9}{'ratio':>7}{'CPU µs':>8}{'ratio':>7}{'more':>7}{'in a loop of its own µs':>25}")  # noqa: T201
    empty = median(figures[0][1] for figures in measured)
    for number, name in enumerate(STEPS):
        rate, cpu = (median(figures[number][which] for figures in measured) for which in (0, 1))
        faster = median(figures[number][0] / figures[0][0] for figures in measured)
        lighter = median(figures[0][1] / figures[number][1] for figures in measured)
        print(f"{name:16}{rate:>9.0f}{faster:>7.2f}{cpu:>8.0f}{lighter:>7.2f}{cpu - empty:>7.0f}{alone[number]:>25.1f}")  # noqa: T201
    for aim in AIMS:
        print(f"{aim:.0%} of the empty handler leaves {empty / aim - empty:.0f} µs of CPU for all of a decision")  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.environ.setdefault("GRPC_EXPERIMENTS", GRPC_EXPERIMENTS)
        uvloop.run(serve(Floor(int(sys.argv[1]), sys.argv[2])))
    else:
        main()
