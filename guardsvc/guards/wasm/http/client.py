"""HTTP for guards, sent by one thread with an event loop of its own.

Neither the service's loop nor other requests of guards wait for one. A name is resolved once, and the connection goes
to the address that was checked.
"""

from __future__ import annotations

import asyncio
import atexit
import re
import socket
import ssl
import threading
import weakref
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from guardsvc.guards.wasm.http.grants import Grants, literal, origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from guardsvc.guards.wasm.settings import LimitSettings

__all__ = ["HttpAccess", "HttpRefused", "HttpRequest", "HttpResponse", "resolve"]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CONNECTIONS = 16
"""Connections of one guard at a time."""
CLOSES_WITHIN = 1.0
"""Seconds that closing connections may take when the process ends."""
MOST_HEADERS = 64
CHUNK = 16 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_FIELD = re.compile(r"[\t -~\x80-\xff]{0,4096}")
_OURS = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Header fields that belong to the connection, which is the host's."""


class HttpRequest(NamedTuple):
    """A request of a guard."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class HttpResponse(NamedTuple):
    """What a host answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class HttpRefused(Exception):
    """A request without an answer.

    Attributes:
        name: ``denied``, ``invalid``, ``unreachable`` or ``too-large``.
    """

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(f"{name}: {message}" if message else name)
        self.name = name


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [entry[4][0] for entry in found if isinstance(entry[4][0], str)]


class _Checked(AbstractResolver):
    """Resolves a name to addresses that the connection may go to, or to none: one that is not allowed spoils all."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        addresses = [ip_address(text.partition("%")[0]) for text in await lookup(host, port)]
        if not addresses:
            raise OSError("the name has no address")
        if not all(map(self._grants.allows, addresses)):
            raise HttpRefused("denied", "the name leads to an address that is not granted")
        return [
            {
                "hostname": host,
                "host": str(address),
                "port": port,
                "family": socket.AF_INET if address.version == 4 else socket.AF_INET6,  # noqa: PLR2004  of IP
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in dict.fromkeys(addresses)
        ]

    async def close(self) -> None:
        """Nothing is kept."""


lookup: Callable[[str, int], Coroutine[Any, Any, list[str]]] = resolve
"""How names are resolved."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="wasm-http", daemon=True).start()
    atexit.register(_close_all)
    return loop


_open: weakref.WeakSet[aiohttp.ClientSession] = weakref.WeakSet()


def _close_all() -> None:
    """Close all connections when the process ends."""
    with suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(_closed(list(_open)), _loop()).result(CLOSES_WITHIN)


async def _closed(sessions: list[aiohttp.ClientSession]) -> None:
    for session in sessions:
        await session.close()


class HttpAccess:
    """What one guard may call, with connections of its own: what another was granted is open to none.

    Args:
        grants: hosts and addresses.
        limits: of requests.
    """

    def __init__(self, grants: Grants, limits: LimitSettings) -> None:
        self.limits = limits
        self._grants = grants
        self._sessions: list[aiohttp.ClientSession] = []
        weakref.finalize(self, _close, self._sessions).atexit = False

    def send(self, request: HttpRequest, deadline: float) -> Future[HttpResponse]:
        """Send a request; the future ends with ``HttpRefused`` where there is no answer. From any thread.

        Args:
            request: the request.
            deadline: when nobody waits for it any more, on the clock of ``time.perf_counter``.
        """
        try:
            self._check(request)
        except HttpRefused as refused:
            failed: Future[HttpResponse] = Future()
            failed.set_exception(refused)
            return failed
        return asyncio.run_coroutine_threadsafe(self._exchange(request, deadline), _loop())

    def _check(self, request: HttpRequest) -> None:
        try:
            origin = origin_of(request.url)
        except ValueError as error:
            raise HttpRefused("invalid", str(error)) from None
        if origin not in self._grants.origins:
            raise HttpRefused("denied", "the host is not granted")
        address = literal(origin.host)
        if address is not None and not self._grants.allows(address):
            raise HttpRefused("denied", "the address is not granted")
        if request.method not in METHODS:
            raise HttpRefused("invalid", "no method that a guard may use")
        size = len(request.url) + len(request.body)
        for name, value in request.headers:
            size += len(name) + len(value)
            if not _TOKEN.fullmatch(name) or not _FIELD.fullmatch(value):
                raise HttpRefused("invalid", "no header field")
            if name.lower() in _OURS:
                raise HttpRefused("denied", "a header field of the connection")
        if size > self.limits.http_request_kib * 1024 or len(request.headers) > MOST_HEADERS:
            raise HttpRefused("too-large", "the request")

    async def _exchange(self, request: HttpRequest, deadline: float) -> HttpResponse:
        seconds = deadline - perf_counter()
        if seconds <= 0:
            raise HttpRefused("unreachable", "no time was left")
        try:
            async with (
                asyncio.timeout(seconds),
                self._session().request(
                    request.method,
                    URL(request.url, encoded=True),
                    headers=request.headers,
                    data=request.body or None,
                    allow_redirects=False,
                ) as response,
            ):
                return await self._read(response)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, HttpRefused):
                    raise cause from None
                cause = cause.__cause__ or cause.__context__
            raise HttpRefused("unreachable", type(error).__name__) from None

    async def _read(self, response: aiohttp.ClientResponse) -> HttpResponse:
        most = self.limits.http_response_kib * 1024
        headers = tuple((name.lower(), value) for name, value in response.headers.items())
        size = sum(len(name) + len(value) for name, value in headers)
        body = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK):
            body += chunk
            if size + len(body) > most:
                raise HttpRefused("too-large", "the answer")
        if size > most:
            raise HttpRefused("too-large", "the answer")
        return HttpResponse(response.status, headers, bytes(body))

    def _session(self) -> aiohttp.ClientSession:
        if not self._sessions:
            connector = aiohttp.TCPConnector(
                resolver=_Checked(self._grants),
                use_dns_cache=False,
                limit=CONNECTIONS,
                keepalive_timeout=15,
                ssl=ssl.create_default_context() if self._grants.any_tls else True,
            )
            self._sessions.append(
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=None),
                    auto_decompress=False,
                    trust_env=False,
                    headers={"User-Agent": "guardsvc", "Accept-Encoding": "identity"},
                )
            )
            _open.add(self._sessions[0])
        return self._sessions[0]


def _close(sessions: list[aiohttp.ClientSession]) -> None:
    """Close the connections of a guard that is no more."""
    if sessions:
        asyncio.run_coroutine_threadsafe(_closed(sessions), _loop())
