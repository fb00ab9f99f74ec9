"""``guardsvc test``: suites of policy tests, and how their failures are told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.suites.form import CaseForm, Expectation, SuiteForm
from tests.guards.cases import CASES

if TYPE_CHECKING:
    from tests.cli.command import Command

DOC = Path(__file__).parents[2] / "docs" / "policy-tests.md"
POLICY = """\
policy:
  servers: {demo: {hosts: [localhost], ids: [demo]}}
  guards:
    - type: protocol_compliance
    - type: access_list
      settings:
        default: deny
        rules:
          - {action: allow, methods: ["@lifecycle", "@list"]}
          - {action: allow, servers: [demo], tools: ["read_*"]}
"""


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"method": "tools/call", "params": {"name": tool, "arguments": arguments}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


def write(folder: Path, *cases: dict[str, Any], name: str = "suite.yaml", **more: Any) -> None:
    (folder / name).write_text(yaml.safe_dump({"policy": "policy.yaml", **more, "cases": list(cases)}))


READ: dict[str, Any] = {
    "description": "reads",
    "host": "localhost",
    "message": call("read_file"),
    "expect": {"verdict": "allow"},
}
DELETE: dict[str, Any] = {
    "description": "deletes",
    "host": "localhost",
    "message": call("delete_file"),
    "expect": {"verdict": "deny", "code": "access_denied", "guard": "access_list", "rule": "default"},
}


def test_shipped_suites_pass(guardsvc: Command) -> None:
    for suite in ("access_list", "protocol_compliance", "rate_limit"):
        answer = guardsvc("test", CASES / f"{suite}.yaml")
        assert (answer.code, answer.err) == (0, "")
        assert " 0 failed" in answer.out


def test_a_policy_under_test(guardsvc: Command, folder: Path) -> None:
    write(folder, READ, DELETE)
    answer = guardsvc("test", folder)

    assert (answer.code, answer.err) == (0, "")
    assert "2 cases of 1 suites: 2 passed, 0 failed; 1 other YAML file passed over" in answer.out
    assert "protocol_compliance of policy" in answer.out


def test_a_failed_expectation(guardsvc: Command, folder: Path) -> None:
    write(folder, READ, {**DELETE, "expect": {"verdict": "allow", "rule": "rules[1]"}})
    answer = guardsvc("test", folder)

    assert (answer.code, answer.err) == (ExitCode.FAILED, "")
    assert f"FAIL {folder / 'suite.yaml'}:" in answer.out
    assert 'verdict: expected "allow", found "deny"' in answer.out
    assert 'rules: expected ["rules[1]"], found ["default"]' in answer.out
    assert "reads" not in answer.out
    assert "ok   " in guardsvc("test", folder, "-v").out


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"code": "rate_limited"}, 'code: expected "rate_limited", found "access_denied"'),
        ({"guard": "other"}, 'guard: expected "other", found "access_list"'),
        ({"message": "No."}, 'message: expected "No.", found "Denied by policy."'),
        ({"details": {"a": 1}}, 'details: expected {"a":1}, found {}'),
        ({"where": "/name"}, 'where: expected "/name", found ""'),
        ({"applied": "allow"}, 'applied: expected "allow", found "deny"'),
        ({"rule": None, "findings": [{"rule": "default", "severity": "high"}]}, "findings[0].severity: expected"),
        ({"rule": None, "findings": [{"rule": "default", "guard": "x"}]}, "findings[0].guard: expected"),
        ({"rule": None, "findings": []}, 'findings: expected [], found ["default"]'),
        ({"rule": None, "includes": ["default", "a"]}, 'rules: ["a"] not among ["default"]'),
        ({"rule": None, "rules": ["a", "b"]}, 'rules: expected ["a","b"], found ["default"]'),
    ],
)
def test_every_expectation_is_held(guardsvc: Command, folder: Path, change: dict[str, Any], difference: str) -> None:
    expected = {key: value for key, value in {**DELETE["expect"], **change}.items() if value is not None}
    write(folder, {**DELETE, "expect": expected})
    answer = guardsvc("test", folder)

    assert answer.code == ExitCode.FAILED
    assert difference in answer.out


def test_json(guardsvc: Command, folder: Path) -> None:
    write(folder, READ, {**DELETE, "expect": {"verdict": "allow"}})
    answer = guardsvc("test", folder, "-o", "json")

    assert answer.code == ExitCode.FAILED
    report = answer.object
    assert (report["cases"], report["passed"], report["failed"]) == (2, 1, 1)
    (suite,) = report["suites"]
    assert [(case["description"], case["passed"], case["verdict"], case["code"]) for case in suite["cases"]] == [
        ("reads", True, "allow", None),
        ("deletes", False, "deny", "access_denied"),
    ]
    covered = {row["guard"]: row for row in report["coverage"]}
    assert covered["protocol_compliance"]["fired"] == 0
    assert covered["access_list"]["fired_rules"] == {"default": 1, "rules[1]": 1}


def test_junit(guardsvc: Command, folder: Path, tmp_path: Path) -> None:
    write(folder, READ, {**DELETE, "description": "bell \x07 & <x>", "expect": {"verdict": "allow"}})
    (folder / "broken.yaml").write_text("cases: [{descripton: x}]\n")
    report = tmp_path / "junit.xml"
    answer = guardsvc("test", folder, "--junit", report)

    assert answer.code == ExitCode.BROKEN_SUITE
    root = ET.fromstring(report.read_bytes())
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "1")
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert set(cases) == {"reads", "bell \\x07 & <x>", "reading"}
    assert cases["bell \\x07 & <x>"].find("failure") is not None
    error = cases["reading"].find("error")
    assert error is not None
    assert "descripton: unknown key" in (error.text or "")


def test_every_problem_of_a_suite_is_told_with_its_line(guardsvc: Command, folder: Path) -> None:
    write(folder, READ, name="good.yaml")
    (folder / "rate_limit.yaml").write_text(
        """\
templates:
  t: {settings: {limits: [{key: [principal], windows: [2/minute], kex: 1}]}, operatoin: {}}
  u: {like: nope}
cases:
  - description: x
    like: t
    operation: {method: tools/call, direction: up}
    expect: {verdict: allow, code: x}
  - description: x
    like: t
    request: {body: 1, body_text: "2"}
    expect: {verdict: refuse}
  - description: z
    server: x
    before: [{request: {headers: {a: 1}}}]
    message: {methd: x}
"""
    )
    answer = guardsvc("test", folder)

    assert answer.code == ExitCode.BROKEN_SUITE
    assert "1 passed" in answer.out
    told = re.findall(r"rate_limit\.yaml:(\d+): ([^:]+):", answer.err)
    assert told == [
        ("2", "templates.t.operatoin"),
        ("2", "cases[0].settings.limits[0].kex"),
        ("3", "templates.u.like"),
        ("7", "cases[0].operation.direction"),
        ("8", "cases[0].expect.code"),
        ("9", "cases[1].description"),
        ("12", "cases[1].expect.verdict"),
        ("13", "cases[2].expect"),
        ("14", "cases[2].server"),
        ("16", "cases[2].message.methd"),
        ("16", "cases[2].before[0].message"),
    ]
    assert "(did you mean operation?)" in answer.err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("guard: acess_list\ncases: [{}]\n", 'guard: "acess_list" is not one of access_list, '),
        ("guard: access_list\npolicy: x\ncases: [{}]\n", "a suite tests a guard or a policy"),
        ("policy: policy.yaml\ncases: []\n", "there are no cases"),
        ("policy: policy.yaml\ncase: []\n", "unknown key"),
        ("policy: policy.yaml\nfixtures: none.yaml\ncases: [{}]\n", "none.yaml: cannot be read"),
        ("policy: policy.yaml\ncases: [{description: a, expect: {verdict: allow}}]\n", "operation, request, message"),
        (
            "policy: policy.yaml\ncases: [{description: a, settings: {}, request: {}}]\n",
            "it is for a suite of one guard",
        ),
        ("policy: policy.yaml\ncases: [{description: a, request: nonsense}]\n", "is no request line"),
        ("policy: policy.yaml\ncases: [{description: a, request: {body_base64: '*'}}]\n", "not base64"),
        ("policy: policy.yaml\ncases: [{description: a, like: b, request: {}}]\n", "templates are none"),
        (
            "guard: access_list\ncases: [{settings: {default: allow}, near: secret, request: {}}]\n",
            '"secret" is no rule of the guard; its rules are default, unknown_server',
        ),
        ("guard: access_list\ncases: [{near: default, expect: {verdict: deny}}]\n", "its verdict is allow or modify"),
        ("guard: access_list\ncases: [{guard: rug_pull, request: {}}]\n", "the suite says what is tested"),
        (
            "policy: policy.yaml\ncases: [{request: {}, before: [{guard: rug_pull}]}]\n",
            "it is for a suite of one guard",
        ),
        ("guard: access_list\ncases: [{request: {}, before: [{guard: rugpull}]}]\n", '"rugpull" is not one of access'),
        ("policy: policy.yaml\ncases: [{request: {}, repeat: {/request/body/a: 2}}]\n", "there is nothing at it"),
        ("policy: policy.yaml\ncases: [{request: {}, repeat: {request: 2}}]\n", 'a JSON pointer begins with "/"'),
        ("policy: policy.yaml\ncases: [{request: {}, repeat: {/request: 2}}]\n", "neither an item, nor a text"),
        ("policy: policy.yaml\ntemplates: {a: {like: a}}\ncases: [{}]\n", "is like itself"),
        ("guard: access_list\ncases: [{settings: {default: maybe}, request: {}}]\n", '"maybe" is not one of'),
        ("cases: [}\n", "not YAML"),
    ],
)
def test_a_broken_suite(guardsvc: Command, folder: Path, text: str, problem: str) -> None:
    (folder / "suite.yaml").write_text(text)
    answer = guardsvc("test", folder)

    assert answer.code == ExitCode.BROKEN_SUITE
    assert problem in answer.err


def test_a_policy_that_cannot_be_used(guardsvc: Command, folder: Path) -> None:
    write(folder, {**READ, "expect": {"verdict": "deny"}})
    write(folder, READ, policy="none.yaml", name="a.yaml")
    write(folder, READ, policy={"guards": [{"type": "nonsense"}]}, name="b.yaml")
    answer = guardsvc("test", folder)

    assert answer.code == ExitCode.CONFIGURATION
    assert "none.yaml: cannot be read" in answer.err
    assert "policy.guards[0].type" in answer.err
    assert "1 failed; 2 policies cannot be used" in answer.out


@pytest.mark.parametrize("args", [(), ("-k", "no such case"), ("--guard", "rate_limit"), ("--guard", "nonsense")])
def test_nothing_to_run_is_no_success(guardsvc: Command, tmp_path: Path, args: tuple[str, ...]) -> None:
    if args:
        (tmp_path / "policy.yaml").write_text(POLICY)
        write(tmp_path, READ)
    answer = guardsvc("test", tmp_path, *args)

    assert answer.code == (ExitCode.USAGE if args else ExitCode.BROKEN_SUITE)
    assert answer.err


def test_filters(guardsvc: Command, folder: Path) -> None:
    write(folder, READ, DELETE)
    for args, count in ((("-k", "DELE"), 1), (("-k", "*: reads"), 1), (("-k", "reads", "-k", "deletes"), 2)):
        assert guardsvc("test", folder, *args, "-o", "json").object["cases"] == count
    assert guardsvc("test", CASES / "rate_limit.yaml", folder, "--guard", "rate_limit", "-o", "json").code == 0


def test_the_policy_of_the_command_line(guardsvc: Command, folder: Path) -> None:
    case = {**DELETE, "expect": {"verdict": "deny"}}
    (folder / "suite.yaml").write_text(yaml.safe_dump({"cases": [case]}))

    assert guardsvc("test", folder, "-c", folder / "policy.yaml").code == 0
    assert guardsvc("test", folder).code == ExitCode.FAILED


def test_the_page_tells_every_key() -> None:
    text = DOC.read_text()
    for form in (SuiteForm, CaseForm, Expectation):
        for key in form.model_fields:
            assert f"`{key}`" in text


def test_the_page_has_suites_that_run(guardsvc: Command, folder: Path) -> None:
    (folder / "guardsvc.yaml").write_text(POLICY)
    for index, block in enumerate(re.findall(r"^```yaml\n(.*?)^```$", DOC.read_text(), re.MULTILINE | re.DOTALL)):
        (folder / f"example{index}.yaml").write_text(block)
    answer = guardsvc("test", folder, "-o", "json")

    assert (answer.code, answer.err) == (0, ""), json.dumps(answer.object, indent=1)
    assert answer.object["cases"] == 4
