"""Channel: what the supervisor and a worker say to each other, over a pair of sockets that nobody else has.

Nothing of it is on a command line or in an environment, where other processes could read it: the shared key of the
seal comes this way. Each message is its length in four bytes and MessagePack. The supervisor asks, the worker answers
once; before that it says once that it serves, or why it cannot.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Literal

import msgspec

from guardsvc.observe.logs import LogLevel

__all__ = [
    "Answer",
    "Begin",
    "Commit",
    "Discard",
    "Done",
    "FaultKind",
    "Order",
    "Prepare",
    "Refresh",
    "Refused",
    "Serving",
    "ShowLevel",
    "framed",
    "receive",
    "receive_async",
    "send",
]

LENGTH = struct.Struct("!I")

FaultKind = Literal["address", "configuration", "fault"]


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """How a worker begins.

    Attributes:
        worker: its number.
        source: configuration file, None for the built-in one.
        content: what the file held; every worker is built from the same bytes.
        overrides: settings over the file's.
        service: the pickled settings of the process, which stay what they were when the service started.
        metrics: folder of the metrics.
        level: log level shown now.
    """

    worker: int
    source: str | None
    content: bytes
    overrides: dict[str, Any]
    service: bytes
    metrics: str
    level: LogLevel


class Prepare(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Build a configuration and keep it ready; answered with ``Done``."""

    content: bytes


class Commit(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Put what was prepared in force; answered with ``Done``."""


class Discard(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Let go of what was prepared."""


class ShowLevel(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Show logs from this level on."""

    level: LogLevel


class Refresh(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Look at the files of certificates."""


class Serving(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The worker takes decisions.

    Attributes:
        listeners: address of each listener, by name.
        policy: hash of the policy in force.
    """

    listeners: dict[str, str]
    policy: str


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The worker cannot begin, and ends."""

    kind: FaultKind
    text: str


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What came of an order.

    Attributes:
        policy: hash of the policy prepared or in force.
        problems: why there is none.
    """

    policy: str = ""
    problems: list[str] = []


Order = Begin | Prepare | Commit | Discard | ShowLevel | Refresh
Answer = Serving | Refused | Done

_decoder: msgspec.msgpack.Decoder[Order | Answer] = msgspec.msgpack.Decoder(Order | Answer)


def send(connection: socket.socket, message: Order | Answer) -> None:
    """Send a message, waiting until the other side has room for it.

    Raises:
        OSError: the other side is gone.
    """
    connection.sendall(framed(message))


def receive(connection: socket.socket) -> Order | Answer | None:
    """Wait for a message; None where the other side is gone."""
    head = _exactly(connection, LENGTH.size)
    body = _exactly(connection, LENGTH.unpack(head)[0]) if head else b""
    return _decoder.decode(body) if body else None


async def receive_async(reader: asyncio.StreamReader) -> Order | Answer | None:
    """What ``receive`` does, for an event loop."""
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        return _decoder.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError):
        return None


def framed(message: Order | Answer) -> bytes:
    """A message as it is sent."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body


def _exactly(connection: socket.socket, size: int) -> bytes:
    """That many bytes, or none where the other side is gone before."""
    data = bytearray()
    while len(data) < size:
        try:
            more = connection.recv(size - len(data))
        except OSError:
            return b""
        if not more:
            return b""
        data += more
    return bytes(data)
