"""Load: calls a gRPC method as fast as the server answers, at a fraction of a gRPC client's own cost.

Requests are frames made once (RFC 9113); only the stream id differs from call to call. A Python gRPC
client would need more CPU than the server it measures.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LoadError", "Measured", "run_load"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
PREFIX = 5
"""Bytes of a gRPC message before its content."""
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
FIRST_WINDOW = 65_535
OUR_WINDOW = 1 << 30
LAST_STREAM = (1 << 31) - 3


class LoadError(Exception):
    """The server refused a call or closed the connection."""


class Measured(msgspec.Struct, frozen=True):
    """What a run of calls came to.

    Attributes:
        calls: calls answered.
        seconds: wall time.
        latencies: seconds of each call, sorted.
    """

    calls: int
    seconds: float
    latencies: list[float]

    def quantile(self, share: float) -> float:
        """Latency in seconds that this share of calls did not exceed."""
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


async def run_load(
    address: str,
    path: str,
    message: bytes,
    *,
    seconds: float,
    connections: int,
    calls_each: int,
    begins: bytes = b"",
) -> Measured:
    """Keep ``connections * calls_each`` calls under way for ``seconds``.

    Args:
        address: ``host:port`` without TLS.
        path: gRPC method, ``/package.Service/Method``.
        message: the serialised request.
        seconds: how long.
        connections: number of connections.
        calls_each: calls under way on each.
        begins: the first bytes of every answer that counts.

    Raises:
        LoadError: a call was not answered with such a message.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    clients: list[_Client] = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: _Client(path, message, address, begins), host, int(port))
        clients.append(client)
    started = perf_counter()
    for client in clients:
        client.begin(calls_each, started + seconds)
    await asyncio.gather(*(client.done for client in clients))
    elapsed = perf_counter() - started
    latencies = sorted(latency for client in clients for latency in client.latencies)
    return Measured(len(latencies), elapsed, latencies)


class _Client(asyncio.Protocol):
    """One connection with its calls."""

    def __init__(self, path: str, message: bytes, authority: str, begins: bytes) -> None:
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._headers = _header_block(path, authority)
        self._begins = begins
        self._body = b"\0" + len(message).to_bytes(4, "big") + message
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._stream = 1
        self._started: dict[int, float] = {}
        self._answered: set[int] = set()
        self._waiting: deque[None] = deque()
        self._window = FIRST_WINDOW
        self._end = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # create_connection makes no other
        self._transport = transport
        transport.write(
            PREFACE + _frame(SETTINGS, 0, 0, b"") + _frame(WINDOW_UPDATE, 0, 0, OUR_WINDOW.to_bytes(4, "big"))
        )

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(LoadError(f"the server closed the connection: {exc}"))

    def begin(self, calls: int, end: float) -> None:
        """Start the first calls; each one answered starts the next until ``end``."""
        self._end = end
        for _ in range(calls):
            self._call()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        position = 0
        while len(buffer) - position >= 9:  # noqa: PLR2004  # length of a frame header
            length = int.from_bytes(buffer[position : position + 3], "big")
            if len(buffer) - position < 9 + length:
                break
            kind, flags = buffer[position + 3], buffer[position + 4]
            stream = int.from_bytes(buffer[position + 5 : position + 9], "big") & 0x7FFFFFFF
            self._take(kind, flags, stream, bytes(buffer[position + 9 : position + 9 + length]))
            position += 9 + length
        del buffer[:position]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA and payload and stream not in self._answered:
            self._answered.add(stream)
            if not payload.startswith(self._begins, PREFIX):
                self._fail("an answer is not the one expected")
        elif kind == WINDOW_UPDATE and stream == 0:
            self._window += int.from_bytes(payload, "big")
            while self._waiting and self._window >= len(self._body):
                self._waiting.popleft()
                self._call()
        elif kind == SETTINGS and not flags & ACK:
            self._transport.write(_frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._transport.write(_frame(PING, ACK, 0, payload))
        elif kind in (RST_STREAM, GOAWAY):
            self._fail("a call was reset" if kind == RST_STREAM else "the server went away")
        if flags & END_STREAM and kind in (DATA, HEADERS):
            self._finish(stream)

    def _finish(self, stream: int) -> None:
        if stream not in self._answered:
            self._fail("a call ended without a message")
            return
        self._answered.discard(stream)
        now = perf_counter()
        self.latencies.append(now - self._started.pop(stream))
        if now < self._end and self._stream < LAST_STREAM:
            self._call()
        elif not self._started and not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def _call(self) -> None:
        if self._window < len(self._body):
            self._waiting.append(None)
            return
        self._window -= len(self._body)
        stream, self._stream = self._stream, self._stream + 2
        self._started[stream] = perf_counter()
        self._transport.write(
            _frame(HEADERS, END_HEADERS, stream, self._headers) + _frame(DATA, END_STREAM, stream, self._body)
        )

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(LoadError(why))
        self._transport.abort()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _header_block(path: str, authority: str) -> bytes:
    """HPACK without table or Huffman code (RFC 7541 section 6.2.2), so that every call can repeat it."""
    fields: Iterable[tuple[str, str]] = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", "2S"),
    )
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    if len(text) > 126:  # noqa: PLR2004  # beyond, lengths need a second byte
        raise ValueError(f"{text[:80]!r} is too long for a header of the benchmark")
    return bytes((len(text),)) + text.encode("ascii")
