"""HTTP: a server behind a URL, whose answers are bounded."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from guardsvc.cli.scan.meter import BoundError, Meter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from mcp.client._transport import TransportStreams

__all__ = ["HttpLog", "event_stream", "streamable"]

PATIENCE = 15.0
"""Seconds that a connection, or the next piece of an answer, may take."""
PARTING = 2.0
"""Seconds for the end of a session."""
_NO_SUCH_ENDPOINT = frozenset({400, 404, 405, 406, 415, 501})


class HttpLog:
    """What a server answered with, beside its messages.

    Attributes:
        statuses: of answers to POST, in order.
        session: id of the session, None where there is none.
    """

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.session: str | None = None

    @property
    def speaks_streamable(self) -> bool:
        """Whether nothing says that there is an older endpoint instead."""
        return not self.statuses or any(status not in _NO_SUCH_ENDPOINT for status in self.statuses)


class _Bounded(httpx2.AsyncByteStream):
    """A body that is read until a bound is passed."""

    def __init__(self, stream: Any, meter: Meter, *, kind: str) -> None:
        self._stream = stream
        self._meter = meter
        self._is_stream = kind.startswith("text/event-stream")
        self._is_message = kind.startswith("application/json")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, kept = 0, bytearray()
        async for piece in self._stream:
            size += len(piece)
            self._meter.add(len(piece), len(piece) if self._is_stream else size)
            if self._is_message:
                kept += piece
            yield piece
        if kept:
            self._meter.read(bytes(kept))

    async def aclose(self) -> None:
        await self._stream.aclose()


def _client(fields: Sequence[tuple[str, str]], meter: Meter, log: HttpLog) -> httpx2.AsyncClient:
    async def bound(response: httpx2.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            meter.refuse("an answer that is compressed though nobody asked for it")
        if response.request.method == "POST":
            log.statuses.append(response.status_code)
            log.session = response.headers.get("mcp-session-id", log.session)
        response.stream = _Bounded(response.stream, meter, kind=response.headers.get("content-type", "").lower())

    headers = httpx2.Headers([*fields, ("accept-encoding", "identity")])
    timeout = httpx2.Timeout(PATIENCE)
    return httpx2.AsyncClient(headers=headers, timeout=timeout, event_hooks={"response": [bound]})


@asynccontextmanager
async def streamable(
    url: str, fields: Sequence[tuple[str, str]], meter: Meter, log: HttpLog
) -> AsyncGenerator[TransportStreams, None]:
    """Streamable HTTP, of every revision since 2025-03-26.

    Args:
        url: of the server.
        fields: header fields of every request.
        meter: counts what it sends.
        log: is told how it answers.
    """
    async with _client(fields, meter, log) as client:
        most = meter.bounds.message_bytes
        async with streamable_http_client(
            url, http_client=client, terminate_on_close=False, max_sse_event_size=most
        ) as streams:
            yield streams
        if log.session is not None:
            with suppress(httpx2.HTTPError, TimeoutError, BoundError):
                await asyncio.wait_for(client.delete(url, headers={"mcp-session-id": log.session}), PARTING)


@asynccontextmanager
async def event_stream(
    url: str, fields: Sequence[tuple[str, str]], meter: Meter, log: HttpLog
) -> AsyncGenerator[TransportStreams, None]:
    """HTTP with SSE, as it was until 2024-11-05; the same otherwise."""

    def make(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        del headers, timeout, auth
        return _client(fields, meter, log)

    async with sse_client(url, httpx_client_factory=make) as streams:
        yield streams
