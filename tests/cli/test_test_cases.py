"""``guardsvc test``: what a case gives, what was before it, and what it expects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from guardsvc.cli.exit_codes import ExitCode
from tests.cli.test_test import DELETE, POLICY, READ, call, write

if TYPE_CHECKING:
    from tests.cli.command import Command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


RAW = """\
POST /mcp HTTP/1.1
Host: localhost
Content-Type: application/json
Accept: application/json, text/event-stream
Mcp-Protocol-Version: 2025-11-25

{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}
"""


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ({"request": RAW}, "allow"),
        ({"request": RAW.replace("localhost", "elsewhere")}, "deny"),
        ({"request": RAW.replace("\n", "\r\n")}, "allow"),
        ({"request": {"host": "localhost", "headers": {"content-type": "application/json"}, "body_text": "{"}}, "deny"),
        ({"request": {"host": "localhost", "body_base64": "e30="}}, "deny"),
        ({"request": {"method": "GET", "host": "localhost"}}, "deny"),
        ({"message": call("lib", a="${env:HOME}"), "server": "demo"}, "deny"),
        ({"message": call("read_file", a="${env:HOME}"), "server": "demo"}, "allow"),
        ({"message": {"method": "notifications/initialized"}, "server": "demo"}, "allow"),
        ({"operation": {"method": "tools/call", "subject": "read_x"}, "server": "demo"}, "allow"),
        ({"operation": {"method": "tools/call", "subject": "read_x"}, "reaches": ["demo"]}, "allow"),
        ({"operation": {"method": "tools/call", "subject": "read_x"}, "reaches": ["other"]}, "deny"),
        ({"operation": {"method": "tools/call", "subject": "x"}, "host": "localhost"}, "deny"),
    ],
)
def test_what_is_given(guardsvc: Command, folder: Path, given: dict[str, Any], verdict: str) -> None:
    write(folder, {"description": "it", **given, "expect": {"verdict": verdict}})
    answer = guardsvc("test", folder)

    assert answer.code == 0, answer.out + answer.err


def test_time_and_what_was_before(guardsvc: Command, tmp_path: Path) -> None:
    base: dict[str, Any] = {
        "settings": {"limits": [{"name": "calls", "key": ["principal"], "windows": ["1/minute"]}]},
        "operation": {"method": "tools/call", "subject": "search"},
        "caller": {"principal": "ada", "verified": True},
        "before": [{}],
    }
    denied = {"verdict": "deny", "code": "rate_limited", "rule": "calls"}
    cases = [
        {"description": "at once", "like": "t", "expect": denied},
        {"description": "later", "like": "t", "at": 120, "expect": {"verdict": "allow"}},
        {"description": "another", "like": "t", "before": [{"like": "bob"}], "expect": {"verdict": "allow"}},
    ]
    templates = {"t": base, "bob": {"like": "t", "caller": {"principal": "bob"}, "before": None}}
    (tmp_path / "shared.yaml").write_text(yaml.safe_dump({"templates": templates}))
    (tmp_path / "suite.yaml").write_text(
        yaml.safe_dump({"guard": "rate_limit", "fixtures": "shared.yaml", "cases": cases})
    )
    answer = guardsvc("test", tmp_path)

    assert answer.code == 0, answer.out + answer.err


def test_a_guard_alone_that_finds_more_than_is_said(guardsvc: Command, tmp_path: Path) -> None:
    case = {
        "description": "x",
        "settings": {"default": "allow"},
        "operation": {"method": "ping"},
        "expect": {"verdict": "allow"},
    }
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump({"guard": "access_list", "cases": [case]}))
    answer = guardsvc("test", tmp_path)

    assert answer.code == ExitCode.FAILED
    assert 'rules: expected [], found ["default"]' in answer.out


def test_rules_among_others(guardsvc: Command, folder: Path) -> None:
    write(folder, {**DELETE, "expect": {"verdict": "deny", "includes": ["default"]}})

    assert guardsvc("test", folder).code == 0


def test_near_misses_are_held_and_covered(guardsvc: Command, folder: Path) -> None:
    write(
        folder,
        {**READ, "near": "default"},
        {**READ, "description": "nobody's rule", "near": ["default", "rules[7]"]},
        {**READ, "description": "no miss", "near": "rules[1]"},
        DELETE,
    )
    answer = guardsvc("test", folder)

    assert answer.code == ExitCode.FAILED
    assert 'near: no guard has the rule "rules[7]"' in answer.out
    assert "near: rules[1] finds something in it" in answer.out
    assert "never fired: rules[0], unknown_server" in answer.out
    assert "fired, but no near miss: rules[1]" in answer.out
    covered = {row["guard"]: row for row in guardsvc("test", folder, "-o", "json").object["coverage"]}
    assert covered["access_list"]["near_misses"] == {"default": 2}
    assert covered["access_list"]["rules_without_near_miss"] == ["rules[1]"]
    assert covered["protocol_compliance"]["near_misses"] == {}


def test_another_guard_comes_before(guardsvc: Command, tmp_path: Path) -> None:
    listed = {
        "guard": "rug_pull",
        "operation": {
            "method": "tools/list",
            "direction": "response",
            "kind": "result",
            "subject": None,
            "payload": {
                "name": None,
                "arguments": None,
                "tools": [{"name": "get", "inputSchema": {"required": ["id"]}}],
            },
        },
    }
    asked = {"guard": "rug_pull", "operation": {"method": "tools/list", "subject": None, "payload": None}}
    base = {
        "settings": {"learned_from": "rug_pull"},
        "operation": {"method": "tools/call", "subject": "get", "payload": {"name": "get", "arguments": {}}},
        "before": [asked, listed],
    }
    missing = {"verdict": "deny", "code": "invalid_arguments", "rule": "required", "where": "/arguments/id"}
    cases = [
        {"description": "nothing", "like": "t", "expect": missing},
        {
            "description": "something",
            "like": "t",
            "near": "required",
            "operation": {"payload": {"arguments": {"id": 1}}},
            "before": [asked, listed],
            "expect": {"verdict": "allow"},
        },
    ]
    (tmp_path / "schema_validation.yaml").write_text(yaml.safe_dump({"templates": {"t": base}, "cases": cases}))
    answer = guardsvc("test", tmp_path, "-o", "json")

    assert answer.code == 0, answer.out + answer.err
    assert [row["guard"] for row in answer.object["coverage"]] == ["schema_validation"]


def test_redis_is_never_asked(guardsvc: Command, tmp_path: Path) -> None:
    limits = [{"name": "calls", "key": ["server"], "windows": ["1/minute"]}]
    guard = {"type": "rate_limit", "settings": {"limits": limits, "storage": "redis://127.0.0.1:1/0"}}
    case = {
        "description": "twice",
        "reaches": ["demo"],
        "before": [{}],
        "operation": {"method": "ping"},
        "expect": {"verdict": "deny", "code": "rate_limited"},
    }
    suite = {"policy": {"servers": {"demo": {}}, "guards": [guard]}, "cases": [case]}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite))
    answer = guardsvc("test", tmp_path)

    assert answer.code == 0, answer.out + answer.err


def test_sessions_in_redis_are_kept_in_memory(guardsvc: Command, tmp_path: Path) -> None:
    case = {
        "description": "another principal",
        "settings": {"sessions": {"storage": "redis://127.0.0.1:1/0"}},
        "caller": {"principal": "ada", "verified": True},
        "operation": {"method": "tools/list", "headers": {"mcp-session-id": "s1"}},
        "before": [{"caller": {"principal": "bob"}}],
        "expect": {"verdict": "deny", "code": "session_mismatch", "rule": "session_of_other"},
    }
    (tmp_path / "auth_bypass.yaml").write_text(yaml.safe_dump({"cases": [case]}))
    answer = guardsvc("test", tmp_path)

    assert answer.code == 0, answer.out + answer.err
