"""``guardsvc explain --output json``: which guards would run for an operation, and what their failure means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.model import ErrorKind
from tests.cli.command import Command, run_process
from tests.packages.installed import environment, install_handmade

if TYPE_CHECKING:
    from pathlib import Path


def guards(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["guard"]: each for each in described["guards"]}


def test_the_chain_in_order(guardsvc: Command, config: Path) -> None:
    answer = guardsvc("explain", "-c", config, "--tool", "lib_search", "-o", "json")

    assert (answer.code, answer.err) == (0, "")
    assert answer.object["operation"] == {
        "method": "tools/call",
        "phase": "tool_invoke",
        "server": "library",
        "servers": ["library"],
        "subject": "search",
    }
    assert answer.object["policy"]["default"] == "deny"
    assert [each["priority"] for each in answer.object["guards"]] == [10, 20]
    assert all(each["runs"] for each in answer.object["guards"])


@pytest.mark.parametrize(
    ("more", "runs"),
    [
        ({}, True),
        ({"match": {"tools": ["search"]}}, True),
        ({"match": {"tools": ["other"]}}, False),
        ({"match": {"tenants": ["acme"]}}, True),
        ({"match": {"tenants": ["other"]}}, False),
        ({"runs_on": ["tools_list"]}, False),
        ({"runs_on": ["response"]}, False),
        ({"active": {"until": "2020-01-01T00:00:00Z"}}, False),
        ({"active": {"from": "2020-01-01T00:00:00Z"}}, True),
    ],
)
def test_why_a_guard_does_not_run(guardsvc: Command, tmp_path: Path, more: dict[str, Any], runs: bool) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"policy": {"guards": [{"type": "protocol_compliance", **more}]}}))
    answer = guardsvc("explain", "-c", file, "--tool", "search", "--tenant", "acme", "-o", "json")
    (guard,) = answer.object["guards"]

    assert guard["runs"] is runs
    assert bool(guard["why_not"]) is not runs


def test_the_fail_matrix(guardsvc: Command, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    entries = [
        {"type": "protocol_compliance", "id": "closed"},
        {"type": "protocol_compliance", "id": "open", "failure_mode": "fail_open"},
        {"type": "protocol_compliance", "id": "shadow", "mode": "shadow"},
    ]
    file.write_text(json.dumps({"policy": {"guards": entries}}))
    found = guards(guardsvc("explain", "-c", file, "-o", "json").object)

    assert found["closed"]["on_failure"].keys() == set(ErrorKind)
    assert found["closed"]["on_failure"]["timeout"] == "deny guard_timeout"
    assert set(found["open"]["on_failure"].values()) == {"allow"}
    assert set(found["shadow"]["on_failure"].values()) == {"recorded only"}


def test_the_fail_matrix_is_told_once_for_all_guards_alike(guardsvc: Command, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    modes = {"a": "fail_closed", "b": "fail_open", "c": "fail_closed"}
    entries = [{"type": "protocol_compliance", "id": id_, "failure_mode": mode} for id_, mode in modes.items()]
    file.write_text(json.dumps({"policy": {"guards": entries}}))
    told = guardsvc("explain", "-c", file).out.partition("fail matrix")[2].splitlines()[1:]

    assert [line for line in told if not line.startswith("    ")] == ["  a, c", "  b"]
    assert [line.split() for line in told if " timeout " in line] == [
        ["timeout", "deny", "guard_timeout"],
        ["timeout", "allow"],
    ]


@pytest.mark.parametrize("method", ["initialize", "http/get_stream", "no/such", "", "\x1b[2J\n"])
@pytest.mark.parametrize("output", ["json", "human"])
def test_any_method_is_explained(guardsvc: Command, method: str, output: str) -> None:
    assert guardsvc("explain", "--method", method, "-o", output).code == 0


def test_an_ambiguous_tool(guardsvc: Command, config: Path) -> None:
    config.write_text(config.read_text().replace("tool_prefixes: [bank_]", "tool_prefixes: [lib_s]"))
    answer = guardsvc("explain", "-c", config, "--tool", "lib_search", "-o", "json")

    assert (answer.code, answer.out) == (2, "")
    assert "ambiguous_server" in answer.err


def test_a_bad_configuration(guardsvc: Command, tmp_path: Path) -> None:
    assert guardsvc("explain", "-c", tmp_path / "none.yaml").code == 3


@pytest.mark.parametrize("output", ["json", "human"])
def test_secrets_of_guards_are_masked(tmp_path: Path, output: str) -> None:
    install_handmade(tmp_path)
    file = tmp_path / "config.yaml"
    file.write_text("policy: {guards: [{type: keyholder, settings: {key: '${env:KEY}'}}]}\n")
    env = environment(tmp_path, KEY="correct horse")
    explained = run_process("explain", "-c", file, "-o", output, env=env)
    schema = run_process("config", "schema", env=env)

    assert (explained.code, explained.err, schema.code) == (0, "", 0)
    assert "********" in explained.out
    assert "horse" not in explained.out
    assert json.loads(schema.out)["$defs"]["KeyholderSettings"]["properties"]["key"]["writeOnly"] is True
