"""An HTTP server that answers with exactly the bytes a test says, piece by piece, and keeps what it was asked."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 30.0


@dataclass
class Script:
    """One answer. Among its pieces a number is a pause in seconds, and an event is waited for.

    Without ``chunked`` the length is told.
    """

    pieces: Sequence[bytes | float | threading.Event]
    status: str = "200 OK"
    headers: Sequence[tuple[str, str]] = (("content-type", "application/json"),)
    chunked: bool = False
    trailers: Sequence[tuple[str, str]] = ()


@dataclass
class ScriptedServer:
    """Answers every request by the script in force."""

    script: Script = field(default_factory=lambda: Script(()))
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    sent: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError), connection, connection.makefile("rb") as reader:
            while request := _read_request(reader):
                self.requests.append(request)
                self._answer(connection, self.script)

    def _answer(self, connection: socket.socket, script: Script) -> None:
        fields = list(script.headers)
        if script.chunked:
            fields.append(("transfer-encoding", "chunked"))
        else:
            fields.append(("content-length", str(sum(len(p) for p in script.pieces if isinstance(p, bytes)))))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        connection.sendall(f"HTTP/1.1 {script.status}\r\n{head}\r\n".encode())
        for piece in script.pieces:
            if isinstance(piece, threading.Event):
                piece.wait(PATIENCE)
                continue
            if not isinstance(piece, bytes):
                time.sleep(piece)
                continue
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if script.chunked else piece)
            self.sent += 1
        if script.chunked:
            last = "".join(f"{name}: {value}\r\n" for name, value in script.trailers)
            connection.sendall(f"0\r\n{last}\r\n".encode())


def _read_request(reader: Any) -> tuple[dict[str, str], bytes] | None:
    line = reader.readline()
    if not line:
        return None
    fields = {":line": line.decode().strip()}
    while (line := reader.readline().strip()) and b":" in line:
        name, _, value = line.decode("latin-1").partition(":")
        fields[name.strip().lower()] = value.strip()
    body = b""
    if fields.get("transfer-encoding") == "chunked":
        while size := int(reader.readline(), 16):
            body += reader.read(size)
            reader.readline()
        reader.readline()
    else:
        body = reader.read(int(fields.get("content-length", "0")))
    return fields, body
