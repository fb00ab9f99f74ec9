"""An open-loop HTTP/2 client for gRPC: calls leave on a schedule that no answer can slow down.

A call counts from the moment it was due, not from the moment it left, so that a server which stops is measured by
all the calls that it keeps waiting. Frames are made once (RFC 9113), as a Python gRPC client would need more of the
machine than the server under test.
"""

from __future__ import annotations

import asyncio
import gc
import selectors
from collections import deque
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

CHECK = "/envoy.service.auth.v3.Authorization/Check"
GRPC = {"te": "trailers", "content-type": "application/grpc"}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
INITIAL_WINDOW_SIZE = 4
FIRST_WINDOW = 65_535
LARGEST_FRAME = 16_384
OUR_WINDOW = 1 << 30
FRAMES_AT_ONCE = 16
SETTLES_WITHIN = 20.0


class Call:
    """One call.

    Attributes:
        due: when it should have left, on the clock of ``time.perf_counter``.
        left: when its last byte was handed to the transport; 0.0 while it waits for the server to take more.
        ended: when it ended; 0.0 while it has not.
        answer: the message, None where it ended without one.
        over: is set at its end, where somebody waits for it.
    """

    __slots__ = ("answer", "due", "ended", "left", "over")

    def __init__(self, due: float) -> None:
        self.due = due
        self.left = 0.0
        self.ended = 0.0
        self.answer: bytes | None = None
        self.over: asyncio.Future[None] | None = None

    def end(self) -> None:
        """It ends now."""
        self.ended = perf_counter()
        if self.over is not None and not self.over.done():
            self.over.set_result(None)

    async def wait(self) -> None:
        """Wait until it ends."""
        if not self.ended:
            self.over = asyncio.get_running_loop().create_future()
            await self.over

    @property
    def latency(self) -> float:
        """Seconds from when it was due to its end."""
        return self.ended - self.due


class Connection(asyncio.Protocol):
    """One connection with its calls, which obeys the server's windows and never blocks its caller.

    Args:
        headers: block of every call.
        reads: whether it takes what the server sends; one that does not leaves answers in the server's hands.
    """

    def __init__(self, headers: bytes, *, reads: bool = True) -> None:
        self.lost = asyncio.get_running_loop().create_future()
        self.under_way: dict[int, Call] = {}
        self._headers = headers
        self._reads = reads
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._next = 1
        self._window = FIRST_WINDOW
        self._stream_window = FIRST_WINDOW
        self._windows: dict[int, int] = {}
        self._sending: deque[tuple[int, memoryview]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(PREFACE + _frame(SETTINGS, 0, 0))
        if self._reads:
            transport.write(_frame(WINDOW_UPDATE, 0, 0, _u32(OUR_WINDOW)))
        else:
            transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        for call in self.under_way.values():
            call.end()
        self.under_way.clear()
        if not self.lost.done():
            self.lost.set_result(exc)

    def close(self) -> None:
        self._transport.abort()

    def send(self, body: bytes, due: float) -> Call:
        """Begin a call with a message framed by ``framed``; on a connection that was lost it ends at once."""
        call = Call(due)
        if self.lost.done():
            call.end()
            return call
        stream = self._open(call)
        if not self._sending and len(body) <= min(self._window, self._stream_window, LARGEST_FRAME):
            self._window -= len(body)
            self._transport.write(
                _frame(HEADERS, END_HEADERS, stream, self._headers) + _frame(DATA, END_STREAM, stream, body)
            )
            call.left = perf_counter()
        else:
            self._transport.write(_frame(HEADERS, END_HEADERS, stream, self._headers))
            self._windows[stream] = self._stream_window
            self._sending.append((stream, memoryview(body)))
            self._pump()
        return call

    def begin(self, part: bytes = b"") -> int:
        """Begin a call and send only a part of its message; ``finish`` sends the rest.

        Returns:
            The stream.
        """
        stream = self._open(Call(perf_counter()))
        self._transport.write(_frame(HEADERS, END_HEADERS, stream, self._headers))
        if part:
            self._window -= len(part)
            self._transport.write(_frame(DATA, 0, stream, part))
        return stream

    def finish(self, stream: int, rest: bytes) -> None:
        """Send the rest of the message of a call that ``begin`` began; it counts from now."""
        call = self.under_way.get(stream)
        if call is None:
            return
        call.due = perf_counter()
        self._windows[stream] = self._stream_window
        self._sending.append((stream, memoryview(rest)))
        self._pump()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        position = 0
        while len(buffer) - position >= 9:
            length = int.from_bytes(buffer[position : position + 3], "big")
            if len(buffer) - position < 9 + length:
                break
            kind, flags = buffer[position + 3], buffer[position + 4]
            stream = int.from_bytes(buffer[position + 5 : position + 9], "big") & 0x7FFFFFFF
            self._take(kind, flags, stream, bytes(buffer[position + 9 : position + 9 + length]))
            position += 9 + length
        del buffer[:position]

    def _open(self, call: Call) -> int:
        stream, self._next = self._next, self._next + 2
        self.under_way[stream] = call
        return stream

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA and stream in self.under_way:
            call = self.under_way[stream]
            call.answer = (call.answer or b"") + payload
        elif kind == WINDOW_UPDATE:
            if stream == 0:
                self._window += int.from_bytes(payload, "big")
            elif stream in self._windows:
                self._windows[stream] += int.from_bytes(payload, "big")
            self._pump()
        elif kind == SETTINGS and not flags & ACK:
            self._obey(payload)
            self._transport.write(_frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._transport.write(_frame(PING, ACK, 0, payload))
        if kind == RST_STREAM or (flags & END_STREAM and kind in {DATA, HEADERS}):
            self._end(stream)

    def _obey(self, settings: bytes) -> None:
        for at in range(0, len(settings), 6):
            if int.from_bytes(settings[at : at + 2], "big") == INITIAL_WINDOW_SIZE:
                value = int.from_bytes(settings[at + 2 : at + 6], "big")
                for stream in self._windows:
                    self._windows[stream] += value - self._stream_window
                self._stream_window = value
        self._pump()

    def _end(self, stream: int) -> None:
        self._windows.pop(stream, None)
        if call := self.under_way.pop(stream, None):
            call.end()

    def _pump(self) -> None:
        """Send what waits as far as the windows allow, a frame of each call in turn, and soon go on."""
        stuck = sent = 0
        while self._sending and self._window > 0 and stuck < len(self._sending):
            if sent == FRAMES_AT_ONCE:
                asyncio.get_running_loop().call_soon(self._pump)
                return
            stream, rest = self._sending.popleft()
            call = self.under_way.get(stream)
            if call is None:
                continue
            length = min(len(rest), self._window, self._windows[stream], LARGEST_FRAME)
            if length <= 0:
                self._sending.append((stream, rest))
                stuck += 1
                continue
            stuck, sent = 0, sent + 1
            self._window -= length
            self._windows[stream] -= length
            last = length == len(rest)
            self._transport.write(_frame(DATA, END_STREAM if last else 0, stream, bytes(rest[:length])))
            if last:
                call.left = perf_counter()
            else:
                self._sending.append((stream, rest[length:]))


class Pacer:
    """Sends the same message at a fixed rate over some connections in turn.

    Args:
        connections: open connections.
        body: the message, framed.
        rate: calls per second.

    Attributes:
        latest: most seconds that a call left after it was due, the client's own delay.
    """

    def __init__(self, connections: list[Connection], body: bytes, rate: float) -> None:
        self.latest = 0.0
        self._connections = connections
        self._body = body
        self._rate = rate

    async def run(self, seconds: float, *, settle: bool = True) -> list[Call]:
        """Send for so long.

        Args:
            seconds: how long.
            settle: whether to wait until all has ended.

        Returns:
            The calls of this run.
        """
        calls = await self._sent(seconds)
        if settle:
            await self.settled(calls)
        return calls

    @staticmethod
    async def settled(calls: list[Call]) -> None:
        """Wait until all calls have ended, or should have."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLES_WITHIN):
                for call in calls:
                    await call.wait()

    async def _sent(self, seconds: float) -> list[Call]:
        calls = []
        loop = asyncio.get_running_loop()
        begun = perf_counter() + 0.001
        offset = loop.time() - perf_counter()
        for number in range(int(seconds * self._rate)):
            due = begun + number / self._rate
            if due > perf_counter():
                arrived = loop.create_future()
                loop.call_at(due + offset, _arrive, arrived)
                await arrived
            self.latest = max(self.latest, perf_counter() - due)
            calls.append(self._connections[number % len(self._connections)].send(self._body, due))
        return calls


def _arrive(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)


async def connect(
    address: str, count: int = 1, *, headers: bytes | None = None, reads: bool = True, seconds: int = 10
) -> list[Connection]:
    """Open connections to ``host:port``.

    Args:
        address: of the server.
        count: how many.
        headers: block of every call; that of a Check unless given.
        reads: as in ``Connection``.
        seconds: how long a Check may take.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    connections = []
    sent = header_block(CHECK, address, {**GRPC, "grpc-timeout": f"{seconds}S"}) if headers is None else headers
    for _ in range(count):
        _, made = await loop.create_connection(lambda: Connection(sent, reads=reads), host, int(port))
        connections.append(made)
    return connections


async def saturate(connections: list[Connection], body: bytes, *, each: int, seconds: float) -> list[Call]:
    """Keep so many calls under way on each connection for so long, each one that ends followed by another.

    Returns:
        The calls that ended in time.
    """
    ended: list[Call] = []
    end = perf_counter() + seconds

    async def keep(connection: Connection) -> None:
        while (now := perf_counter()) < end:
            call = connection.send(body, now)
            await call.wait()
            ended.append(call)

    await asyncio.gather(*(keep(connection) for connection in connections for _ in range(each)))
    return ended


def framed(message: bytes) -> bytes:
    """A gRPC message with its prefix."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a client on a loop whose timers are good to some ten microseconds; epoll's are to a millisecond."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(main)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without garbage collection of this process, which would be measured as the server's delay."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + _u32(stream) + payload


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def header_block(path: str, authority: str, fields: Mapping[str, str]) -> bytes:
    """HPACK without table or Huffman code (RFC 7541 section 6.2.2), so that every call can repeat it."""
    pseudo = {":method": "POST", ":scheme": "http", ":path": path, ":authority": authority}
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in {**pseudo, **fields}.items())


def _text(text: str) -> bytes:
    assert len(text) < 127, "longer texts need a second byte of length"
    return bytes((len(text),)) + text.encode("ascii")
