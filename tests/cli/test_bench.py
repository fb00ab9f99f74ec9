"""``guardsvc bench``: every candidate really answers, and the report says what was measured."""

from __future__ import annotations

import asyncio
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from guardsvc.cli.bench.candidates import (
    ALONE,
    BUILT_IN,
    EMPTY,
    GUARD_SETTINGS,
    LEFT_OUT,
    Candidate,
    alone,
    candidates,
)
from guardsvc.cli.bench.empty_server import ANSWER
from guardsvc.cli.bench.load import LoadError, Measured, run_load
from guardsvc.cli.bench.run import METHOD
from guardsvc.guards.native import NATIVE
from tests.cli.command import run_here, run_process
from tests.server.process import HANG

MESSAGE = (files("guardsvc.cli.bench") / "check_request.bin").read_bytes()


def test_the_request_is_one_of_envoys_and_is_whole() -> None:
    http = CheckRequest.FromString(MESSAGE).attributes.request.http
    assert len(http.header_map.headers) == 25
    assert 900 < len(http.raw_body) < 1100
    assert http.size == len(http.raw_body)


def test_settings_are_given_for_guards_that_need_some_and_no_others() -> None:
    needed = {t.name for t in NATIVE if any(field.is_required() for field in t.settings.model_fields.values())}
    assert set(GUARD_SETTINGS) == needed
    for guard_type in NATIVE:
        if guard_type.name in GUARD_SETTINGS:
            guard_type.settings.model_validate(GUARD_SETTINGS[guard_type.name])


def assert_measured(report: dict[str, Any], names: list[str]) -> None:
    assert list(report["candidates"]) == names
    assert report["left_out"] == list(LEFT_OUT)
    for figures in report["candidates"].values():
        assert figures["throughput_per_s"] > 0
        assert 0 < figures["p50_us"] <= figures["p99_us"]
        assert figures["resident_mib"] > 0
    assert report["candidates"][EMPTY]["throughput_ratio"] == 1


@pytest.mark.long
def test_every_candidate_is_measured() -> None:
    ended = run_process("bench", "--rounds", "1", "--seconds", "0.1", "--output", "json", within=5 * HANG)
    assert ended.code == 0, ended.err
    built_in = [EMPTY, "default: allow", BUILT_IN, f"{BUILT_IN}, no audit"]
    assert_measured(ended.object, [*built_in, *(f"guard {name}" for name in ALONE)])


def test_candidates_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    some = (EMPTY, "default: allow", "guard access_list")
    monkeypatch.setattr(
        "guardsvc.cli.bench.run.candidates", lambda folder: [each for each in candidates(folder) if each.name in some]
    )
    ended = run_here("bench", "--rounds", "1", "--seconds", "0.1", "--output", "json")
    assert ended.code == 0, ended.err
    assert_measured(ended.object, list(some))


@pytest.mark.parametrize("name", ALONE)
def test_a_guard_alone_allows_the_request(tmp_path: Path, name: str) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"policy": alone(name)}))
    body = CheckRequest.FromString(MESSAGE).attributes.request.http.raw_body
    answer = run_here("check", "-c", config, "--output", "json", stdin=body)
    assert answer.code == 0, answer.out
    assert [guard["verdict"] for guard in answer.object["decisions"][0]["guards"]] == ["allow"]


def test_every_native_guard_has_a_row_or_is_left_out() -> None:
    assert sorted((*ALONE, *LEFT_OUT)) == sorted(guard_type.name for guard_type in NATIVE)
    assert "tool_poisoning" in LEFT_OUT


def test_guardsvc_keeps_an_audit(tmp_path: Path) -> None:
    for candidate in candidates(tmp_path):
        if candidate.name != BUILT_IN:
            continue
        with candidate:
            asyncio.run(run_load(candidate.address, METHOD, MESSAGE, seconds=0.1, connections=1, calls_each=1))
        lines = (tmp_path / "built-in_policy" / "audit.jsonl").read_text().splitlines()
        records = [record for record in map(json.loads, lines) if "verdict" in record]
        assert {record["verdict"] for record in records} == {"allow"}
        assert {"secrets", "sandbox_escape"} <= {part["guard"] for part in records[0]["guards"]}
        return
    raise AssertionError("no such candidate")


def test_a_refusal_is_no_measurement(tmp_path: Path) -> None:
    settings = {"rules": [{"action": "deny", "tools": ["*"]}], "unknown_server": "allow", "default": "allow"}
    policy = {"guards": [{"type": "access_list", "settings": settings}]}
    with Candidate("refuses", policy, tmp_path) as server, pytest.raises(LoadError, match="not the one expected"):
        asyncio.run(run_load(server.address, METHOD, MESSAGE, seconds=0.1, connections=1, calls_each=1, begins=ANSWER))


def test_quantiles() -> None:
    measured = Measured(calls=4, seconds=1.0, latencies=[1.0, 2.0, 3.0, 4.0])
    assert measured.quantile(0.5) == 3.0
    assert measured.quantile(0.99) == 4.0
    assert measured.quantile(1.0) == 4.0


def test_a_call_that_is_refused_is_no_measurement(tmp_path: Path) -> None:
    with Candidate(EMPTY, None, tmp_path) as server, pytest.raises(LoadError):
        asyncio.run(run_load(server.address, "/no.Such/Method", b"", seconds=0.1, connections=1, calls_each=1))


def test_a_candidate_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not one of allow, deny"), Candidate("x", {"default": "maybe"}, tmp_path):
        pass
