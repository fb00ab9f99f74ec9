"""Wire: the SDK's client and plain HTTP requests, with a note of what each put on the wire and got back."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

__all__ = ["DECISION_ID", "Exchange", "Wire"]

DECISION_ID = "x-guardsvc-decision-id"
SECONDS = 10.0


@dataclass(frozen=True)
class Exchange:
    """One HTTP request as it was sent, with what came back: status, decision id, and seconds to wait before another."""

    method: str
    body: bytes
    status: int
    decision_id: str | None
    retry_after: str | None = None


class Wire:
    """An HTTP client that notes every exchange.

    Attributes:
        exchanges: oldest first; one stands here once its response headers have arrived.
        tamper: changes each request after the SDK has made it, as an intermediary could.
    """

    def __init__(self, tamper: Callable[[httpx2.Request], None] | None = None) -> None:
        self.exchanges: list[Exchange] = []
        self.tamper = tamper
        self.http = httpx2.AsyncClient(
            event_hooks={"request": [self._send], "response": [self._note]},
            timeout=SECONDS,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        """Open."""
        await self.http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self.http.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def client(self, url: str, mode: str) -> AsyncIterator[Client]:
        """A connected client of the SDK.

        Args:
            url: the MCP endpoint.
            mode: ``auto`` finds out the revision, ``legacy`` opens a session of 2025-11-25.
        """
        transport = streamable_http_client(url, http_client=self.http)
        async with Client(transport, mode=mode, cache=None, read_timeout_seconds=SECONDS) as client:
            yield client

    @property
    def last_post(self) -> Exchange:
        """The latest POST that was answered."""
        return next(exchange for exchange in reversed(self.exchanges) if exchange.method == "POST")

    async def _send(self, request: httpx2.Request) -> None:
        if self.tamper is not None:
            self.tamper(request)

    async def _note(self, response: httpx2.Response) -> None:
        request, stream = response.request, response.request.stream
        # What tamper has put in its place is only there.
        body = b"".join(stream) if isinstance(stream, httpx2.ByteStream) else request.content
        headers = response.headers
        self.exchanges.append(
            Exchange(request.method, body, response.status_code, headers.get(DECISION_ID), headers.get("retry-after"))
        )
