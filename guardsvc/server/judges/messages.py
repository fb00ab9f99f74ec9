"""Messages: what a worker and a process that judges say to each other, over a pair of sockets that nobody else has.

Each is two lengths, a pickle, and beside it the body that is to be judged, which no copy is made of. Both ends are
guardsvc, of one version and one user.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from typing import Any

import msgspec

from guardsvc.gateways.exchange import Asker, Exchange
from guardsvc.gateways.server_message import ServerMessage
from guardsvc.gateways.statement import Statement
from guardsvc.mcp import HttpRequest
from guardsvc.model import Direction, ErrorKind, FactRequest, Operation, Phase
from guardsvc.observe.logs import LogFormat, LogLevel

__all__ = [
    "Adopt",
    "Ask",
    "Asked",
    "Begin",
    "Evaluate",
    "Failed",
    "Judge",
    "Judged",
    "Ready",
    "Told",
    "receive",
    "send",
]

LENGTHS = struct.Struct("!QQ")

Asked = HttpRequest | Statement | ServerMessage
"""What is judged."""
BODIES: dict[type[Asked], str] = {HttpRequest: "body", Statement: "payload", ServerMessage: "body"}
"""Where it has its body."""


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """How a process begins; the first message.

    Attributes:
        worker: number of the worker in every log line, None where there is one.
        level, format: of logs.
        nice: how far it stands back behind the worker.
        memory: bytes of memory it may have, None for no limit.
        audit: id and secret of the key of the audit's digests, None where there is no audit.
        include_arguments: whether the audit holds arguments as they are.
    """

    worker: int | None
    level: LogLevel
    format: LogFormat
    nice: int
    memory: int | None
    audit: tuple[str, bytes] | None = None
    include_arguments: bool = False


class Adopt(msgspec.Struct, frozen=True, kw_only=True):
    """Build a policy; answered with ``Ready``.

    Attributes:
        key: stands for it from now on.
        source: the configuration file, None for the built-in one.
        content: what the file held.
        overrides: settings over the file's.
        workers: how many workers run.
        hash: of the policy, as the worker has built it.
        asked: where guards run that the worker asks, by id; only the worker builds them.
    """

    key: int
    source: str | None
    content: bytes
    overrides: dict[str, Any]
    workers: int
    hash: str
    asked: dict[str, frozenset[tuple[Direction, Phase]]]


class Ready(msgspec.Struct, frozen=True):
    """A policy is built; ``problem`` says why it is not."""

    key: int
    problem: str = ""


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """Judge; answered with ``Judged`` after any number of ``Ask``.

    Attributes:
        key: of the policy.
        asked: what is judged.
        asker: who asks, without the refusal of the caller.
        refusal: code and text of that refusal.
        deadline: on the clock of ``time.perf_counter``, which all processes of a machine share.
    """

    key: int
    asked: Asked
    asker: Asker
    refusal: tuple[str, str] | None
    deadline: float


class Judged(msgspec.Struct, frozen=True):
    """What was decided, without payloads and header fields; or why nothing was."""

    exchange: Exchange | None
    problem: str = ""


class Evaluate(msgspec.Struct, frozen=True):
    """Ask a guard that is no native one."""

    guard: str
    operation: Operation
    facts: dict[str, Any]


class Ask(msgspec.Struct, frozen=True):
    """Something that only the worker has; answered with ``Told``.

    Attributes:
        number: of the question.
        what: name of a fact and the request for it, whose operation has no payload; or a guard to ask.
        seconds: after which nobody waits for the answer.
    """

    number: int
    what: tuple[str, FactRequest] | Evaluate
    seconds: float


class Failed(msgspec.Struct, frozen=True):
    """Why there is no answer; ``kind`` where it is the failure of a guard or a source that knows why."""

    text: str
    kind: ErrorKind | None = None


class Told(msgspec.Struct, frozen=True):
    """The answer to a question: the fact, the verdict, or ``Failed``."""

    number: int
    answer: Any


def send(writer: asyncio.StreamWriter, message: Any) -> None:
    """Write a message."""
    body = b""
    if isinstance(message, Judge):
        body = getattr(message.asked, BODIES[type(message.asked)])
        message = _with_body(message, b"")
    pickled = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    writer.write(LENGTHS.pack(len(pickled), len(body)) + pickled)
    if body:
        writer.write(body)


async def receive(reader: asyncio.StreamReader) -> Any:
    """The next message, None where the other side is gone."""
    try:
        pickled, beside = LENGTHS.unpack(await reader.readexactly(LENGTHS.size))
        message = pickle.loads(await reader.readexactly(pickled))  # noqa: S301  see above
        return _with_body(message, await reader.readexactly(beside)) if beside else message
    except (asyncio.IncompleteReadError, OSError):
        return None


def _with_body(message: Judge, body: bytes) -> Judge:
    asked = msgspec.structs.replace(message.asked, **{BODIES[type(message.asked)]: body})
    return msgspec.structs.replace(message, asked=asked)
