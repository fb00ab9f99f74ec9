"""A guard with a candidate version in a service of two workers, and what ``guardsvc ab report`` tells of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from guardsvc.guards.wasm.variants import Assignment
from tests.guards.wasm.components import ANSWER, answer_of, component
from tests.server.process import Gateway, check_request, gateway, serving, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Command

RETURN = f'(func (export "evaluate") (param i32) (result i32) (i32.const {ANSWER}))'
ALLOWS = component(RETURN)
DENIES = component(answer_of("deny", "candidate_denies", "No.") + RETURN)
PEOPLE = [f"ann-{number}" for number in range(20)]
SHARE = 40
CHOSEN = {name for name in PEOPLE if Assignment("autumn", SHARE).chooses("acme", name, verified=True)}

POLICY = """
service:
  wasm: {{cache: {folder}/cache}}
  audit:
    output: file
    path: "{folder}/audit-{{worker}}.jsonl"
    mode: required
    keys: [{{id: k1, secret: 0123456789abcdef0123456789abcdef}}]
policy:
  identity: {{sources: [{{type: context_extensions, verified: true, principal: principal}}]}}
  guards:
    - type: wasm
      id: vendor
      timeout_ms: 400
      settings:
        module: {folder}/current.wasm
        allow_unsigned: true
        variants: {{module: {folder}/candidate.wasm, allow_unsigned: true, share: {share}, salt: autumn, mode: {mode}}}
"""
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read", "arguments": {}}}


def configure(folder: Path, mode: str, share: float = SHARE) -> Path:
    path = folder / "guardsvc.yaml"
    draft = folder / "draft.yaml"
    draft.write_text(POLICY.format(folder=folder, mode=mode, share=share))
    draft.rename(path)
    return path


def asked(asking: Gateway, principal: str, *, proven: bool = True) -> str:
    request = check_request(json.dumps(CALL).encode(), **({"tenant": "acme", "principal": principal} if proven else {}))
    fields = asking.check(request, timeout=20).dynamic_metadata.fields
    return str(fields["reason"].string_value or fields["verdict"].string_value)


def test_two_workers_give_each_caller_the_same_version_and_reports_add_up(tmp_path: Path, guardsvc: Command) -> None:
    (tmp_path / "current.wasm").write_bytes(ALLOWS)
    (tmp_path / "candidate.wasm").write_bytes(DENIES)
    path = configure(tmp_path, "enforce")
    assert 0 < len(CHOSEN) < len(PEOPLE)
    wanted = {name: "candidate_denies" if name in CHOSEN else "allow" for name in PEOPLE}

    with serving(tmp_path, "--config", str(path), "--workers", "2") as running:
        for address in running.logs("ready")[0]["grpc"]:
            with gateway(address) as asking:
                assert {name: asked(asking, name) for name in PEOPLE} == wanted
                assert asked(asking, PEOPLE[0], proven=False) == "allow"
        chosen, others = 2 * len(CHOSEN), 2 * (len(PEOPLE) - len(CHOSEN)) + 2
        series = 'guardsvc_wasm_variant_compared_total{candidate="deny",current="allow",differs="yes",guard="vendor"}'
        running.wait_for_metric(series, chosen)
        (tmp_path / "metrics.txt").write_text(running.get("/metrics")[1])
        address = running.logs("ready")[0]["metrics"]
        report = guardsvc("ab", "report", "--metrics", f"http://{address}/metrics", "--output", "json").object
        audit = [f"--audit={tmp_path}/audit-{number}.jsonl" for number in (0, 1)]
        wait_until(lambda: sum(len(file.read_bytes().splitlines()) for file in tmp_path.glob("audit-*")) >= 42, "audit")
        audited = guardsvc("ab", "report", *audit, "--config", path, "--output", "json").object["audit"]

        configure(tmp_path, "shadow")
        running.wait_for_log("policy_loaded")
        with gateway(running.logs("ready")[0]["grpc"][0]) as asking:
            assert {asked(asking, name) for name in PEOPLE} == {"allow"}
        configure(tmp_path, "enforce", 100)
        running.wait_for_log("policy_loaded", 2)
        with gateway(running.logs("ready")[0]["grpc"][0]) as asking:
            assert {asked(asking, name) for name in PEOPLE} == {"candidate_denies"}
        assert running.end() == 0

    vendor = report["metrics"]["guards"]["vendor"]
    current, candidate = vendor["arms"]["current"], vendor["arms"]["candidate"]
    assert (vendor["compared"], vendor["differ"], vendor["shed"]) == (chosen, chosen, 0)
    assert vendor["differences"] == [{"current": "allow", "candidate": "deny", "calls": chosen}]
    assert (candidate["calls"], candidate["outcomes"]["deny"], candidate["errors"]) == (chosen, chosen, 0)
    assert (current["calls"], current["outcomes"]["allow"]) == (others + chosen, others + chosen)
    assert 0 < candidate["p50_us"] <= candidate["p99_us"]

    decided = audited["guards"]["vendor"]["arms"]
    assert (decided["candidate"]["outcomes"]["deny"], decided["current"]["outcomes"]["allow"]) == (chosen, others)
    assert decided["candidate"]["exact"]
    assert audited["left_out"] == {}
    told = guardsvc("ab", "report", "--metrics", tmp_path / "metrics.txt")
    assert f"differ in {chosen} (100.00 %)" in told.out
    assert f"allow -> deny  {chosen}" in told.out
    other = guardsvc("ab", "report", *audit, "--config", configure(tmp_path, "shadow")).out
    assert "records, of another policy" in other


def test_what_is_asked_for_must_be_there(tmp_path: Path, guardsvc: Command) -> None:
    assert guardsvc("ab", "report").code == 2
    assert guardsvc("ab", "report", "--audit", tmp_path / "none").code == 2
    assert "none" in guardsvc("ab", "report", "--metrics", tmp_path / "none").err
    empty = tmp_path / "empty"
    empty.write_text("")
    assert "no guard with a candidate version" in guardsvc("ab", "report", "--metrics", empty).out
    empty.write_text("this is {no metrics")
    assert "is no metrics" in guardsvc("ab", "report", "--metrics", empty).err
