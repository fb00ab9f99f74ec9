"""``guardsvc bench``: every candidate really answers, and the report says what was measured."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from guardsvc.cli.bench.candidates import EMPTY, GUARD_SETTINGS, Candidate
from guardsvc.cli.bench.load import LoadError, Measured, run_load
from guardsvc.guards.native import NATIVE


def test_the_request_is_one_of_envoys_and_is_whole() -> None:
    data = (files("guardsvc.cli.bench") / "check_request.bin").read_bytes()
    http = CheckRequest.FromString(data).attributes.request.http
    assert len(http.header_map.headers) == 25
    assert 900 < len(http.raw_body) < 1100
    assert http.size == len(http.raw_body)


def test_settings_are_given_for_guards_that_need_some_and_no_others() -> None:
    needed = {t.name for t in NATIVE if any(field.is_required() for field in t.settings.model_fields.values())}
    assert set(GUARD_SETTINGS) == needed
    for guard_type in NATIVE:
        if guard_type.name in GUARD_SETTINGS:
            guard_type.settings.model_validate(GUARD_SETTINGS[guard_type.name])


def test_every_candidate_is_measured() -> None:
    command = [sys.executable, "-m", "guardsvc", "bench", "--rounds", "1", "--seconds", "0.1", "--output", "json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    names = [EMPTY, "default: allow", "built-in policy", *(f"guard {guard_type.name}" for guard_type in NATIVE)]
    assert list(report["candidates"]) == names
    for figures in report["candidates"].values():
        assert figures["throughput_per_s"] > 0
        assert 0 < figures["p50_us"] <= figures["p99_us"]
        assert figures["resident_mib"] > 0
    assert report["candidates"][EMPTY]["throughput_ratio"] == 1


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
