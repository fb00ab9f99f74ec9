"""Services: guardsvc, Envoy and the MCP server as processes that say themselves where they listen."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from deploy.demo.bootstrap import LISTENER, Bootstrap
from deploy.demo.process import Process

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Envoy", "Guardsvc", "McpServer", "Received", "envoy_program"]

ROOT = Path(__file__).parents[2]
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def envoy_program() -> str:
    """Envoy: ``GUARDSVC_ENVOY``, else the one installed beside this Python, else the one on the path.

    Raises:
        FileNotFoundError: there is none.
    """
    program = (
        os.environ.get("GUARDSVC_ENVOY")
        or shutil.which("envoy", path=str(Path(sys.executable).parent))
        or shutil.which("envoy")
    )
    if program is None:
        raise FileNotFoundError("no envoy: install the dev requirements, or name one in GUARDSVC_ENVOY")
    return program


class Guardsvc(Process):
    """``guardsvc serve``. It keeps its port when it is stopped and started again.

    Args:
        config: configuration file.
        folder: where the log is written.
        name: of the process, where there are several.
        environment: variables over those of this process.
    """

    def __init__(
        self,
        config: Path,
        folder: Path,
        *,
        name: str = "guardsvc",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, (), folder, environment)
        self._config = config
        self.address = "127.0.0.1:0"

    def start(self) -> None:
        """Start on a free port, or on the port of the last time."""
        self._command = [sys.executable, "-m", "guardsvc", "serve", "--quiet", "--log-format", "json"]
        self._command += ["--config", str(self._config)]
        self._command += ["--grpc-address", self.address, "--metrics-address", "127.0.0.1:0"]
        super().start()

    def wait(self) -> None:
        """Wait until it takes decisions."""
        self.address = self.wait_for(lambda: self._find("event", "ready"))["grpc"]

    @property
    def port(self) -> int:
        """Port on which gateways ask."""
        return int(self.address.rpartition(":")[2])

    def decision(self, decision_id: str) -> dict[str, Any]:
        """What it logged about a decision; empty for a plain allow."""
        return self._find("decision_id", decision_id) or {}

    def _find(self, key: str, value: str) -> dict[str, Any] | None:
        return next((event for event in self.events() if event.get(key) == value), None)


@dataclass(frozen=True)
class Received:
    """A request as it reached the MCP server. Header names are in lower case."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]


class McpServer(Process):
    """The MCP server of the demo, and what reached it."""

    def __init__(self, folder: Path) -> None:
        self._record = folder / "requests.jsonl"
        command = [sys.executable, "-m", "deploy.demo.mcp_server", str(self._record)]
        super().__init__("mcp_server", command, folder, {"PYTHONPATH": str(ROOT)})
        self.port = 0

    def wait(self) -> None:
        """Wait until it takes connections."""
        self.port = self.wait_for(lambda: next((e["port"] for e in self.events() if "port" in e), None))

    def received(self) -> list[Received]:
        """Every request that reached it, oldest first."""
        if not self._record.exists():
            return []
        return [_received(json.loads(line)) for line in self._record.read_text().splitlines()]


def _received(request: dict[str, Any]) -> Received:
    return Received(
        method=request["method"],
        path=request["path"],
        headers=tuple((name, value) for name, value in request["headers"]),
        body=base64.b64decode(request["body"]),
    )


class Envoy(Process):
    """Envoy.

    Args:
        bootstrap: its configuration, with clusters that lead somewhere.
        folder: where the configuration and the log are written.
    """

    def __init__(self, bootstrap: Bootstrap, folder: Path) -> None:
        config = folder / "envoy.yaml"
        config.write_text(yaml.safe_dump(bootstrap.document, sort_keys=False))
        self._admin_file = folder / "envoy-admin"
        command = [envoy_program(), "--config-path", str(config), "--admin-address-path", str(self._admin_file)]
        command += ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
        command += ["--file-flush-interval-msec", "50"]
        super().__init__("envoy", command, folder)
        self._ports: dict[str, int] = {}

    def wait(self) -> None:
        """Wait until all listeners take connections."""
        self._ports = self.wait_for(self._listening)

    def url(self, listener: str = LISTENER) -> str:
        """The MCP endpoint behind a listener."""
        return f"http://127.0.0.1:{self._ports[listener]}/mcp"

    def _listening(self) -> dict[str, int] | None:
        if self._ask("/ready") is None:
            return None
        status = json.loads(self._ask("/listeners?format=json") or "{}").get("listener_statuses", ())
        return {listener["name"]: listener["local_address"]["socket_address"]["port_value"] for listener in status}

    def _ask(self, path: str) -> bytes | None:
        """The answer of the admin interface, None while there is none."""
        if not self._admin_file.exists():
            return None
        try:
            with NO_PROXY.open(f"http://{self._admin_file.read_text()}{path}", timeout=5) as response:
                body: bytes = response.read()
        except OSError:
            return None
        return body
