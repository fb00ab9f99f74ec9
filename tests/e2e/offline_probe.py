"""Runs in a network namespace of its own, where there is nothing but loopback: starts guardsvc and asks it once.

Prints one JSON object: whether the network is off, seconds until ready, resident bytes when idle, the verdict.
"""

from __future__ import annotations

import errno
import fcntl
import json
import socket
import struct
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.demo.services import Guardsvc
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from tests.e2e.ask import check

SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def _is_offline() -> bool:
    """Whether there is no way to an address elsewhere (TEST-NET-1, RFC 5737)."""
    try:
        socket.create_connection(("192.0.2.1", 9), timeout=1).close()
    except OSError as error:
        return error.errno == errno.ENETUNREACH
    return False


def _resident_bytes(pid: int) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def _ping() -> CheckRequest:
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host = "POST", "/mcp", "localhost"
    http.raw_body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    http.size = len(http.raw_body)
    for name, value in (("content-type", "application/json"), ("accept", "application/json, text/event-stream")):
        http.header_map.headers.add(key=name, raw_value=value.encode())
    return request


def _probe(policy: Path) -> dict[str, object]:
    _raise_loopback()
    with TemporaryDirectory() as folder:
        service = Guardsvc(policy, Path(folder))
        started = time.monotonic()
        service.start()
        try:
            service.wait()
            ready = time.monotonic() - started
            resident = _resident_bytes(service.pid)
            code = check(service.address, _ping()).status.code
        finally:
            service.stop()
    return {
        "offline": _is_offline(),
        "ready_after": ready,
        "resident": resident,
        "allowed": code == 0,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_probe(Path(sys.argv[1]))))
