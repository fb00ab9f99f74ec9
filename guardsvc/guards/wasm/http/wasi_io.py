"""What of ``wasi:io`` 0.2 requests over HTTP need: streams that are bytes in memory, and waiting for answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from guardsvc.guards.wasm.host.host import HostCalls

__all__ = ["IO_RESOURCES", "WASI_IO_FUNCTIONS", "InputStream", "OutputStream", "Pollable"]

CHUNK = 64 * 1024
"""Bytes that are read or written at once, at most."""
CLOSED = ("err", "closed")
_OK = ("ok", None)


class Error:
    """``error`` of ``wasi:io/error``."""

    def __init__(self, text: str) -> None:
        self.text = text


class InputStream:
    """``input-stream`` over what was received."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def read(self, most: int) -> tuple[str, Any]:
        """The next bytes."""
        if self._at >= len(self._content):
            return CLOSED
        read = self._content[self._at : self._at + min(most, CHUNK)]
        self._at += len(read)
        return "ok", read


class OutputStream:
    """``output-stream`` into the body of a request."""

    def __init__(self, content: bytearray, most: int) -> None:
        self._content = content
        self._most = most

    def write(self, written: bytes) -> tuple[str, Any]:
        """Add bytes."""
        if len(self._content) + len(written) > self._most:
            return "err", ("last-operation-failed", Error("the body is larger than is allowed"))
        self._content += written
        return _OK

    def check(self) -> tuple[str, Any]:
        """How many bytes may be written."""
        return "ok", min(CHUNK, max(1, self._most - len(self._content)))


class Pollable:
    """``pollable``: ready when what it waits for is there, or where there is nothing to wait for.

    Args:
        awaited: what it waits for.
    """

    def __init__(self, awaited: Callable[[], Future[Any] | None]) -> None:
        self.awaited = awaited

    @property
    def ready(self) -> bool:
        """Whether it waits no more."""
        awaited = self.awaited()
        return awaited is None or awaited.done()


def _read(calls: HostCalls, stream: int, most: int) -> tuple[str, Any]:
    return calls.resource(stream, InputStream).read(most)


def _skip(calls: HostCalls, stream: int, most: int) -> tuple[str, Any]:
    which, read = calls.resource(stream, InputStream).read(most)
    return (which, len(read)) if which == "ok" else (which, read)


def _write(calls: HostCalls, stream: int, written: bytes) -> tuple[str, Any]:
    return calls.resource(stream, OutputStream).write(bytes(written))


def _flush(calls: HostCalls, stream: int) -> tuple[str, Any]:
    calls.resource(stream, OutputStream)
    return _OK


def _at_once(calls: HostCalls, stream: int) -> Pollable:
    calls.resource(stream, object)
    return Pollable(lambda: None)


def _block(calls: HostCalls, pollable: int) -> None:
    if (awaited := calls.resource(pollable, Pollable).awaited()) is not None:
        calls.http.wait([awaited])


def _poll(calls: HostCalls, pollables: list[int]) -> list[int]:
    asked = [calls.resource(pollable, Pollable) for pollable in pollables]
    if not asked:
        raise ValueError("nothing to wait for")
    if not any(each.ready for each in asked):
        calls.http.wait([awaited for each in asked if (awaited := each.awaited()) is not None], all_=False)
    return [index for index, each in enumerate(asked) if each.ready]


_STREAMS = {
    "[method]input-stream.read": _read,
    "[method]input-stream.blocking-read": _read,
    "[method]input-stream.skip": _skip,
    "[method]input-stream.blocking-skip": _skip,
    "[method]input-stream.subscribe": _at_once,
    "[method]output-stream.check-write": lambda calls, stream: calls.resource(stream, OutputStream).check(),
    "[method]output-stream.write": _write,
    "[method]output-stream.blocking-write-and-flush": _write,
    "[method]output-stream.flush": _flush,
    "[method]output-stream.blocking-flush": _flush,
    "[method]output-stream.subscribe": _at_once,
}

WASI_IO_FUNCTIONS: dict[tuple[str, str], Any] = {
    **{("wasi:io/streams", name): function for name, function in _STREAMS.items()},
    ("wasi:io/poll", "[method]pollable.ready"): lambda calls, number: calls.resource(number, Pollable).ready,
    ("wasi:io/poll", "[method]pollable.block"): _block,
    ("wasi:io/poll", "poll"): _poll,
    ("wasi:io/error", "[method]error.to-debug-string"): lambda calls, number: calls.resource(number, Error).text,
}
"""By interface and name; the numbers they take are those of resources."""

IO_RESOURCES = {"input-stream": InputStream, "output-stream": OutputStream, "pollable": Pollable, "error": Error}
"""Resources of ``wasi:io``."""
