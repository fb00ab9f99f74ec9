"""Process: one that judges, as ``python -m guardsvc.server.judges.process DESCRIPTOR``.

It has no listener, no state, no grpc and no guard of another tier, ends with its worker, and asks it for those and for
facts. One thread builds policies, and the other, which stands back further, judges by them, one at a time.
"""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import os
import resource
import signal
import socket
import sys
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from guardsvc.gateways.exchange import judge
from guardsvc.gateways.server_message import ServerMessage, judge_server_message
from guardsvc.gateways.statement import judge_statement
from guardsvc.mcp import HttpRequest
from guardsvc.model import FactRequest, GuardFailure, Tier
from guardsvc.observe import configure_logging
from guardsvc.observe.audit import AuditKey
from guardsvc.observe.audit.record import Encoder
from guardsvc.policy import IdentityError
from guardsvc.server.configuration import installed_guard_types, load_configuration
from guardsvc.server.judges.messages import (
    Adopt,
    Ask,
    Begin,
    Evaluate,
    Failed,
    Judge,
    Judged,
    Ready,
    Told,
    receive,
    send,
)
from guardsvc.server.judges.priority import stand_back
from guardsvc.server.judges.slim import slim
from guardsvc.server.warm_up import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guardsvc.engine import FactSource
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.model import (
        Direction,
        Facts,
        Guard,
        GuardContext,
        GuardType,
        Operation,
        Phase,
        Settings,
        Verdict,
    )
    from guardsvc.policy import Policy

    Point = tuple[Direction, Phase]

__all__ = ["KEPT", "main"]

log = structlog.get_logger(__name__)

KEPT = 3
"""Policies kept at once: decisions finish on the one they began with."""
PR_SET_PDEATHSIG = 1
IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM)
BUILDING_NICE = 10
"""How far the building of a policy stands back at most: a busy machine would take minutes for it otherwise."""
FIRST_TO_GO = "500"
"""``oom_score_adj``: where the machine's memory ends, the kernel ends this process before its worker."""


class WorkerError(Exception):
    """A guard or a source of the worker raised."""


def main(descriptor: int) -> None:
    """Judge until the worker is gone.

    Args:
        descriptor: of the socket that leads to the worker.
    """
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    worker = socket.socket(fileno=descriptor)
    worker.set_inheritable(False)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with worker:
        asyncio.run(_serve(worker))


async def _serve(worker: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=worker)
    try:
        begin = await receive(reader)
        if isinstance(begin, Begin):
            with ThreadPoolExecutor(1) as builder:
                # It begins here, before this thread stands back.
                builder.submit(os.nice, min(begin.nice, BUILDING_NICE)).result()
                _settle(begin)
                await _Desk(reader, writer, _digests(begin), builder).serve()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _settle(begin: Begin) -> None:
    settle()
    configure_logging(begin.level, begin.format, worker=begin.worker)
    stand_back(begin.nice)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    if begin.memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (begin.memory, begin.memory))


def _digests(begin: Begin) -> Callable[[Operation], dict[str, Any]]:
    if begin.audit is None:
        return lambda _operation: {}
    return Encoder("", AuditKey(*begin.audit), include_arguments=begin.include_arguments).digests


class _Desk:
    """The process's end of the socket."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        digests: Callable[[Operation], dict[str, Any]],
        builder: ThreadPoolExecutor,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._digests = digests
        self._builder = builder
        self._policies: OrderedDict[int, Policy] = OrderedDict()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._sources = _Sources(self)
        self._judging: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        while (message := await receive(self._reader)) is not None:
            match message:
                case Adopt():
                    build = partial(self._adopt, message)
                    self._send(await asyncio.get_running_loop().run_in_executor(self._builder, build))
                case Judge():
                    self._judging = asyncio.create_task(self._answer(message))
                case Told(number=number, answer=answer):
                    future = self._asked.pop(number, None)
                    if future is not None and not future.done():
                        future.set_result(answer)

    async def ask(self, what: tuple[str, FactRequest] | Evaluate, seconds: float) -> Any:
        """Ask the worker.

        Raises:
            GuardFailure: as the guard or the source does.
            WorkerError: it raised something else.
        """
        self._number += 1
        number = self._number
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send(Ask(number, what, seconds))
        try:
            answer = await future
        finally:
            self._asked.pop(number, None)
        if isinstance(answer, Failed):
            raise WorkerError(answer.text) if answer.kind is None else GuardFailure(answer.kind, answer.text)
        return answer

    def _adopt(self, message: Adopt) -> Ready:
        path = None if message.source is None else Path(message.source)
        try:
            policy = load_configuration(
                path,
                message.overrides,
                content=message.content if path else None,
                workers=message.workers,
                instead=self._at_worker(message.asked),
            ).policy
        except Exception as error:
            return Ready(message.key, f"{type(error).__name__}: {error}")
        self._policies[message.key] = dataclasses.replace(policy, hash=message.hash)
        while len(self._policies) > KEPT:
            self._policies.popitem(last=False)
        return Ready(message.key)

    def _at_worker(self, asked: Mapping[str, frozenset[Point]]) -> dict[str, GuardType[Any]]:
        """The guard types of other tiers: what they load and compile, this process has no room for."""

        def build(_settings: Settings, context: GuardContext) -> Guard:
            return _AtWorker(self, context, asked.get(context.guard_id, frozenset()))

        registry, _ = installed_guard_types()
        return {
            name: dataclasses.replace(guard_type, build=build)
            for name, guard_type in registry.items()
            if guard_type.tier is not Tier.NATIVE
        }

    async def _answer(self, task: Judge) -> None:
        try:
            judged = Judged(await self._judge(task))
        except Exception as error:
            log.exception("judging_failed")
            judged = Judged(None, f"{type(error).__name__}: {error}")
        self._send(judged)

    async def _judge(self, task: Judge) -> Exchange:
        policy, asker = self._policies[task.key], task.asker
        if task.refusal is not None:
            asker = msgspec.structs.replace(asker, refusal=IdentityError(*task.refusal))
        if isinstance(task.asked, HttpRequest):
            exchange = await judge(policy, task.asked, asker, deadline=task.deadline, sources=self._sources)
        elif isinstance(task.asked, ServerMessage):
            exchange = await judge_server_message(
                policy, task.asked, asker, deadline=task.deadline, sources=self._sources
            )
        else:
            exchange = await judge_statement(policy, task.asked, asker, deadline=task.deadline, sources=self._sources)
        return slim(exchange, self._digests)

    def _send(self, message: Any) -> None:
        send(self._writer, message)


class _Sources(dict[str, "FactSource"]):
    """Every fact, from the worker's sources; what they have not, they say."""

    def __init__(self, desk: _Desk) -> None:
        super().__init__()
        self._desk = desk

    def get(self, name: str, default: Any = None) -> Any:
        """The source of a fact."""
        del default
        return _Source(self._desk, name)


class _Source:
    """A fact's source at the worker."""

    def __init__(self, desk: _Desk, name: str) -> None:
        self._desk = desk
        self._name = name

    async def fetch(self, request: FactRequest) -> Any:
        """See ``FactSource``."""
        small = msgspec.structs.replace(request.operation, payload=None)
        asked = msgspec.structs.replace(request, operation=small)
        return await self._desk.ask((self._name, asked), request.seconds)


class _AtWorker:
    """A guard of another tier, which is asked where its connections and instances are."""

    def __init__(self, desk: _Desk, context: GuardContext, points: frozenset[Point]) -> None:
        self.points = points
        self._desk = desk
        self._id = context.guard_id
        self._timeout = context.timeout

    async def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """See ``Guard``."""
        verdict: Verdict = await self._desk.ask(Evaluate(self._id, operation, dict(facts)), self._timeout)
        return verdict


if __name__ == "__main__":
    main(int(sys.argv[1]))
