"""Connections that nobody uses: so many are taken, and the service has files left for itself."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from guardsvc.server.open_files import OTHERS
from tests.server.policies import allowing
from tests.server.process import HANG, call, check_request, gateway, serving, wait_until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
FEW = 256
TAKEN = 8


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="needs Linux")
def test_connections_beyond_the_bound_are_closed_and_files_are_left(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(allowing("echo", grpc={"max_connections": TAKEN}))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, hard))
    try:
        with serving(tmp_path, "--config", str(config)) as running, ExitStack() as kept:
            limits = Path(f"/proc/{running.process.pid}/limits").read_text()
            (told,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
            assert int(told.split()[3]) == min(hard, TAKEN + OTHERS)
            host, _, port = running.grpc_address.rpartition(":")
            connections = [kept.enter_context(socket.create_connection((host, int(port)))) for _ in range(40)]
            for connection in connections:
                connection.sendall(PREFACE)
            wait_until(lambda: sum(map(_closed, connections)) == len(connections) - TAKEN, "the others are closed")
            assert running.get("/readyz")[0] == 200
            kept.close()
            with gateway(running.grpc_address) as asking:
                wait_until(lambda: _answers(asking.check), "there is room again")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _closed(connection: socket.socket) -> bool:
    """Whether the other end is gone; what it has sent is read and forgotten."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def _answers(check: grpc.UnaryUnaryMultiCallable) -> bool:
    try:
        return bool(check(check_request(call()), timeout=HANG).status.code == 0)
    except grpc.RpcError:
        return False
