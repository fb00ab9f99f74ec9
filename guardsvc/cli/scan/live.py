"""Live: asks a running server for everything that it says of itself."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from mcp import Client, MCPError
from mcp_types import METHOD_NOT_FOUND, REQUEST_TIMEOUT, JSONRPCError, JSONRPCRequest, JSONRPCResponse
from pydantic import ValidationError

from guardsvc.cli.scan.catalog import LISTS, Bounds, Catalog, ScanError
from guardsvc.cli.scan.http import HttpLog, event_stream, streamable
from guardsvc.cli.scan.meter import BoundError, Meter
from guardsvc.cli.scan.stdio import stdio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from mcp.client._transport import TransportStreams

    from guardsvc.mcp import Limits

__all__ = ["ask_command", "ask_url"]

TURNS = 3
"""How many requests may go unanswered in the time there is: servers of before 2026-07-28 need not know the first."""
GREETINGS = ("initialize", "server/discover")
"""Where both are answered, the SDK has gone back to the first."""


def ask_command(command: Sequence[str], environment: Mapping[str, str], bounds: Bounds, limits: Limits) -> Catalog:
    """What a server says that speaks on its standard output.

    Args:
        command: program and arguments.
        environment: variables beside the few that every server gets.
        bounds: what it may take.
        limits: how messages are read.

    Raises:
        ScanError: it does not answer as an MCP server does.
    """
    catalog = Catalog(target=f"stdio:{command[0]}")
    meter = Meter(catalog, bounds, limits)
    _run(catalog, bounds, lambda: _ask(catalog, bounds, meter, stdio(command, environment, meter), "auto"))
    return catalog


def ask_url(url: str, fields: Sequence[tuple[str, str]], bounds: Bounds, limits: Limits) -> Catalog:
    """The same of a server behind a URL; by the HTTP of 2024-11-05 where it has no endpoint of later ones."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    catalog = Catalog(target=f"{parts.scheme}://{host}{port}{parts.path}", host=f"{host}{port}")
    meter, log = Meter(catalog, bounds, limits), HttpLog()

    async def ask() -> None:
        try:
            await _ask(catalog, bounds, meter, streamable(url, fields, meter, log), "auto")
        except ScanError:
            if log.speaks_streamable or catalog.remarks:
                raise
            await _ask(catalog, bounds, meter, event_stream(url, fields, meter, HttpLog()), "legacy")

    _run(catalog, bounds, ask)
    return catalog


def _run(catalog: Catalog, bounds: Bounds, ask: Callable[[], Awaitable[None]]) -> None:
    for name in ("mcp", "client", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    async def within() -> None:
        try:
            async with asyncio.timeout(bounds.seconds):
                await ask()
        except TimeoutError:
            catalog.remark("too_slow", f"it has not said everything within {bounds.seconds:g} seconds")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asyncio.run(within())
    if catalog.greeting is None:
        raise ScanError("; ".join(remark.text for remark in catalog.remarks) or "it does not answer as an MCP server")


async def _ask(
    catalog: Catalog,
    bounds: Bounds,
    meter: Meter,
    transport: AbstractAsyncContextManager[TransportStreams],
    mode: Any,
) -> None:
    tap = _Tap(transport, meter)
    try:
        patience = bounds.seconds / TURNS
        async with Client(tap, mode=mode, cache=None, read_timeout_seconds=patience) as client:
            catalog.revision = client.protocol_version
            catalog.greeted_by, catalog.greeting = tap.greeting
            for method in LISTS:
                await _pages(catalog, bounds, method, client, tap)
    except (TimeoutError, asyncio.CancelledError):
        raise
    except Exception as error:
        if (known := _known(error)) is not None:
            raise known from None
        if catalog.greeting is None:
            if not catalog.remarks:
                raise ScanError(_told(error)) from None
        elif not isinstance(_first(error), BoundError):
            catalog.remark("list_failed", f"the connection ended: {_told(error)}")


async def _pages(catalog: Catalog, bounds: Bounds, method: str, client: Client, tap: _Tap) -> None:
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(bounds.pages):
        page = await _page(catalog, method, client, tap, cursor)
        if page is None:
            return
        if not catalog.add_page(method, page, bounds.entries):
            catalog.remark("list_too_long", f"more than {bounds.entries} entries", method)
            return
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str):
            return
        if cursor in seen:
            catalog.remark("endless_list", "a page leads back to one before it", method)
            return
        seen.add(cursor)
    catalog.remark("endless_list", f"more than {bounds.pages} pages", method)


async def _page(catalog: Catalog, method: str, client: Client, tap: _Tap, cursor: str | None) -> dict[str, Any] | None:
    """One page as the server sent it, None where there is none."""
    verbs: dict[str, Callable[..., Awaitable[Any]]] = {
        "tools/list": client.list_tools,
        "prompts/list": client.list_prompts,
        "resources/list": client.list_resources,
        "resources/templates/list": client.list_resource_templates,
    }
    try:
        await verbs[method](cursor=cursor)
    except MCPError as error:
        if error.code == REQUEST_TIMEOUT and method not in tap.refused:
            catalog.remark("too_slow", "not answered in time", method)
        elif error.code != METHOD_NOT_FOUND or method in catalog.lists:
            catalog.remark("list_failed", f"answered with error {error.code}", method)
        return None
    except (ValidationError, ValueError, TypeError):
        catalog.remark("malformed_list", "not of the form that the MCP revision has", method)
    return tap.results.pop(method, None)


class _Tap:
    """A transport around another that keeps results as they came: the SDK's types drop what they do not know.

    Attributes:
        results: the last by method.
        refused: methods that were answered with an error.
    """

    def __init__(self, transport: AbstractAsyncContextManager[TransportStreams], meter: Meter) -> None:
        self._transport = transport
        self._meter = meter
        self._asked: dict[Any, str] = {}
        self.results: dict[str, dict[str, Any]] = {}
        self.refused: set[str] = set()

    @property
    def greeting(self) -> tuple[str, dict[str, Any]]:
        """Method and result of the greeting that counts."""
        return next(((method, self.results[method]) for method in GREETINGS if method in self.results), ("", {}))

    async def __aenter__(self) -> Any:
        incoming, outgoing = await self._transport.__aenter__()
        return _Reading(incoming, self._came), _Writing(outgoing, self._went)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._transport.__aexit__(kind, error, trace)

    def _went(self, message: Any) -> None:
        if isinstance(message.message, JSONRPCRequest):
            self._asked[message.message.id] = message.message.method

    def _came(self, message: Any) -> None:
        self._meter.count()
        answer = getattr(message, "message", None)
        if isinstance(answer, JSONRPCResponse) and (method := self._asked.pop(answer.id, None)) is not None:
            self.results[method] = answer.result
        elif isinstance(answer, JSONRPCError) and answer.id in self._asked:
            self.refused.add(self._asked.pop(answer.id))


class _Stream:
    """A stream around another, which is told of every message."""

    def __init__(self, stream: Any, told: Callable[[Any], None]) -> None:
        self._stream = stream
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> bool | None:
        left: bool | None = await self._stream.__aexit__(*error)
        return left


class _Reading(_Stream):
    async def receive(self) -> Any:
        message = await self._stream.receive()
        self._told(message)
        return message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        message = await self._stream.__anext__()
        self._told(message)
        return message


class _Writing(_Stream):
    async def send(self, message: Any) -> None:
        self._told(message)
        await self._stream.send(message)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _known(error: BaseException) -> ScanError | None:
    first = _first(error)
    return first if isinstance(first, ScanError) else None


def _told(error: BaseException) -> str:
    """What went wrong, in words that repeat nothing: what the error says may hold header fields."""
    first = _first(error)
    if isinstance(first, MCPError):
        return f"it answers with error {first.code}"
    return f"{type(first).__name__} while asking it"
