"""Whole: a response body that is kept back until it has come to its end and is judged."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import msgspec

from guardsvc.gateways.admission import OverloadedError
from guardsvc.gateways.ext_proc.answers import buffered, headers, immediate, streamed, trailers
from guardsvc.gateways.ext_proc.echo import Echo
from guardsvc.gateways.ext_proc.modified import modified_message
from guardsvc.gateways.ext_proc.wire import BodyMode
from guardsvc.mcp import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingResponse
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.gateways.ext_proc.inflate import Inflater
    from guardsvc.gateways.ext_proc.response import Response
    from guardsvc.policy import Policy

__all__ = ["Outcome", "Reads", "WholeBody", "read_json", "refused_unread"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a body.

    Attributes:
        body: to go on in place of the one that came, None for that itself.
        refused: the refusal where it does not go on, with the policy that refused.
    """

    body: bytes | None = None
    refused: tuple[Policy, Exchange] | None = None


class Reads(Protocol):
    """Judges a whole body."""

    def __call__(self, response: Response, body: bytes, begun: float) -> Awaitable[Outcome]:
        """The body is plain; ``begun`` is when its first byte came."""


async def read_json(response: Response, body: bytes, begun: float) -> Outcome:
    """A body of one message. An empty one says nothing."""
    if not body:
        return Outcome()
    policy, exchange = await response.judge(body, in_stream=False, begun=begun)
    if exchange.refusal is not None:
        return Outcome(refused=(policy, exchange))
    return Outcome(body=modified_message(exchange))


def refused_unread(code: str) -> Reads:
    """A body that is refused whatever it says, unless it is empty."""

    async def read(response: Response, body: bytes, begun: float) -> Outcome:
        del begun
        if not body:
            return Outcome()
        policy, exchange = await response.refuse(code, body)
        return Outcome(refused=(policy, exchange) if exchange.refusal else None)

    return read


class WholeBody:
    """Keeps the body back, and the header fields with it where the gateway lets it.

    Args:
        response: the response.
        reads: judges the body.
        inflater: makes it plain where it is compressed.
    """

    def __init__(self, response: Response, reads: Reads, inflater: Inflater | None = None) -> None:
        self._response = response
        self._reads = reads
        self._inflater = inflater
        self._came = bytearray()
        self._plain = bytearray() if inflater else self._came
        self._begun: float | None = None
        self._passes: Echo | None = None
        self.over = self.closed = False

    @property
    def deadline(self) -> float | None:
        """When the body must be decided, on the clock of ``time.perf_counter``."""
        return None if self.over or self._passes else self._response.deadline_from(self._begun)

    @property
    def _streams(self) -> bool:
        return self._response.mode is BodyMode.FULL_DUPLEX_STREAMED

    async def start(self) -> AsyncIterator[ProcessingResponse]:
        """A gateway that buffers the body wants the header fields back first."""
        if not self._streams:
            yield headers("response")

    async def data(self, data: bytes, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        """Keep the next bytes, and judge them all at the end."""
        if self._passes is not None:
            async for answer in self._passes.data(data, end=end):
                yield answer
            self.over = self._passes.over
            return
        if self._begun is None and data:
            self._begun = perf_counter()
        end = end or not self._streams  # a buffered body comes at once, and trailer fields may follow
        code = self._take(data, end=end)
        if code is not None:
            async for answer in self._refuse(code, end=end):
                yield answer
        elif end:
            async for answer in self._finish(end=True):
                yield answer

    async def trailers(self) -> AsyncIterator[ProcessingResponse]:
        """The body is over, and trailer fields follow."""
        if self._passes is None and not self.over:
            code = self._take(b"", end=True)
            ending = self._finish(end=False) if code is None else self._refuse(code, end=False)
            async for answer in ending:
                yield answer
            if self.closed:
                return
        self.over = True
        yield trailers("response")

    async def late(self) -> AsyncIterator[ProcessingResponse]:
        """The deadline has passed."""
        async for answer in self._refuse("deadline_exceeded", end=False):
            yield answer

    def _take(self, data: bytes, *, end: bool) -> str | None:
        """Keep the bytes; why they cannot be, where they cannot."""
        most = self._response.desk.policy().rules.response_limits.max_bytes
        try:
            self._came += data
            if self._inflater is not None:
                self._plain += self._inflater.inflate(data)
                if end:
                    self._inflater.check_end()
            if len(self._came) > most or len(self._plain) > most:
                return "too_large"
            self._response.holding.hold(len(self._came) + (len(self._plain) if self._inflater else 0))
        except OverloadedError as error:
            self._response.desk.intake.admission.tell(error.limit)
            return "overloaded"
        except Refusal as refusal:
            return refusal.code
        return None

    async def _refuse(self, code: str, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        policy, exchange = await self._response.refuse(code)
        if exchange.refusal is None:
            async for answer in self._pass(None, end=end):
                yield answer
            self._passes = Echo("response", self._response.mode)
        else:
            yield self._denied(policy, exchange)

    async def _finish(self, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        outcome = await self._reads(self._response, bytes(self._plain), self._begun or perf_counter())
        if outcome.refused is not None:
            yield self._denied(*outcome.refused)
            return
        async for answer in self._pass(outcome.body, end=end):
            yield answer
        if not end:
            self._passes = Echo("response", self._response.mode)

    async def _pass(self, body: bytes | None, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        """Let the body go on, as another one or, byte for byte, as it came."""
        encoded = ("content-encoding",) if body is not None and self._inflater is not None else ()
        if self._streams:
            yield headers("response", remove=encoded)
            for answer in streamed("response", bytes(self._came) if body is None else body, end=end):
                yield answer
        else:
            sized = "content-length" in self._response.headers
            yield buffered("response", body, sized=sized, remove=encoded)
        self.over = end
        self._drop()

    def _denied(self, policy: Policy, exchange: Exchange) -> ProcessingResponse:
        self.over = self.closed = True
        self._drop()
        return immediate(self._response.denial(exchange, policy), exchange.leading.id)

    def _drop(self) -> None:
        self._came, self._plain = bytearray(), bytearray()
        self._response.holding.release()
