"""A small OCI registry that can be made to misbehave."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

__all__ = ["SmallRegistry", "small_registry"]


class SmallRegistry:
    """What a registry has, and how it behaves.

    Attributes:
        blobs: by digest.
        manifests: by tag and digest.
        referrers: indexes by the digest of what they refer to; without any, it does not know what referrers are.
        basic: value of ``Authorization`` that is asked for.
        bearer: whether a token is asked for, which ``basic`` buys.
        redirect: where blobs are, instead.
        stalls: set where it never answers.
        seen: requests so far.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.referrers: dict[str, bytes] = {}
        self.basic: str | None = None
        self.bearer = False
        self.redirect: str | None = None
        self.stalls: threading.Event | None = None
        self.seen: list[tuple[str, str, str | None]] = []
        self.host = ""

    def put(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def put_manifest(self, tag: str, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.manifests |= {tag: content, digest: content}
        return digest


@contextmanager
def small_registry(tls: ssl.SSLContext | None = None) -> Iterator[SmallRegistry]:  # noqa: C901  one handler
    """A registry on a port of this machine."""
    registry = SmallRegistry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def allowed(self) -> bool:
            given = self.headers.get("Authorization")
            registry.seen.append((self.command, self.path, given))
            if registry.stalls is not None:
                registry.stalls.wait(20)
            if registry.basic is None or given == ("Bearer let-in" if registry.bearer else registry.basic):
                return True
            scheme = "https" if tls else "http"
            asked = f'Bearer realm="{scheme}://{registry.host}/token",service="small"' if registry.bearer else "Basic"
            self.answer(401, WWW_Authenticate=asked)
            return False

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = urlsplit(self.path)
            if path.path == "/token":
                registry.seen.append((self.command, self.path, self.headers.get("Authorization")))
                good = self.headers.get("Authorization") == registry.basic
                return self.answer(200 if good else 401, json.dumps({"token": "let-in"}).encode())
            if not self.allowed():
                return None
            _, what, name = self.path.rsplit("/", 2)
            if what == "blobs" and registry.redirect is not None:
                return self.answer(307, Location=f"{registry.redirect}{self.path}")
            stores = {"blobs": registry.blobs, "manifests": registry.manifests, "referrers": registry.referrers}
            found = stores[what].get(name)
            if found is None:
                error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no such thing"}]}
                return self.answer(404, json.dumps(error).encode())
            return self.answer(200, found)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.allowed():
                self.answer(202, Location=f"{self.path}1?state=a")

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if not self.allowed():
                return
            path = urlsplit(self.path)
            if "manifests" in path.path:
                registry.put_manifest(path.path.rsplit("/", 1)[1], content)
            elif registry.put(content) != parse_qs(path.query)["digest"][0]:
                self.answer(400)
                return
            self.answer(201)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Clients may go at any time."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    registry.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        if registry.stalls is not None:
            registry.stalls.set()
        server.shutdown()
        server.server_close()
        thread.join()
