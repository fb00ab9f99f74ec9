"""Registry: a repository of an OCI registry over HTTP, by the distribution specification."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
import re
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

import aiohttp

from guardsvc.guards.wasm.loading.sources.artifact import SourceError, digest_of
from guardsvc.guards.wasm.loading.sources.credentials import DOCKER_HUB, credentials_of
from guardsvc.guards.wasm.loading.sources.manifest import (
    INDEX,
    MANIFEST,
    MAX_MANIFEST,
    Blob,
    referrers_tag,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from guardsvc.guards.wasm.loading.sources.place import Place
    from guardsvc.guards.wasm.options import RegistrySettings

__all__ = ["Registry", "is_loopback"]

MAX_TOKEN = 256 * 1024
MAX_TOLD = 2048
"""Bytes of an error's text that are looked at."""
REDIRECTS = 3
CHUNK = 64 * 1024
REDIRECTED = frozenset({301, 302, 303, 307, 308})
OK = range(200, 300)
UNAUTHORIZED = 401
NOT_FOUND = 404

_PARAMETER = re.compile(r'([a-zA-Z_]+)="([^"]*)"')


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Registry:
    """A repository, as ``oci.Repository``. Opened by ``Registry.open``.

    Args:
        place: names host and repository.
        settings: for that host.
        session: of HTTP.
    """

    def __init__(self, place: Place, settings: RegistrySettings, session: aiohttp.ClientSession) -> None:
        self._place = place
        self._host = place.host
        self._repository = place.repository
        self._credentials = credentials_of(place.host, settings)
        self._scheme = "http" if settings.insecure else "https"
        host = "registry-1.docker.io" if place.host == DOCKER_HUB else place.host
        self._base = f"{self._scheme}://{host}/v2/{place.repository}/"
        self._session = session
        self._authorization: str | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, place: Place, settings: RegistrySettings, timeout: float) -> AsyncIterator[Registry]:  # noqa: ASYNC109  a bound of all requests together
        """A repository for as long as ``timeout`` seconds, all requests together.

        Raises:
            SourceError: it cannot be reached, or does not do what is asked for.
        """
        if settings.insecure and not is_loopback(place.host):
            raise SourceError(f"{place.host}: insecure is for registries on a loopback address only")
        try:
            context = True if settings.insecure else ssl.create_default_context(cafile=settings.ca)
        except OSError as error:
            raise SourceError(f"{place.host}: {settings.ca} cannot be used: {error.strerror or error}") from None
        try:
            async with asyncio.timeout(timeout):
                connector = aiohttp.TCPConnector(ssl=context, force_close=True)
                async with aiohttp.ClientSession(connector=connector, trust_env=not settings.insecure) as session:
                    yield cls(place, settings, session)
        except TimeoutError:
            raise SourceError(f"{place.host} has not answered within {timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            told = str(error) or type(error).__name__
            raise SourceError(f"{place.host} cannot be reached: {told[:200]}") from None

    async def manifest(self, reference: str) -> bytes | None:
        """A manifest by tag or digest, None where there is none.

        Raises:
            SourceError: the registry refuses.
        """
        accept = {"Accept": f"{MANIFEST}, {INDEX}"}
        answer = await self._send("GET", self._base + f"manifests/{reference}", headers=accept, most=MAX_MANIFEST)
        return None if answer.status == NOT_FOUND else self._good(answer).body

    async def referrers(self, digest: str) -> bytes | None:
        """The index of manifests that refer to one, under its tag where the registry knows no referrers.

        Raises:
            SourceError: the registry refuses.
        """
        answer = await self._send("GET", self._base + f"referrers/{digest}", most=MAX_MANIFEST)
        return answer.body if answer.status in OK else await self.manifest(referrers_tag(digest))

    async def blob(self, blob: Blob) -> bytes:
        """A blob, which may come from another host.

        Raises:
            SourceError: the registry refuses.
        """
        return self._good(await self._send("GET", self._base + f"blobs/{blob.digest}", most=blob.size)).body

    async def put_blob(self, content: bytes) -> None:
        """Upload a blob, unless it is there.

        Raises:
            SourceError: the registry refuses.
        """
        digest = digest_of(content)
        there = await self._send("HEAD", self._base + f"blobs/{digest}", push=True)
        if there.status in OK:
            return
        begun = self._good(await self._send("POST", self._base + "blobs/uploads/", push=True))
        location = self._sent_on(self._base, begun)
        address = f"{location}{'&' if urlsplit(location).query else '?'}{urlencode({'digest': digest})}"
        headers = {"Content-Type": "application/octet-stream"}
        self._good(await self._send("PUT", address, headers=headers, body=content, push=True))

    async def put_manifest(self, content: bytes, tag: str) -> None:
        """Upload a manifest.

        Raises:
            SourceError: the registry refuses.
        """
        address = self._base + f"manifests/{tag}"
        self._good(await self._send("PUT", address, headers={"Content-Type": MANIFEST}, body=content, push=True))

    def _good(self, answer: _Answer) -> _Answer:
        if answer.status in OK:
            return answer
        if answer.status == UNAUTHORIZED:
            who = "has no credentials for it" if self._credentials is None else "is not let in"
            raise SourceError(f"{self._host} asks who wants {self._repository}: guardsvc {who}")
        raise SourceError(f"{self._host} answers {answer.status} for {self._repository}{_told(answer.body)}")

    async def _send(
        self,
        method: str,
        address: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most: int = MAX_TOLD,
        push: bool = False,
    ) -> _Answer:
        """Send a request, once more with a token where the registry asks for one, and to where it is sent on."""
        for attempt in range(REDIRECTS + 2):
            given = dict(headers or {})
            if self._authorization is not None and self._is_own(address):
                given["Authorization"] = self._authorization
            answer = await self._once(method, address, given, body, most)
            if answer.status == UNAUTHORIZED and self._is_own(address) and attempt == 0:
                if not await self._authorize(answer, push=push):
                    return answer
                continue
            if answer.status not in REDIRECTED or method != "GET":
                return answer
            address = self._sent_on(address, answer)
        raise SourceError(f"{self._host} sends on more than {REDIRECTS} times")

    async def _once(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None, most: int
    ) -> _Answer:
        async with self._session.request(
            method, address, headers=headers, data=body, allow_redirects=False
        ) as response:
            read = bytearray()
            bound = most if response.status in OK else MAX_TOLD
            async for chunk in response.content.iter_chunked(CHUNK):
                read += chunk
                if len(read) <= bound:
                    continue
                if response.status in OK:
                    raise SourceError(f"{self._host} sends more than {bound} bytes for {self._repository}")
                break
            return _Answer(response.status, response.headers, bytes(read))

    def _sent_on(self, address: str, answer: _Answer) -> str:
        """Where an answer says to go on."""
        there = urljoin(address, answer.headers.get("Location", ""))
        if urlsplit(there).scheme != "https" and not self._is_own(there):
            raise SourceError(f"{self._host} sends on to {there[:100]}, which is not https")
        return there

    def _is_own(self, address: str) -> bool:
        asked, own = urlsplit(address), urlsplit(self._base)
        return (asked.scheme, asked.netloc) == (own.scheme, own.netloc)

    async def _authorize(self, refused: _Answer, *, push: bool) -> bool:
        """Get what the registry asks for; whether there is anything new to try."""
        scheme, _, rest = refused.headers.get("WWW-Authenticate", "").partition(" ")
        asked = dict(_PARAMETER.findall(rest[:MAX_TOLD]))
        basic = None
        if self._credentials is not None:
            basic = f"Basic {base64.b64encode(':'.join(self._credentials).encode()).decode()}"
        if scheme.lower() == "basic" and basic is not None:
            self._authorization = basic
            return True
        if scheme.lower() != "bearer":
            return False
        realm = asked.get("realm", "")
        if urlsplit(realm).scheme != "https" and not (self._scheme == "http" and is_loopback(urlsplit(realm).netloc)):
            raise SourceError(f"{self._host} wants a token of {realm[:100]!r}, which is not https")
        scope = f"repository:{self._repository}:{'pull,push' if push else 'pull'}"
        query = {"scope": scope} | ({"service": asked["service"]} if "service" in asked else {})
        headers = {} if basic is None else {"Authorization": basic}
        address = f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(query)}"
        answer = self._good(await self._once("GET", address, headers, None, MAX_TOKEN))
        token = _token(answer.body)
        if token is None:
            raise SourceError(f"{urlsplit(realm).netloc} gives no token")
        self._authorization = f"Bearer {token}"
        return True


def is_loopback(host: str) -> bool:
    """Whether a host, with its port or without, is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _token(body: bytes) -> str | None:
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    token = told.get("token") or told.get("access_token") if isinstance(told, dict) else None
    usable = isinstance(token, str) and token.isascii() and token.isprintable()
    return token if usable else None


def _told(body: bytes) -> str:
    """The message of an error of the distribution specification."""
    try:
        errors = json.loads(body)["errors"]
        return f": {str(errors[0]['code'])[:60]} {str(errors[0].get('message', ''))[:200]}"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
