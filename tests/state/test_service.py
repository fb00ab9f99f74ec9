"""Rate limits of the service as it runs: over reloads, and over Redis that comes and goes."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

from tests.server.process import Gateway, Running, call, gateway, serving, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.state.redis_server import RedisServer


def limiting(*limits: dict[str, Any], name: str = "limiting", **settings: Any) -> str:
    """A configuration that limits whoever asks, and else allows everything."""
    guard = {"type": "rate_limit", "timeout_ms": TIMEOUT_MS, "settings": {"limits": limits, **settings}}
    return json.dumps({"policy": {"name": name, "default": "allow", "deadline_ms": 20_000, "guards": [guard]}})


TIMEOUT_MS = 1000
"""Enough for Redis to answer on a busy machine."""
LATE = 30.0
CALLS = {"name": "calls", "key": ["principal"], "windows": ["3/hour"]}


def verdicts(asking: Gateway, count: int) -> list[str]:
    return [asking.verdict(call()) for _ in range(count)]


def test_the_client_is_told_when_to_come_again(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(limiting({**CALLS, "windows": ["1/minute"], "strategy": "fixed_window"}))
    with serving(tmp_path, "--quiet", "--config", str(config)) as running, gateway(running.grpc_address) as asking:
        assert asking.verdict(call()) == "allow"
        denied = asking.ask(call(number=7)).denied_response
        headers = {option.header.key: option.header.value for option in denied.headers}
        answer = json.loads(denied.body)
        assert denied.status.code == 200
        assert 55 <= int(headers["retry-after"]) <= 61
        assert (answer["id"], answer["error"]["code"], answer["error"]["message"]) == (7, -32003, "Too many requests.")
        data = answer["error"]["data"]
        assert (data["reason"], data["limit"]) == ("rate_limited", "calls")
        assert 55_000 <= data["retry_after_ms"] <= 60_001
        assert running.metric('guardsvc_denials_total{reason="rate_limited"}') == 1

        notification = json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        assert asking.ask(notification.encode()).denied_response.status.code == 429
        assert running.end() == 0


def test_a_reload_does_not_forget_what_was_counted(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(limiting(CALLS))
    with serving(tmp_path, "--quiet", "--config", str(config)) as running, gateway(running.grpc_address) as asking:
        assert verdicts(asking, 2) == ["allow", "allow"]
        config.write_text(limiting(CALLS, name="another"))
        running.wait_for_log("policy_loaded")
        assert verdicts(asking, 2) == ["allow", "rate_limited"]
        config.write_text("broken")
        running.wait_for_log("reload_failed")
        assert verdicts(asking, 1) == ["rate_limited"]
        config.write_text(limiting({**CALLS, "windows": ["4/hour"]}))
        running.wait_for_log("policy_loaded", 2)
        assert verdicts(asking, 5) == ["allow"] * 4 + ["rate_limited"]


def test_redis_gone_and_back(tmp_path: Path, redis_server: RedisServer) -> None:
    config = tmp_path / "config.json"
    config.write_text(limiting({**CALLS, "windows": ["1000/hour"]}, storage=redis_server.url))
    with serving(tmp_path, "--quiet", "--config", str(config)) as running, gateway(running.grpc_address) as asking:
        assert verdicts(asking, 3) == ["allow"] * 3

        redis_server.kill()
        assert verdicts(asking, 5) == ["state_unavailable"] * 5
        redis_server.start()
        wait_until(lambda: asking.verdict(call()) == "allow", "the limits after a restart")

        redis_server.hang()
        _ask_in_time(asking, 5)
        redis_server.go_on()
        wait_until(lambda: asking.verdict(call()) == "allow", "the limits after a pause")

        errors = 'guardsvc_guard_errors_total{guard="rate_limit",kind="state_unavailable"}'
        assert running.metric(errors) >= 10
        assert _failures(running) == {"state_unavailable"}
        running.signal(signal.SIGTERM)
        assert running.wait() == 0


def test_two_services_share_what_redis_counts(tmp_path: Path, redis_server: RedisServer) -> None:
    config = tmp_path / "config.json"
    config.write_text(limiting(CALLS, storage=redis_server.url))
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    with (
        serving(folders[0], "--quiet", "--config", str(config)) as one,
        serving(folders[1], "--quiet", "--config", str(config)) as two,
        gateway(one.grpc_address) as first,
        gateway(two.grpc_address) as second,
    ):
        answers = [asking.verdict(call()) for asking in (first, second, first, second, first)]
        assert answers == ["allow"] * 3 + ["rate_limited"] * 2


def _ask_in_time(asking: Gateway, count: int) -> None:
    for _ in range(count):
        started = time.monotonic()
        assert asking.verdict(call()) == "state_unavailable"
        assert time.monotonic() - started < LATE


def _failures(running: Running) -> set[str]:
    return {text.partition(":")[0] for log in running.logs("decision") for text in (log["failed"] or {}).values()}
