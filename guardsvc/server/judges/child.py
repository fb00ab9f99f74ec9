"""Child: one process that judges, as its worker sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.config import BUILT_IN
from guardsvc.model import ErrorKind, GuardFailure, Verdict
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

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from guardsvc.engine import FactSources
    from guardsvc.gateways.exchange import Asker, Exchange
    from guardsvc.policy import Policy
    from guardsvc.server.configuration import Configuration
    from guardsvc.server.judges.messages import Asked

__all__ = ["ChildGoneError", "JudgingChild"]

MODULE = "guardsvc.server.judges.process"
BUILDS_WITHIN = 60.0


class ChildGoneError(Exception):
    """The process ended, or says what it should not."""


class JudgingChild:
    """A process that judges.

    A new interpreter, not a copy of this one: what grpc keeps in threads does not survive a fork.

    Args:
        process: the process.
        reader: this end of the socket.
        writer: the same.

    Attributes:
        newest: key of the newest policy it has, 0 before it has any.
        proved: whether it has judged anything.
    """

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._policies: list[int] = []
        self._asked: set[asyncio.Task[None]] = set()
        self.newest = 0
        self.proved = False

    @classmethod
    async def spawn(cls) -> JudgingChild:
        """Start a process that waits for its first message."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *(f"-W{option}" for option in sys.warnoptions),
                "-P",
                "-m",
                MODULE,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_environment(),
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def begin(self, begin: Begin) -> None:
        """Say how it begins."""
        await self._send(begin)

    async def adopt(self, key: int, configuration: Configuration) -> str:
        """Let it build the policy of a configuration.

        Returns:
            Why it cannot, empty where it has.

        Raises:
            ChildGoneError: it ended, or does not answer.
        """
        source = None if configuration.source == BUILT_IN else configuration.source
        policy = configuration.policy
        await self._send(
            Adopt(
                key=key,
                source=source,
                content=configuration.content,
                overrides=dict(configuration.overrides),
                workers=configuration.workers,
                hash=policy.hash,
                asked={bound.id: bound.points for bound in policy.guards if not bound.inline},
            )
        )
        try:
            async with asyncio.timeout(BUILDS_WITHIN):
                answer = await self._receive()
        except TimeoutError:
            raise ChildGoneError(f"does not build a policy within {BUILDS_WITHIN:g} s") from None
        if not isinstance(answer, Ready):
            raise ChildGoneError(f"answers {type(answer).__name__}")
        if not answer.problem:
            self.newest = max(self.newest, key)
            self._policies.append(key)
            del self._policies[:-3]
        return answer.problem

    async def judge(
        self,
        key: int,
        configuration: Configuration,
        asked: Asked,
        asker: Asker,
        *,
        deadline: float,
        sources: FactSources,
    ) -> Exchange | str:
        """Let it judge, and answer what it asks meanwhile.

        Returns:
            What was decided, or why nothing was.

        Raises:
            ChildGoneError: it ended.
        """
        if key not in self._policies and (problem := await self.adopt(key, configuration)):
            return problem
        refusal = asker.refusal
        await self._send(
            Judge(
                key=key,
                asked=asked,
                asker=msgspec.structs.replace(asker, refusal=None),
                refusal=None if refusal is None else (refusal.code, str(refusal)),
                deadline=deadline,
            )
        )
        try:
            while isinstance(message := await self._receive(), Ask):
                task = asyncio.create_task(self._answer(message, configuration.policy, sources))
                self._asked.add(task)
                task.add_done_callback(self._asked.discard)
        finally:
            for task in self._asked:
                task.cancel()
        if not isinstance(message, Judged):
            raise ChildGoneError(f"answers {type(message).__name__}")
        return message.problem if message.exchange is None else message.exchange

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    async def ended(self) -> None:
        """Until it has ended."""
        await self._process.wait()

    async def wait(self) -> None:
        """Until it has ended; this end of the socket is closed."""
        await self._process.wait()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _answer(self, ask: Ask, policy: Policy, sources: FactSources) -> None:
        try:
            async with asyncio.timeout(ask.seconds):
                answer = await _answer(ask, policy, sources)
        except GuardFailure as error:
            answer = Failed(str(error), error.kind)
        except Exception as error:
            answer = Failed(f"{type(error).__name__}: {error}")
        with suppress(ChildGoneError):
            await self._send(Told(ask.number, answer))

    async def _send(self, message: Any) -> None:
        try:
            send(self._writer, message)
            await self._writer.drain()
        except OSError:
            raise ChildGoneError("ended") from None

    async def _receive(self) -> Any:
        message = await receive(self._reader)
        if message is None:
            raise ChildGoneError("ended")
        return message


async def _answer(ask: Ask, policy: Policy, sources: FactSources) -> Any:
    if isinstance(ask.what, Evaluate):
        bound = next(bound for bound in policy.guards if bound.id == ask.what.guard)
        verdict = await bound.guard.evaluate(ask.what.operation, ask.what.facts)  # type: ignore[misc]  # no native one
        if not isinstance(verdict, Verdict):
            return Failed(f"{type(verdict).__name__} is no verdict", ErrorKind.BAD_ANSWER)
        return verdict
    name, request = ask.what
    source = sources.get(name)
    if source is None:
        return Failed(f"no source of fact {name}", ErrorKind.STATE_UNAVAILABLE)
    return await source.fetch(request)


def _environment() -> dict[str, str]:
    """This process's, so that the same modules are found; grpc's and Prometheus' own are nothing to it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    return environment
