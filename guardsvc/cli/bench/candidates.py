"""Candidates: what ``guardsvc bench`` compares, each a server process of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from guardsvc.guards.native import NATIVE
from guardsvc.model import Direction, Phase

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ALONE", "BUILT_IN", "EMPTY", "GUARD_SETTINGS", "LEFT_OUT", "Candidate", "alone", "candidates"]

EMPTY = "empty handler"
BUILT_IN = "built-in policy"
SECONDS_TO_END = 10

GUARD_SETTINGS: dict[str, dict[str, Any]] = {
    "access_list": {
        "default": "deny",
        "unknown_server": "allow",
        "rules": [
            {"action": "deny", "tools": ["delete_*", "*_admin"]},
            {"action": "allow", "methods": ["@lifecycle", "@list"]},
            {"action": "allow", "tools": ["read_*", "search_*"]},
        ],
    },
    "rate_limit": {
        "limits": [{"key": ["principal", "tool"], "windows": ["1000000/second"], "strategy": "fixed_window"}]
    },
}
"""Settings of guards that have required ones; the others run on their defaults."""

TOOL_SCHEMA = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "minLength": 1, "maxLength": 4000},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
        "filters": {
            "type": "object",
            "properties": {
                "state": {"type": "array", "items": {"enum": ["open", "waiting", "closed"]}},
                "owner": {"type": ["string", "null"]},
                "since": {"type": "string", "format": "date"},
            },
        },
        "highlight": {"type": "boolean"},
    },
    "required": ["query"],
}
"""``inputSchema`` of the tool that the CheckRequest calls, for the guard that judges by it."""
SERVERS = {"demo": {"tools": {"search_tickets": {"input_schema": TOOL_SCHEMA}}}}

_REQUEST = frozenset({Direction.REQUEST, Phase.TOOL_INVOKE})
ALONE = tuple(guard_type.name for guard_type in NATIVE if guard_type.runs_on & _REQUEST)
LEFT_OUT = tuple(guard_type.name for guard_type in NATIVE if guard_type.name not in ALONE)
"""Guards that judge answers only, so that the CheckRequest would measure nothing of them."""


LOOK_EVERY_S = 0.01
"""Between two looks at the log of a server that starts, which needs the processor itself."""


class Candidate:
    """One server process; as a context manager it runs and ends.

    Args:
        name: what the report calls it.
        policy: the ``policy`` section it runs; None for the empty handler.
        folder: for its configuration, its log and its audit.
        audit: whether it writes a record of each decision to a file.

    Attributes:
        address: ``host:port`` once it runs.
    """

    def __init__(self, name: str, policy: dict[str, Any] | None, folder: Path, *, audit: bool = True) -> None:
        self.name = name
        self.address = ""
        self._policy = policy
        self._audit = audit
        self._folder = folder / name.replace(" ", "_").replace(":", "").replace(",", "")
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        """Start it and wait until it takes calls.

        Raises:
            RuntimeError: it ended instead; its log is in the message.
        """
        self._folder.mkdir()
        log = self._folder / "log"
        with log.open("wb") as sink:
            self._process = subprocess.Popen(self._command(), stdout=sink, stderr=sink, env=_environment())  # noqa: S603
        while True:
            ready = _ready(log.read_text())
            if ready is not None:
                self.address = ready["grpc"]
                return self
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(LOOK_EVERY_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cpu_seconds(self) -> float:
        """Processor time it has used so far, user and system."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def _command(self) -> list[str]:
        if self._policy is None:
            return [sys.executable, "-m", "guardsvc.cli.bench.empty_server"]
        command = [sys.executable, "-m", "guardsvc", "serve", "--quiet", "--log-format", "json"]
        command += ["--grpc-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"]
        config = self._folder / "config.yaml"
        config.write_text(yaml.safe_dump({"service": {"audit": self._audit_settings()}, "policy": self._policy}))
        return [*command, "--config", str(config)]

    def _audit_settings(self) -> dict[str, Any]:
        if not self._audit:
            return {"output": "none"}
        keys = [{"id": "bench", "secret": secrets.token_hex(16)}]
        return {"output": "file", "path": str(self._folder / "audit.jsonl"), "keys": keys, "keep": 1}


def candidates(folder: Path) -> list[Candidate]:
    """The empty handler, an empty policy, the policy of ``guardsvc serve``, and each guard of requests alone.

    All but the empty handler have metrics and the audit to a file on; the built-in policy is there without it too.
    """
    built_in = {"preset": "default"}
    return [
        Candidate(EMPTY, None, folder),
        Candidate("default: allow", {"default": "allow"}, folder),
        Candidate(BUILT_IN, built_in, folder),
        Candidate(f"{BUILT_IN}, no audit", built_in, folder, audit=False),
        *(Candidate(f"guard {name}", alone(name), folder) for name in ALONE),
    ]


def alone(name: str) -> dict[str, Any]:
    """The policy of one guard with the settings it needs."""
    policy: dict[str, Any] = {"guards": [{"type": name, "settings": GUARD_SETTINGS.get(name, {})}]}
    return {**policy, "servers": SERVERS} if name == "schema_validation" else policy


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GUARDSVC_")}


def _ready(log: str) -> dict[str, Any] | None:
    for line in log.splitlines():
        if '"ready"' in line and line.endswith("}"):
            event: dict[str, Any] = json.loads(line)
            if event.get("event") == "ready":
                return event
    return None
