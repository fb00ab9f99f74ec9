"""``guardsvc validate``: every problem at once, and what is legal but seldom meant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command import Command

if TYPE_CHECKING:
    from pathlib import Path

WRONG = """\
service:
  log: {level: loud}
policy:
  defualt: deny
  guards:
    - type: access_list
      failure_mode: open
      settings: {default: deny}
    - type: access_lost
    - type: access_list
      timeout_ms: 0
"""


def test_a_right_file(guardsvc: Command, config: Path) -> None:
    answer = guardsvc("validate", config)
    described = guardsvc("validate", config, "--output", "json").object

    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[0].startswith(f"{config}: valid; policy search only (")
    assert described["valid"] is True
    assert described["guards"] == ["protocol_compliance", "who may what"]
    assert described["policy"]["hash"] in answer.out
    assert described["warnings"] == []


def test_all_problems_with_path_value_legal_values_and_line(guardsvc: Command, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(WRONG)
    answer = guardsvc("validate", file)
    lines = answer.err.splitlines()

    assert (answer.code, answer.out) == (3, "")
    assert lines[0] == f'{file}:2: service.log.level: "loud" is not one of debug, info, warning, error'
    assert lines[1].startswith(f"{file}:4: policy.defualt: unknown key; legal keys are ")
    assert lines[1].endswith("(did you mean default?)")
    assert lines[2] == f'{file}:7: policy.guards[0].failure_mode: "open" is not one of fail_closed, fail_open'
    assert lines[3].startswith(f'{file}:9: policy.guards[1].type: "access_lost" is not one of access_list, ')
    assert lines[4] == f"{file}:10: policy.guards[2].settings: the key is missing"
    assert lines[5].startswith(f"{file}:11: policy.guards[2].timeout_ms: 0 is out of range; expected more than 0")
    assert lines[6:] == [f"{file}: 6 problems"]


def test_problems_as_json(guardsvc: Command, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(WRONG)
    answer = guardsvc("validate", file, "-o", "json")

    assert (answer.code, answer.err) == (3, "")
    assert (answer.object["valid"], answer.object["source"]) == (False, str(file))
    assert [(each["path"], each["line"]) for each in answer.object["problems"]] == [
        ("service.log.level", 2),
        ("policy.defualt", 4),
        ("policy.guards[0].failure_mode", 7),
        ("policy.guards[1].type", 9),
        ("policy.guards[2].settings", 10),
        ("policy.guards[2].timeout_ms", 11),
    ]


def test_problems_that_only_the_policy_knows(guardsvc: Command, config: Path) -> None:
    text = config.read_text().replace("servers: [library]", "servers: [libary]").replace("id: who may what", "id: x")
    config.write_text(f"{text}    - {{type: protocol_compliance, id: x, match: {{servers: [nowhere]}}}}\n")
    answer = guardsvc("validate", config, "-o", "json")

    assert answer.code == 3
    assert {each["path"] for each in answer.object["problems"]} == {
        "policy.guards[1].settings.rules[0].servers[0]",
        "policy.guards[2].id",
        "policy.guards[2].match.servers[0]",
    }
    assert all(each["line"] for each in answer.object["problems"])
    assert any("declared are: bank, library" in each["message"] for each in answer.object["problems"])


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: [", b"a: 1\na: 2\n", b"\x00", b"&a [*a]", b"[" * 5000, b""])
def test_what_is_no_yaml_is_a_problem_too(guardsvc: Command, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    human, described = guardsvc("validate", file), guardsvc("validate", file, "-o", "json")

    assert (human.code, described.code) == (3, 3)
    assert described.object["problems"]
    assert human.err.count("\n") == len(described.object["problems"]) + 1


def test_a_missing_file(guardsvc: Command, tmp_path: Path) -> None:
    answer = guardsvc("validate", tmp_path / "none.yaml")

    assert answer.code == 3
    assert answer.err.splitlines() == [
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory",
        f"{tmp_path}/none.yaml: 1 problem",
    ]


OPEN = "{type: access_list, settings: {unknown_server: allow, default: allow}"
UNPROVEN = "{type: jwt, principal: null}, {type: context_extensions, principal: p}"


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("policy: {guards: []}", ["no guards: every operation is decided by default: deny"]),
        (f"policy: {{guards: [{OPEN}, mode: shadow}}]}}", ["all guards are in shadow mode, so default: deny"]),
        (f"policy: {{mode: shadow, guards: [{OPEN}}}]}}", ["mode: shadow applies no decision"]),
        (f"policy: {{default: allow, guards: [{OPEN}}}]}}", ["default: allow lets pass what no guard judged"]),
        (f"policy: {{transport: {{other: allow}}, guards: [{OPEN}}}]}}", ["transport.other: allow lets requests"]),
        (f"policy: {{guards: [{OPEN}, failure_mode: fail_open}}]}}", ["guard access_list fails open"]),
        ("policy: {guards: [{type: tool_poisoning, match: {tools: [a]}}]}", ["guard tool_poisoning never runs: match"]),
        ("policy: {guards: [{type: data_leak, match: {tools: [a]}}]}", []),
        (
            "policy: {guards: [{type: tool_poisoning, runs_on: [tool_invoke]}]}",
            [
                "guard tool_poisoning finds nothing there: its runs_on has none of the phases that tool_poisoning is",
            ],
        ),
        (
            f"policy: {{guards: [{OPEN}}}], identity: {{require_verified: true, sources: [{UNPROVEN}]}}}}",
            ["identity.require_verified: no source proves a principal, so every caller is refused"],
        ),
        (f"policy: {{guards: [{OPEN}}}], identity: {{require_verified: true}}}}", []),
        (
            f"service: {{listeners: {{default: {{address: '0.0.0.0:9191'}}}}}}\npolicy: {{guards: [{OPEN}}}]}}",
            [
                "service.listeners.default 0.0.0.0:9191 is not loopback and has no TLS",
                "service.listeners.default 0.0.0.0:9191 is not loopback: what peers on other hosts say",
            ],
        ),
        (
            f"service: {{listeners: {{a: {{trust: {{peers: any}}}}}}}}\npolicy: {{guards: [{OPEN}}}]}}",
            ["service.listeners.a 127.0.0.1:9191 believes everyone who can reach it"],
        ),
        (f"service: {{listeners: {{a: {{address: 'unix:/run/x.sock'}}}}}}\npolicy: {{guards: [{OPEN}}}]}}", []),
        (f"service: {{listeners: {{default: {{address: '[::1]:9191'}}}}}}\npolicy: {{guards: [{OPEN}}}]}}", []),
        (f"service: {{listeners: {{default: {{address: 'localhost:9191'}}}}}}\npolicy: {{guards: [{OPEN}}}]}}", []),
    ],
)
def test_warnings(guardsvc: Command, tmp_path: Path, text: str, warnings: list[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    human, described = guardsvc("validate", file), guardsvc("validate", file, "-o", "json")

    assert (human.code, described.code) == (0, 0)
    assert [given.startswith(start) for given, start in zip(described.object["warnings"], warnings, strict=True)] == [
        True for _ in warnings
    ]
    assert human.out.splitlines()[1:] == [f"{file}: warning: {text}" for text in described.object["warnings"]]


def test_secrets_are_not_shown(guardsvc: Command, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAL_KEY", "correct horse battery staple")
    monkeypatch.setenv("SEAL_SHORT", "tiny secret")
    good = config.read_text()
    config.write_text("service: {seal: {keys: ['${env:SEAL_KEY}']}}\n" + good)
    valid = guardsvc("validate", config)
    config.write_text("service: {seal: {keys: ['${env:SEAL_SHORT}', 'literal secret, long enough', 5]}}\n" + good)
    invalid = guardsvc("validate", config)
    config.write_text("service: {seal: {keys: literal secret, long enough}}\n" + good)
    misplaced = guardsvc("validate", config)

    assert (valid.code, invalid.code, misplaced.code) == (0, 3, 3)
    for answer in (valid, invalid, misplaced):
        assert "secret," not in answer.out + answer.err
        assert "horse" not in answer.out + answer.err
        assert "tiny" not in answer.out + answer.err


@pytest.mark.parametrize(
    ("entry", "warned"),
    [
        ({}, False),
        ({"settings": {"action": "redact"}}, True),
        ({"settings": {"action": "redact"}, "mode": "shadow"}, False),
        ({"settings": {"action": "redact"}, "runs_on": ["response"]}, False),
        ({"rules": {"private_key": {"action": "redact"}}}, True),
        ({"rules": {"private_key": {"action": "log"}}}, False),
    ],
)
def test_what_ext_authz_cannot_carry_is_told(
    guardsvc: Command, tmp_path: Path, entry: dict[str, Any], warned: bool
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"policy": {"guards": [{"type": "secrets", **entry}]}}))
    warnings = guardsvc("validate", file, "--output", "json").object["warnings"]
    (explained,) = guardsvc("explain", "-c", file, "--tool", "search", "-o", "json").object["guards"]

    told = "ext_authz cannot carry a changed request, so there it is a denial, modification_unsupported"
    assert (f"guard secrets redacts requests: {told}" in warnings) is warned
    assert explained["warning"] == (f"redacts: {told}" if warned else None)
    assert (told in guardsvc("explain", "-c", file, "--tool", "search").out) is warned
