"""Hosts that guards under test call: a real HTTP server in a thread, well-behaved and hostile by path."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

__all__ = ["Host", "serving_host"]


@dataclass
class Host:
    """A server that runs.

    Attributes:
        port: where it listens, on loopback.
        asked: path, header fields and body of each request.
        together: how many requests it answered at the same time, at most.
    """

    port: int = 0
    asked: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    together: int = 0
    _now: int = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.asked.append((request.path, dict(request.headers), body))
        self._now += 1
        self.together = max(self.together, self._now)
        try:
            return await self._answer(request)
        finally:
            self._now -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:  # noqa: C901  a case for each path
        match request.path:
            case "/deny":
                return web.json_response({"allow": False, "reason": "on_the_list"})
            case "/late":
                await asyncio.sleep(0.15)
            case "/never":
                await asyncio.sleep(30)
            case "/redirect":
                return web.Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})
            case "/endless":
                response = web.StreamResponse()
                await response.prepare(request)
                with suppress(ConnectionError):
                    while True:
                        await response.write(b"x" * 65536)
                return response
            case "/drip":
                response = web.StreamResponse()
                await response.prepare(request)
                with suppress(ConnectionError):
                    while True:
                        await response.write(b" ")
                        await asyncio.sleep(0.02)
                return response
            case "/packed":
                return web.Response(body=b"\x1f\x8b" + b"\0" * 100, headers={"Content-Encoding": "gzip"})
            case "/fields":
                return web.Response(headers={f"x-{number}": "v" * 7000 for number in range(60)})
        return web.json_response({"allow": True})


@contextmanager
def serving_host(tls: ssl.SSLContext | None = None) -> Iterator[Host]:
    """A server until the context ends."""
    host, loop = Host(), asyncio.new_event_loop()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", host.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0, handler_cancellation=True)

    async def begin() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        server: Any = site._server  # noqa: SLF001  where it listens is told nowhere else
        host.port = server.sockets[0].getsockname()[1]

    async def end() -> None:
        await runner.cleanup()
        await asyncio.sleep(0.05)  # what was refused in a handshake is closed a little later

    loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
