"""What a service of several workers tells of them, and a guard whose settings say when it fails."""

from __future__ import annotations

import json
from pathlib import Path

from tests.server.process import (
    Running,
    call,
    gateway,
)

ALLOWED = (
    'guardsvc_decisions_total{method="tools/call",mode="enforce",phase="tool_invoke",'
    'protocol="ext_authz",verdict="allow"}'
)

MOODY = """
import os
from pathlib import Path

from guardsvc.model import ALLOW, GuardType, Settings, SettingsError


class MoodySettings(Settings):
    folder: str
    mood: str


class Moody:
    def __init__(self, settings, context):
        supervised = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        if supervised and settings.mood == "one fails":
            try:
                os.close(os.open(Path(settings.folder) / "failed", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            raise SettingsError(("mood",), "not in this mood")
        if supervised and settings.mood == "all die":
            os._exit(9)

    def evaluate(self, operation, facts):
        return ALLOW


MOODY = GuardType(name="moody", settings=MoodySettings, build=Moody)
"""


def addresses(running: Running) -> list[str]:
    found: list[str] = running.logs("ready")[0]["grpc"]
    return found


def pids(running: Running) -> dict[int, int]:
    """The newest process of each worker."""
    return {log["worker"]: log["pid"] for log in running.logs("worker_serving")}


def verdicts(running: Running, tool: str) -> list[str]:
    """What each worker decides of a tool."""
    found = []
    for address in addresses(running):
        with gateway(address) as asking:
            found.append(asking.verdict(call(tool)))
    return found


def in_force(running: Running, tool: str) -> bool:
    """Whether every worker allows the tool, and what is in force is the newest."""
    return verdicts(running, tool) == ["allow", "allow"] and running.metric("guardsvc_policy_stale") == 0


def ready(running: Running) -> bool:
    return running.get("/readyz")[0] == 200


def is_there(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def moody(folder: Path, mood: str) -> str:
    settings = {"folder": str(folder), "mood": mood}
    return json.dumps({"policy": {"name": mood, "guards": [{"type": "moody", "settings": settings}]}})
