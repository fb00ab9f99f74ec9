"""Child: one worker's process as the supervisor sees it, from its first message to its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from guardsvc.server.workers.channel import Begin, Commit, Done, Prepare, Refused, Serving, framed, receive_async
from guardsvc.server.workers.pulse import Pulse

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from guardsvc.server.workers.channel import Answer, FaultKind, Order

__all__ = ["Child", "StartError", "WorkerGoneError"]

MODULE = "guardsvc.server.workers.worker"
STARTS_WITHIN = 60.0
ANSWERS_WITHIN = 60.0


class StartError(Exception):
    """Something cannot start.

    Attributes:
        kind: what is at fault: an address, the configuration or guardsvc.
    """

    def __init__(self, kind: FaultKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class WorkerGoneError(Exception):
    """The worker ended, or does not answer."""


class Child:
    """A worker's process.

    A new interpreter, not a copy of this one: what grpc keeps in threads does not survive a fork. It finds the same
    modules, also where the current folder holds others of the same names.

    Args:
        process: the process.
        reader: this end of the channel.
        writer: the same.
        pulse: its signs of life.

    Attributes:
        listeners: where it listens, by name of the listener.
        policy: hash of the policy it serves, None while it serves none.
        content: what the configuration file held of which it serves the policy.
        hung: whether its event loop was found to hang.
    """

    def __init__(
        self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pulse: Pulse
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._pulse = pulse
        self._began = time.monotonic()
        self.listeners: dict[str, str] = {}
        self.policy: str | None = None
        self.content: bytes | None = None
        self.hung = False

    @classmethod
    async def spawn(cls) -> Child:
        """Start a process that waits for its first message."""
        ours, theirs = socket.socketpair()
        felt, beaten = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        pulse = Pulse(felt)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *(f"-W{option}" for option in sys.warnoptions),
                "-P",
                "-m",
                MODULE,
                str(theirs.fileno()),
                str(beaten),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), beaten],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except BaseException:
            ours.close()
            pulse.close()
            raise
        finally:
            theirs.close()
            os.close(beaten)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return cls(process, reader, writer, pulse)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def lasted(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    async def begin(self, message: Begin) -> None:
        """Let it serve.

        Raises:
            StartError: it cannot.
        """
        try:
            answer = await self._ask(message, STARTS_WITHIN)
        except WorkerGoneError as error:
            raise StartError("fault", f"worker {message.worker} {error}") from error
        if isinstance(answer, Refused):
            raise StartError(answer.kind, answer.text)
        if not isinstance(answer, Serving):
            raise StartError("fault", f"worker {message.worker} answers {type(answer).__name__}")
        self.listeners, self.policy, self.content = answer.listeners, answer.policy, message.content

    async def prepare(self, content: bytes) -> Done:
        """Let it build a configuration.

        Raises:
            WorkerGoneError: it ended, or does not answer.
        """
        return self._done(await self._ask(Prepare(content=content), ANSWERS_WITHIN))

    async def commit(self, content: bytes) -> None:
        """Let it put in force what it prepared.

        Raises:
            WorkerGoneError: it ended, or does not answer.
        """
        self.policy = self._done(await self._ask(Commit(), ANSWERS_WITHIN)).policy
        self.content = content

    def tell(self, order: Order) -> None:
        """Say something that needs no answer."""
        with suppress(OSError):
            self._writer.write(framed(order))

    def end(self) -> None:
        """Ask it to end: decisions under way finish. One that does not serve yet has none."""
        self._signal(signal.SIGKILL if self.policy is None else signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    async def hangs(self, hang_s: float) -> None:
        """Wait until its event loop has not turned for so many seconds."""
        await self._pulse.stops(hang_s)
        self.hung = True

    async def wait(self) -> int:
        """The exit code, negative for a signal, once it has ended."""
        code = await self._process.wait()
        self.policy = None
        self._pulse.close()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
        return code

    async def _ask(self, order: Order, within: float) -> Order | Answer:
        try:
            async with asyncio.timeout(within):
                self._writer.write(framed(order))
                await self._writer.drain()
                answer = await receive_async(self._reader)
        except TimeoutError:
            raise WorkerGoneError(f"does not answer within {within:g} s") from None
        except OSError:
            raise WorkerGoneError("ended") from None
        if answer is None:
            raise WorkerGoneError("ended")
        return answer

    @staticmethod
    def _done(answer: Order | Answer) -> Done:
        if not isinstance(answer, Done):
            raise WorkerGoneError(f"answers {type(answer).__name__}")
        return answer

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
