"""Events: an event stream of which each event goes on as soon as it is judged, and a buffered one judged at once."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from guardsvc.gateways.admission import OverloadedError
from guardsvc.gateways.ext_proc.answers import headers, streamed, trailers
from guardsvc.gateways.ext_proc.modified import modified_message
from guardsvc.gateways.ext_proc.whole import Outcome
from guardsvc.mcp import Refusal
from guardsvc.mcp.event_stream import EventSplitter, read_event
from guardsvc.model import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingResponse
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.gateways.ext_proc.inflate import Inflater
    from guardsvc.gateways.ext_proc.response import Response
    from guardsvc.policy import Policy

__all__ = ["EventStream", "read_events"]

SLICE = 65_536
"""Bytes that are cut into events at once, so that other streams have their turn."""
LISTENING = "http/get_stream"


class _Judged(msgspec.Struct, frozen=True):
    """What goes on of an event, and whether it is the last thing that does."""

    goes_on: bytes
    ends: bool = False
    plain: bool = False
    """It says nothing, and can wait for the next one."""


class EventStream:
    """Lets each event of a stream pass once it is judged. There is no limit to the time between events.

    A refused notification or question of the server is left out. A refused answer, and what cannot be read,
    becomes an error in its place, which ends the stream unless the client only listens.

    Args:
        response: the response.
        inflater: makes it plain where it is compressed.
    """

    def __init__(self, response: Response, inflater: Inflater | None = None) -> None:
        self._response = response
        self._inflater = inflater
        self._splitter = EventSplitter(response.desk.policy().settings.responses.max_event_bytes)
        self.over = self.closed = False

    @property
    def deadline(self) -> float | None:
        """When the event that has begun must be decided; None between events."""
        return None if self.over else self._response.deadline_from(self._splitter.begun)

    async def start(self) -> AsyncIterator[ProcessingResponse]:
        """The header fields go on at once; an unread body has none that tell its size or form."""
        yield headers("response", remove=("content-encoding",) if self._inflater else ())

    async def data(self, data: bytes, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        """Judge the events that the next bytes complete, and at the end what is left."""
        if self.over:
            return
        async for answer in self._events(data, end=end):
            yield answer
        if end and not self.over:
            for answer in streamed("response", b"", end=True):
                yield answer
        if end:
            self.over = True

    async def trailers(self) -> AsyncIterator[ProcessingResponse]:
        """The body is over, and trailer fields follow."""
        async for answer in self._events(b"", end=True):
            yield answer
        if not self.over:
            self.over = True
            yield trailers("response")

    async def late(self) -> AsyncIterator[ProcessingResponse]:
        """The deadline of the event that has begun has passed."""
        for answer in self._close(await self._refused("deadline_exceeded", listening_ends=True)):
            yield answer

    async def _events(self, data: bytes, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        try:
            plain = data if self._inflater is None else self._inflater.inflate(data)
            if end and self._inflater is not None:
                self._inflater.check_end()
        except Refusal as refusal:
            for answer in self._close(await self._refused(refusal.code, listening_ends=True)):
                yield answer
            return
        for start in range(0, len(plain), SLICE):
            async for answer in self._slice(plain[start : start + SLICE]):
                yield answer
            if self.over:
                return
        if end and (rest := self._splitter.rest()):
            # Some readers take what has no blank line behind it for an event too.
            async for answer in self._pass([rest], perf_counter()):
                yield answer

    async def _slice(self, plain: bytes) -> AsyncIterator[ProcessingResponse]:
        begun = self._splitter.begun
        events = self._splitter.feed(plain)
        async for answer in self._pass(events, begun):
            yield answer
        if self.over:
            return
        code = "too_large" if self._splitter.overfull else None
        try:
            self._response.holding.hold(self._splitter.pending)
        except OverloadedError as error:
            self._response.desk.intake.admission.tell(error.limit)
            code = "overloaded"
        if code is not None:
            for answer in self._close(await self._refused(code, listening_ends=True)):
                yield answer

    async def _pass(self, events: list[bytes], begun: float | None) -> AsyncIterator[ProcessingResponse]:
        out = bytearray()
        for raw in events:
            judged = await _judge_event(self._response, raw, begun or perf_counter())
            begun = None
            if judged.ends:
                for answer in self._close(_Judged(bytes(out) + judged.goes_on, ends=True)):
                    yield answer
                return
            out += judged.goes_on
            if not judged.plain or len(out) >= SLICE:
                for answer in streamed("response", bytes(out), end=False):
                    yield answer
                out.clear()
        for answer in streamed("response", bytes(out), end=False):
            yield answer

    async def _refused(self, code: str, *, listening_ends: bool) -> _Judged:
        policy, exchange = await self._response.refuse(code, in_stream=True)
        return _refusal(self._response, policy, exchange, self._splitter.rest(), listening_ends=listening_ends)

    def _close(self, judged: _Judged) -> list[ProcessingResponse]:
        """Send the last that goes on."""
        if judged.ends:
            self.over = self.closed = True
            self._splitter.rest()
            self._response.holding.release()
        return list(streamed("response", judged.goes_on, end=judged.ends))


async def read_events(response: Response, body: bytes, begun: float) -> Outcome:
    """A whole body of events, in which refused ones are left out or replaced."""
    splitter = EventSplitter(len(body))
    events = splitter.feed(body)
    if rest := splitter.rest():
        events.append(rest)
    out = bytearray()
    for raw in events:
        judged = await _judge_event(response, raw, begun)
        out += judged.goes_on
        if judged.ends:
            break
    return Outcome(body=None if out == body else bytes(out))


async def _judge_event(response: Response, raw: bytes, begun: float) -> _Judged:
    most = response.desk.policy().settings.responses.max_event_bytes
    if len(raw) > most:
        policy, exchange = await response.refuse("too_large", in_stream=True)
        return _refusal(response, policy, exchange, raw)
    try:
        event = read_event(raw)
    except Refusal as refusal:
        policy, exchange = await response.refuse(refusal.code, raw, in_stream=True)
        return _refusal(response, policy, exchange, raw)
    if not event.data:
        return _Judged(raw, plain=True)
    policy, exchange = await response.judge(event.data, in_stream=True, begun=begun)
    if exchange.refusal is not None:
        return _refusal(response, policy, exchange, raw)
    changed = modified_message(exchange)
    return _Judged(raw if changed is None else event.with_data(changed))


def _refusal(
    response: Response, policy: Policy, exchange: Exchange, raw: bytes, *, listening_ends: bool = False
) -> _Judged:
    """What goes on in place of a refused event."""
    if exchange.refusal is None:
        return _Judged(raw)
    if exchange.leading.operation.kind in (Kind.NOTIFICATION, Kind.REQUEST) and not exchange.batch:
        return _Judged(b"")
    origin = response.origin
    denial = response.denial(exchange, policy)
    listening = origin is not None and origin.method == LISTENING
    told = b""
    if (origin is not None and origin.id is not None) or exchange.leading.operation.id is not None:
        told = f"event: message\ndata: {denial.body}\n\n".encode()
    return _Judged(told, ends=listening_ends or not listening)
