"""The service as an operator runs it: a process of its own, asked over its sockets, watched through its logs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from tests.packages.installed import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

HANG = 120.0
"""Seconds after which something that should have happened is taken to hang, on a machine with much else to do."""

COMMAND = (sys.executable, "-W", "error", "-m", "guardsvc")
ANYWHERE = ("--grpc-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0")


def wait_until(holds: Callable[[], Any], what: str) -> Any:
    """Wait for something to become true and return it."""
    end = time.monotonic() + HANG
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {HANG:g} s in vain: {what}")


class Running:
    """A process of ``guardsvc serve``."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._folder = folder

    @property
    def stdout(self) -> str:
        return (self._folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self._folder / "stderr").read_text()

    def logs(self, event: str) -> list[dict[str, Any]]:
        """The log lines of an event so far."""
        whole = [line for line in self.stderr.splitlines(keepends=True) if line.endswith("\n")]
        return [log for log in map(json.loads, whole) if log["event"] == event]

    def wait_for_log(self, event: str, count: int = 1) -> dict[str, Any]:
        """The newest line of an event once there are ``count`` of them."""

        def found() -> list[dict[str, Any]]:
            if self.process.poll() is not None and len(self.logs(event)) < count:
                raise AssertionError(f"ended with {self.process.returncode} before {event!r}: {self.stderr}")
            return self.logs(event)[count - 1 :]

        lines: list[dict[str, Any]] = wait_until(found, f"log {event!r}")
        return lines[-1]

    @property
    def grpc_address(self) -> str:
        return str(self.logs("ready")[0]["grpc"])

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a GET to the metrics listener."""
        url = f"http://{self.logs('ready')[0]['metrics']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=HANG) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, series: str) -> float:
        """The value of a series by name and labels as exposed, 0 where there is none."""
        lines = self.get("/metrics")[1].splitlines()
        return next((float(line.split()[-1]) for line in lines if line.rpartition(" ")[0] == series), 0.0)

    def wait_for_metric(self, series: str, value: float) -> None:
        wait_until(lambda: self.metric(series) == value, f"{series} {value:g}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(HANG)

    def end(self) -> int:
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()


@contextmanager
def launched(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A process of ``guardsvc serve`` with these arguments, whatever becomes of it."""
    out = folder / "process"
    out.mkdir()
    with (out / "stdout").open("wb") as stdout, (out / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "serve", *args],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=dict(env or environment()),
        )
    try:
        yield Running(process, out)
    finally:
        process.kill()
        process.wait()


@contextmanager
def serving(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A service that is ready, on free ports."""
    with launched(folder, *ANYWHERE, *args, env=env) as running:
        running.wait_for_log("ready")
        yield running


@contextmanager
def refused(code: grpc.StatusCode) -> Iterator[None]:
    """Expects a call that ends with this status."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    assert cast("grpc.Call", caught.value).code() is code


def call(tool: str = "echo", number: int = 1) -> bytes:
    """A message that calls a tool, under the revision that asks for the fewest headers."""
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    return json.dumps(message).encode()


def check_request(body: bytes, **extensions: str) -> CheckRequest:
    """What Envoy asks about a POST with this body."""
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host = "POST", "/mcp", "localhost"
    http.headers["content-type"] = "application/json"
    http.headers["accept"] = "application/json, text/event-stream"
    http.headers["mcp-protocol-version"] = "2025-06-18"
    http.raw_body, http.size = body, len(body)
    request.attributes.context_extensions.update(extensions)
    return request


class Gateway:
    """Asks as a gateway does."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self.check = self.channel.unary_unary(
            "/envoy.service.auth.v3.Authorization/Check",
            request_serializer=CheckRequest.SerializeToString,
            response_deserializer=CheckResponse.FromString,
        )

    def ask(self, body: bytes) -> CheckResponse:
        answer: CheckResponse = self.check(check_request(body), timeout=HANG)
        return answer

    def verdict(self, body: bytes) -> str:
        """``allow``, or the reason code of the denial."""
        fields = self.ask(body).dynamic_metadata.fields
        return str(fields["reason"].string_value or fields["verdict"].string_value)


@contextmanager
def gateway(address: str) -> Iterator[Gateway]:
    """A gateway with a connection of its own."""
    asking = Gateway(address)
    with asking.channel:
        yield asking
