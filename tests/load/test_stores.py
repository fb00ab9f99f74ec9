"""What the service writes to or asks is full, gone or silent, and back: the others are answered, and it is said."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.observe.audit import AuditKey
from guardsvc.observe.audit.verify import verify
from tests.load.client import Pacer, connect, framed, run, undisturbed
from tests.load.memory import MIB, Memory
from tests.load.others import MESSAGE, answer_of, beside
from tests.server.process import call, check_request, serving
from tests.state.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.server.process import Running

pytestmark = pytest.mark.long

DISK = 8 * MIB
SECRET = "sixteen letters!"
RATE = 300.0
WRITTEN = 'guardsvc_audit_records_total{result="written"}'
DROPPED = 'guardsvc_audit_records_total{result="dropped"}'
FAILURES = 'guardsvc_guard_errors_total{guard="rate_limit",kind="state_unavailable"}'


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that can be filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root may mount the small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("mode", ["best_effort", "required"])
def test_full_disk(tmp_path: Path, small_disk: Path, mode: str, tell: Callable[[str], None]) -> None:
    path = small_disk / "audit.jsonl"
    file = tmp_path / "config.json"
    audit = {
        "output": "file",
        "path": str(path),
        "mode": mode,
        "queue_records": 256,
        "keys": [{"id": "k1", "secret": SECRET}],
    }
    file.write_text(json.dumps({"service": {"audit": audit}, "policy": {"name": "disk", "default": "allow"}}))
    with serving(tmp_path, "--quiet", "--config", str(file)) as service:
        memory = Memory(service)
        broken = "allow" if mode == "best_effort" else "audit_unavailable"
        with undisturbed():
            before = _asked(service, 1)
            _fill(small_disk / "ballast")
            full = _asked(service, 3)
            assert service.metric("guardsvc_audit_broken") == 1
            (small_disk / "ballast").unlink()
            service.wait_for_metric("guardsvc_audit_broken", 0)
            after = _asked(service, 1)
        tell(f"before {before}, full {full}, after {after}")
        memory.look()
        tell(str(memory))
        dropped = service.metric(DROPPED)
        tell(f"{service.metric(WRITTEN):.0f} records written, {dropped:.0f} dropped")

        assert before.keys() == after.keys() == {"allow"}
        assert broken in full
        assert full.keys() <= {"allow", broken}
        assert dropped > 0
        assert service.logs("audit_broken")
        assert memory.peak <= memory.bound
        assert service.end() == 0
    report = verify([str(path)], {"k1": AuditKey("k1", SECRET.encode())})
    assert report.breaks == []
    assert report.lost == dropped
    if mode == "required":
        written = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert sum(record.get("applied") == "allow" for record in written) == before["allow"] + after["allow"]


@contextmanager
def limited(tmp_path: Path, redis: RedisServer) -> Iterator[Running]:
    """A service that counts calls of one tool in Redis and no others."""
    limit = {"name": "counted", "key": ["tool"], "match": {"tools": ["counted"]}, "windows": ["1000000/hour"]}
    guard = {"type": "rate_limit", "timeout_ms": 200, "settings": {"limits": [limit], "storage": redis.url}}
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"policy": {"name": "limited", "default": "allow", "guards": [guard]}}))
    with serving(tmp_path, "--quiet", "--config", str(file)) as service:
        yield service


def test_redis_gone_hung_and_back(tmp_path: Path, tell: Callable[[str], None]) -> None:
    redis = RedisServer(tmp_path)
    redis.start()
    counted = framed(check_request(call("counted")).SerializeToString())
    try:
        with limited(tmp_path, redis) as service:
            memory = Memory(service)
            seen: dict[str, Any] = {}

            async def ask(name: str, seconds: float) -> None:
                connections = await connect(service.grpc_address)
                calls = await Pacer(connections, counted, 100).run(seconds)
                seen[name] = _counted(calls), max(each.latency for each in calls) * 1000
                connections[0].close()

            async def disturb() -> None:
                await ask("there", 1)
                redis.kill()
                await ask("gone", 2)
                await asyncio.to_thread(redis.start)
                await asyncio.sleep(1)
                await ask("back", 1)
                redis.hang()
                await ask("hung", 2)
                redis.go_on()
                await asyncio.sleep(1)
                await ask("going on", 1)

            with undisturbed():
                others = run(beside(service.grpc_address, disturb))
            memory.look()
            for name, (answers, longest) in seen.items():
                tell(f"Redis {name}: {answers}, longest {longest:.0f} ms")
            tell(str(others))
            tell(f"{service.metric(FAILURES):.0f} failures counted; {memory}")

            assert others.answers.keys() == {"allow"}
            for name in ("there", "back", "going on"):
                assert seen[name][0].keys() == {"allow"}
            for name in ("gone", "hung"):
                assert seen[name][0].keys() <= {"allow", "state_unavailable"}
                assert seen[name][0]["state_unavailable"] > 100
            assert service.metric(FAILURES) > 200
            assert {text.partition(":")[0] for log in service.logs("decision") for text in log["failed"].values()} == {
                "state_unavailable"
            }
            assert memory.peak <= memory.bound
    finally:
        redis.kill()


def _counted(calls: list[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in calls:
        answer = answer_of(each)
        found[answer] = found.get(answer, 0) + 1
    return found


def _asked(service: Running, seconds: float) -> dict[str, int]:
    async def ask() -> dict[str, int]:
        connections = await connect(service.grpc_address)
        calls = await Pacer(connections, MESSAGE, RATE).run(seconds)
        connections[0].close()
        return _counted(calls)

    return run(ask())


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
