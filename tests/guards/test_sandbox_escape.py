"""What ``sandbox_escape`` is built of, how it weighs, and what the corpus says; what it refuses is in its cases."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from guardsvc.guards.native.sandbox_escape import SANDBOX_ESCAPE, SandboxEscape, SandboxEscapeSettings
from guardsvc.guards.native.sandbox_escape.fields import MAX_DEPTH, MAX_UNWRAPPED
from guardsvc.guards.native.sandbox_escape.rules import RULES
from guardsvc.guards.native.sandbox_escape.search import MAX_FINDINGS, MIN_WORK
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Direction,
    GatewayProtocol,
    GuardContext,
    Kind,
    Operation,
    Phase,
    SettingsError,
    Severity,
    Verdict,
)
from tests.guards.cases import load_cases

CONTEXT = GuardContext(guard_id="sandbox_escape")
GUARD = SandboxEscape(SandboxEscapeSettings(), CONTEXT)
CORPUS = os.environ.get("GUARDSVC_CORPUS")


def build(**settings: Any) -> SandboxEscape:
    return SandboxEscape(SandboxEscapeSettings.model_validate(settings), CONTEXT)


def call(arguments: Any, tool: str = "read") -> Operation:
    return Operation(
        protocol=GatewayProtocol.CLI,
        direction=Direction.REQUEST,
        phase=Phase.TOOL_INVOKE,
        kind=Kind.REQUEST,
        method="tools/call",
        server="files",
        subject=tool,
        payload={"name": tool, "arguments": arguments},
    )


def judge(arguments: Any, guard: SandboxEscape = GUARD) -> Verdict:
    return guard.evaluate(call(arguments), {})


def rules(verdict: Verdict) -> list[str]:
    return [finding.rule for finding in verdict.findings]


def test_every_rule_has_a_hit_among_the_cases() -> None:
    shown = {rule for case in load_cases() if case.guard == "sandbox_escape" for rule in case.rules}
    assert set(RULES) - shown == set()


def test_the_rules_are_known_beforehand() -> None:
    assert SANDBOX_ESCAPE.rules is not None
    assert SANDBOX_ESCAPE.rules(SandboxEscapeSettings()) == frozenset(RULES)
    left = SANDBOX_ESCAPE.rules(SandboxEscapeSettings(disabled_rules=("nul_byte",)))
    assert set(RULES) - set(left) == {"nul_byte"}


def test_every_rule_is_told() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guards" / "sandbox_escape.md").read_text()
    told = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert told == [(rule.id, rule.severity, rule.summary, ", ".join(rule.threats)) for rule in RULES.values()]


@pytest.mark.parametrize(
    ("settings", "path"),
    [({"disabled_rules": ["none"]}, ("disabled_rules", 0)), ({"allowed_roots": ["/a", "b"]}, ("allowed_roots", 1))],
)
def test_settings_that_mean_nothing(settings: dict[str, Any], path: tuple[str, int]) -> None:
    with pytest.raises(SettingsError) as error:
        build(**settings)
    assert error.value.path == path


def test_a_role_that_does_not_exist() -> None:
    with pytest.raises(ValidationError):
        build(fields={"a": "sentence"})


def test_a_verdict_is_reconsidered_with_what_is_left_of_its_findings() -> None:
    verdict = judge({"path": "../a", "host": "localhost"})
    assert isinstance(verdict, Deny)
    high, medium = verdict.findings
    assert isinstance(GUARD.reconsider(call({}), (high,)), Deny)
    assert GUARD.reconsider(call({}), (medium,)) == Allow(findings=(medium,))
    assert GUARD.reconsider(call({}), ()) == ALLOW


def test_the_client_is_told_no_value() -> None:
    verdict = judge({"path": "../../very/secret/name"})
    assert isinstance(verdict, Deny)
    assert "secret" not in verdict.message
    assert verdict.details == {}


def test_findings_are_bounded() -> None:
    verdict = judge({"path": [f"../../{number}" for number in range(500)]})
    assert len(verdict.findings) == MAX_FINDINGS
    assert rules(verdict)[-1] == "too_much_to_examine"
    assert set(rules(verdict)[:-1]) == {"path_traversal"}
    assert len(judge({"a": {f"x{number}": {"$ne": number} for number in range(500)}}).findings) == MAX_FINDINGS


def test_more_near_misses_than_are_looked_at_are_refused() -> None:
    verdict = judge({"path": [f"a/b/../{number}" for number in range(MIN_WORK + 8)]})
    assert rules(verdict) == ["too_much_to_examine"]
    assert isinstance(verdict, Deny)
    assert judge({"path": [f"a/b/../{number}" for number in range(MIN_WORK)]}) == ALLOW


def test_larger_messages_may_have_more_near_misses() -> None:
    paths = [f"a/b/../{number}" for number in range(MIN_WORK + 50)]
    assert judge({"path": paths, "content": "a" * 60_000}) == ALLOW


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": [f"/home/ada/src/file {number}.py" for number in range(1000)]},
        {"url": [f"https://example.com/{number}?q=a%20b" for number in range(1000)]},
        {"name": [f"Ada O'Neil {number} & Sons (50%)" for number in range(1000)]},
        {"command": [f"git show {number} | wc -l && ls" for number in range(1000)]},
        {"input": [f'{{"id": {number}, "name": "Ada"}}' for number in range(1000)]},
        {"lines": [f"[INFO] {number} done" for number in range(5000)]},
    ],
)
def test_long_lists_of_ordinary_values_pass(arguments: dict[str, Any]) -> None:
    assert judge(arguments) == ALLOW
    assert judge(arguments, build(allowed_roots=["/home"])) == ALLOW


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": [f"a/b/../{number}" for number in range(1000)]},
        {"branch": ["e''cho a1 b%2520c"] * 999},
        {"input": ['{"a": "bc"}'] * (MAX_UNWRAPPED + 1)},
        {"input": ["[ab]"] * (MAX_UNWRAPPED + 1)},
    ],
)
def test_the_end_of_the_search_is_about_the_whole_message(arguments: dict[str, Any]) -> None:
    verdict = judge(arguments, build(deny_from="critical"))
    assert isinstance(verdict, Deny)
    assert [(each.rule, each.where, each.severity) for each in verdict.findings] == [
        ("too_much_to_examine", "", Severity.CRITICAL)
    ]


@pytest.mark.parametrize("first", [{"url": "https://example.com/" + "a" * 40_000}, {"name": "%2e" * 9_000}])
def test_one_value_that_is_too_long_does_not_end_the_search(first: dict[str, str]) -> None:
    verdict = judge({**first, "path": "../../a", "callback": "http://169.254.169.254/"})
    assert {(each.rule, each.where) for each in verdict.findings} == {
        ("too_much_to_examine", f"/arguments/{next(iter(first))}"),
        ("path_traversal", "/arguments/path"),
        ("cloud_metadata", "/arguments/callback"),
    }


@pytest.mark.parametrize("blank", ["", " ", "\n\t", " " * 5000, "\xa0"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_json_in_strings_is_read_however_often_it_is_one(blank: str, times: int) -> None:
    value: Any = {"path": "../../a"}
    for _ in range(times):
        value = {"input": blank + json.dumps(value)}
    verdict = judge(value)
    assert ("path_traversal", "/arguments/input") in {(each.rule, each.where) for each in verdict.findings}


def test_json_that_is_too_often_a_string_is_refused() -> None:
    value: Any = {"input": "ab"}
    for _ in range(MAX_DEPTH + 1):
        value = {"input": json.dumps(value)}
    assert "too_much_to_examine" in rules(judge(value))


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "a" * 40_000 + "%2e%2e%2f"},
        {"name": "%2e" * 13_000},
        {"name": "a" * 40_000 + "\uff0e\uff0e\uff0f"},
        {"path": "a\n" * 20_000 + "%2e%2e%2f"},
        {"branch": "a " * 20_000 + "; c''at b"},
        {"command": "a " * 20_000 + "; c''at b"},
        {"host": "a" * 33_000},
    ],
)
def test_padding_does_not_hide_what_is_obfuscated(arguments: dict[str, str]) -> None:
    assert isinstance(judge(arguments), Deny)


@pytest.mark.parametrize("times", [2_000, 10_000])
def test_a_long_command_is_cleared_of_noise(times: int) -> None:
    verdict = judge({"command": "a " * times + "; r''m -r''f /"})
    assert isinstance(verdict, Deny)
    assert "obfuscated_command" in rules(verdict)


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "https://example.com/" + "a" * 40_000},
        {"path": "%2e%2e%2f" * 4_000},
        {"name": "%2e" * 9_000},
    ],
)
def test_what_is_too_long_to_be_decoded_is_refused(arguments: dict[str, str]) -> None:
    assert rules(judge(arguments)) == ["too_much_to_examine"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"file": "iVBORw0KGgo" * 10_000},
        {"text": "50 % off " * 10_000},
        {"image": "data:image/png;base64," + "iVBORw0KGgo" * 10_000},
        {"name": "50 % off " * 10_000},
        {"name": "\u4f60\u597d\uff01\u4eca\u5929\uff1b" * 10_000},
        {"content": "%2e%2e/ " * 10_000},
        {"sql": "select a from b where c like '%ab' or " * 1_000},
        {"content": "a/../b\n" * 10_000},
    ],
)
def test_what_is_long_and_harmless_passes(arguments: dict[str, str]) -> None:
    assert judge(arguments) == ALLOW


def _rows(name: str) -> list[dict[str, Any]]:
    assert CORPUS is not None
    return [json.loads(line) for line in (Path(CORPUS) / name).read_text().splitlines()]


FIELDS_OF_KIND = {
    "path_traversal": ("path", "file_name"),
    "ssrf": ("url", "webhook"),
    "command_injection": ("host", "args", "branch"),
    "sql_injection": ("id", "username"),
    "template_injection": ("title", "message"),
    "nosql_injection": ("username", "filter"),
    "sensitive_file": ("path", "file"),
}


@pytest.mark.skipif(CORPUS is None, reason="needs the corpus")
@pytest.mark.parametrize("kind", FIELDS_OF_KIND)
def test_recall_on_the_corpus(kind: str) -> None:
    rows = [row for row in _rows("malicious_args.jsonl") if row["kind"] == kind]
    calls = [row.get("arguments") or {field: row["value"]} for row in rows for field in FIELDS_OF_KIND[kind]]
    caught = sum(isinstance(judge(arguments), Deny) for arguments in calls)
    assert caught >= 0.95 * len(calls)


@pytest.mark.skipif(CORPUS is None, reason="needs the corpus")
def test_false_positives_on_the_corpus() -> None:
    calls = [row["arguments"] for row in _rows("benign_args.jsonl")]
    assert sum(isinstance(judge(arguments), Deny) for arguments in calls) <= 1
    texts = [row.get("text") or "" for row in _rows("benign_results.jsonl")]
    lines = {line for text in texts for line in text.splitlines() if line.strip()}
    for field in ("query", "path", "name"):
        assert sum(isinstance(judge({field: line}), Deny) for line in lines) <= 0.005 * len(lines)
