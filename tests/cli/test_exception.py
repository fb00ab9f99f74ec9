"""``guardsvc exception add``: what is made of an audit record, and where it is put."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from guardsvc.guards.native import NATIVE
from guardsvc.model import (
    Caller,
    Deny,
    Direction,
    Facts,
    Finding,
    GuardContext,
    GuardType,
    Kind,
    Mode,
    Operation,
    Phase,
    Settings,
    Severity,
    Verdict,
)
from guardsvc.observe.audit import AuditKey
from guardsvc.observe.audit.record import Encoder
from guardsvc.server import configuration
from tests.cli.command import Command
from tests.observe.decisions import decision, operation, outcome

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = """\
# Ours.
policy:
  servers:
    library: {tool_prefixes: [lib_]}   # books
  guards:
    - {type: words, id: w}
    - type: access_list
      settings: {default: allow}
  # Nothing else.
"""
LISTED = {"tools": [{"name": "lib_search"}, {"name": "other", "description": "secret"}]}


class Words:
    """Finds the word secret in every description of a list."""

    def __init__(self, settings: Settings, context: GuardContext) -> None:
        del settings, context

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        del facts
        tools = enumerate(operation.payload["tools"])
        return Deny(
            code="words",
            message="",
            findings=tuple(
                finding("secret", f"/tools/{index}/description")
                for index, tool in tools
                if "secret" in tool["description"]
            ),
        )


WORDS = GuardType(
    name="words",
    settings=Settings,
    build=Words,
    runs_on=frozenset({Phase.TOOLS_LIST, Phase.TOOL_INVOKE}),
    rules=lambda _: frozenset({"secret", "token", "more"}),
    unexceptable=frozenset({"more"}),
)


def finding(rule: str = "secret", where: str = "/arguments/q", **more: Any) -> Finding:
    return Finding(rule=rule, severity=Severity.HIGH, where=where, **more)


@pytest.fixture(autouse=True)
def _words(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = {guard_type.name: guard_type for guard_type in (*NATIVE, WORDS)}
    types = (registry, configuration.configuration_model(registry))
    monkeypatch.setattr(configuration, "installed_guard_types", lambda: types)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIGURATION)
    return file


def listing(**more: Any) -> Operation:
    return operation(
        direction=Direction.RESPONSE,
        phase=Phase.TOOLS_LIST,
        kind=Kind.RESULT,
        method="tools/list",
        subject=None,
        payload=LISTED,
        **more,
    )


def audited(tmp_path: Path, *findings: Finding, asked: Operation | None = None, **more: Any) -> Path:
    """An audit file with a denial in the middle."""
    encoder = Encoder("w0", AuditKey("k1", b"k" * 16), include_arguments=False)
    fields = {"guard": "w", **more, "operation": asked or operation()}
    denied = decision("deny", outcome("access_list"), outcome("w", type="words", findings=findings), **fields)
    lines = [
        encoder.encode(each, 0.0, policy_name="p", size=1) for each in (decision(id="0"), denied, decision(id="1"))
    ]
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"\n".join([*lines, b'{"torn 018f', b""]))
    return file


def add(config: Path, audit: Path, *more: str) -> tuple[object, ...]:
    return ("exception", "add", "--from", "018f", "--audit", audit, "-c", config, "--reason", "known: #1", *more)


def printed(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(text)["policy"]["exceptions"]
    return found


def test_a_finding_of_a_call_is_excepted_for_that_tool_and_tenant(
    guardsvc: Command, config: Path, tmp_path: Path
) -> None:
    answer = guardsvc(*add(config, audited(tmp_path, finding(), finding())))
    assert (answer.code, answer.err) == (0, "")
    assert printed(answer.out) == [
        {
            "id": "secret-018f",
            "rule": "secret",
            "guard": "w",
            "server": "library",
            "tool": "search",
            "where": "/arguments/q",
            "tenant": "acme",
            "reason": "known: #1",
        }
    ]
    assert config.read_text() == CONFIGURATION


@pytest.mark.parametrize(
    ("where", "server", "tool"),
    [
        ("/tools/0/description", "library", "search"),
        ("/tools/1/description", "library", "other"),
    ],
)
def test_a_finding_of_a_list_is_excepted_for_the_tool_it_points_into(
    guardsvc: Command, config: Path, tmp_path: Path, where: str, server: str, tool: str
) -> None:
    answer = guardsvc(*add(config, audited(tmp_path, finding(where=where), asked=listing())))
    (item,) = printed(answer.out)
    assert (item["server"], item["tool"], item["where"]) == (server, tool, "/tools/*/description")


def test_until_rules_and_the_caller(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    audit = audited(tmp_path, finding(), finding("token"))
    more = ("--rule", "token", "--until", "2099-01-01T00:00:00Z", "--for-caller")
    (item,) = printed(guardsvc(*add(config, audit, *more)).out)
    assert (item["rule"], item["until"], item["principal"]) == ("token", "2099-01-01T00:00:00Z", "ann")
    assert len(printed(guardsvc(*add(config, audit)).out)) == 2


def test_a_caller_who_is_not_verified_is_not_named(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    audit = audited(tmp_path, finding(), asked=operation(caller=Caller(tenant="acme", principal="ann")))
    (item,) = printed(guardsvc(*add(config, audit)).out)
    assert "tenant" not in item
    assert guardsvc(*add(config, audit, "--for-caller")).code == 2


def test_what_is_set_aside_already_and_what_cannot_be_is_left_out(
    guardsvc: Command, config: Path, tmp_path: Path
) -> None:
    answer = guardsvc(*add(config, audited(tmp_path, finding(suppressed_by="x"))))
    assert (answer.code, answer.out) == (2, "")
    assert "has no finding that an exception can set aside" in answer.err
    assert guardsvc(*add(config, audited(tmp_path, finding(), guard="access_list"))).code == 2
    assert guardsvc(*add(config, audited(tmp_path, finding(), guard=None))).code == 0
    assert guardsvc(*add(config, audited(tmp_path, finding()), "--rule", "token")).code == 2


def test_each_has_an_id_of_its_own(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    assert guardsvc(*add(config, audited(tmp_path, finding(where="/arguments/p")), "--write")).code == 0
    answer = guardsvc(*add(config, audited(tmp_path, finding(), finding(where="/arguments/r"), finding("token"))))
    assert [item["id"] for item in printed(answer.out)] == ["secret-018f-2", "secret-018f-3", "token-018f"]


def test_texts_that_the_audit_has_cut_end_in_a_glob(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    (item,) = printed(guardsvc(*add(config, audited(tmp_path, finding(where="/" + "x" * 400)))).out)
    assert item["where"] == "/" + "x" * 254 + "*"


def test_written_the_file_is_the_same_but_for_the_exception(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    config.chmod(0o640)
    audit = audited(tmp_path, finding())
    answer = guardsvc(*add(config, audit, "--write"))
    assert (answer.code, answer.err) == (0, f"{config}: 1 exception added\n")
    text = config.read_text()
    added = text[text.index("  exceptions:") : text.index("  servers:")]
    assert text.replace(added, "") == CONFIGURATION
    assert config.stat().st_mode & 0o777 == 0o640
    assert guardsvc(*add(config, audited(tmp_path, finding("token")), "--write")).code == 0
    assert len(yaml.safe_load(config.read_text())["policy"]["exceptions"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.jsonl", "config.yaml"]


def test_a_link_to_the_file_stays_one(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(config.name)
    assert guardsvc(*add(link, audited(tmp_path, finding()), "--write")).code == 0
    assert link.is_symlink()
    assert "exceptions:" in config.read_text()


def test_an_exception_of_a_decision_makes_the_decision_another(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "lib_search", "description": "no secret"}]}}
    check = ("check", "-c", config, "--server", "library", "--response-to", "tools/list", "-o", "json")
    before = guardsvc(*check, stdin=json.dumps(body).encode())
    found = finding(where="/tools/0/description")
    assert guardsvc(*add(config, audited(tmp_path, found, asked=listing(caller=Caller())), "--write")).code == 0
    after = guardsvc(*check, stdin=json.dumps(body).encode())

    assert (before.code, before.object["verdict"]) == (1, "deny")
    assert (after.code, after.object["verdict"]) == (0, "allow")
    guards = after.object["decisions"][0]["guards"]
    assert [found["suppressed_by"] for guard in guards for found in guard["findings"]] == ["secret-018f"]


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        (CONFIGURATION.replace("policy:\n", "policy:\n  exceptions: []\n"), 2, "holds nothing"),
        (f"policy: {json.dumps(yaml.safe_load(CONFIGURATION)['policy'])}\n", 2, "not written as lines of keys"),
        (CONFIGURATION.replace("name", "nmae").replace("policy:\n", "policy:\n  nmae: x\n"), 3, "nmae"),
    ],
)
def test_what_cannot_be_written_is_not(
    guardsvc: Command, config: Path, tmp_path: Path, text: str, code: int, told: str
) -> None:
    config.write_text(text)
    answer = guardsvc(*add(config, audited(tmp_path, finding()), "--write"))
    assert (answer.code, answer.out) == (code, "")
    assert told in answer.err
    assert config.read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.jsonl", "config.yaml"]


def test_what_does_not_validate_with_the_exception_is_not_written(
    guardsvc: Command, config: Path, tmp_path: Path
) -> None:
    audit = audited(tmp_path, finding(), asked=operation(server="gone"))
    answer = guardsvc(*add(config, audit, "--write"))
    assert answer.code == 3
    assert answer.err.startswith(f"guardsvc: {config}:")
    assert '"gone" matches no server' in answer.err
    assert config.read_text() == CONFIGURATION
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.jsonl", "config.yaml"]


@pytest.mark.parametrize("more", [("--until", "tomorrow"), ("--until", "2030-01-01"), ("--until", "2030-01-01T00:00")])
def test_an_instant_needs_an_offset(guardsvc: Command, config: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    assert guardsvc(*add(config, audited(tmp_path, finding()), *more)).code == 2


def test_an_end_that_is_over_and_an_empty_reason_are_refused(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    audit = audited(tmp_path, finding())
    over = guardsvc(*add(config, audit, "--until", "2020-01-01T00:00:00Z"))
    assert (over.code, over.out) == (2, "")
    assert "is over" in over.err
    blank = guardsvc(*add(config, audit, "--reason", " "))
    assert (blank.code, blank.out) == (2, "")
    assert "--reason is empty" in blank.err


def test_what_the_file_has_already_is_not_added_again(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    audit = audited(tmp_path, finding(), finding(rule="token"))
    assert guardsvc(*add(config, audit, "--write", "--rule", "secret")).code == 0
    once = config.read_text()
    again = guardsvc(*add(config, audit, "--write", "--rule", "secret"))
    assert (again.code, again.err) == (2, f"guardsvc: {config} has all of it already: secret-018f\n")
    assert config.read_text() == once
    assert [item["rule"] for item in printed(guardsvc(*add(config, audit)).out)] == ["token"]


def test_printing_needs_no_right_to_write(
    guardsvc: Command, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = audited(tmp_path, finding())

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", read_only)
    assert len(printed(guardsvc(*add(config, audit)).out)) == 1
    assert guardsvc(*add(config, audit, "--write")).err.endswith("cannot be written: Read-only file system\n")


def test_a_decision_that_was_not_audited(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    audit = audited(tmp_path, finding(), id="0190")
    answer = guardsvc(*add(config, audit))
    assert (answer.code, answer.err) == (2, f"guardsvc: no record of decision 018f in {audit}\n")
    assert guardsvc(*add(config, tmp_path / "nothing")).code == 2


def test_the_mode_of_a_guard_does_not_matter(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    """What would have been refused can be excepted before it is."""
    encoder = Encoder("w0", AuditKey("k1", b"k" * 16), include_arguments=False)
    would = outcome("w", type="words", mode=Mode.SHADOW, verdict="deny", findings=(finding(),))
    audit = tmp_path / "audit.jsonl"
    audit.write_bytes(encoder.encode(decision("allow", would), 0.0, policy_name="p", size=1))
    assert len(printed(guardsvc(*add(config, audit)).out)) == 1


def test_explain_shows_exceptions_and_actions_of_each_guard(guardsvc: Command, config: Path) -> None:
    text = CONFIGURATION.replace("id: w}", "id: w, rules: {token: {action: log}}}")
    config.write_text(f"{text}  exceptions: [{{rule: secret, id: known, reason: r}}]\n")
    described = guardsvc("explain", "-c", config, "-o", "json").object["guards"]
    assert [(each["rules"], each["exceptions"]) for each in described] == [({"token": "log"}, ["known"]), ({}, [])]
    told = guardsvc("explain", "-c", config).out
    assert "actions of rules token: log" in told
    assert "exceptions known" in told


@pytest.mark.parametrize(
    ("exception", "warning"),
    [
        ("rule: secret", None),
        ("rule: 's*', until: 2999-01-01T00:00:00Z", None),
        (
            "rule: secret, until: 2020-01-01T00:00:00Z",
            'has expired at 2020-01-01 00:00:00+00:00: findings of rule "secret" count again',
        ),
        ("rule: default", 'sets nothing aside: no guard that it concerns has a rule "default"'),
        ("rule: sceret, guard: w", 'sets nothing aside: no guard that it concerns has a rule "sceret"'),
    ],
)
def test_validate_warns_of_exceptions_that_have_no_effect(
    guardsvc: Command, config: Path, exception: str, warning: str | None
) -> None:
    config.write_text(f"{CONFIGURATION}  exceptions: [{{{exception}, reason: r}}]\n")
    answer = guardsvc("validate", config, "-o", "json")
    assert answer.code == 0
    assert answer.object["warnings"] == ([] if warning is None else [f"policy.exceptions[0] {warning}"])


def test_what_was_not_looked_at_gets_no_exception(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    (item,) = printed(guardsvc(*add(config, audited(tmp_path, finding(), finding("more", "")))).out)
    assert item["rule"] == "secret"
    answer = guardsvc(*add(config, audited(tmp_path, finding("more", ""))))
    assert (answer.code, answer.out) == (2, "")
    assert "rests on more: not all of the message was looked at" in answer.err


@pytest.mark.parametrize(
    ("found", "fields", "name"),
    [
        ({"where": "/arguments/*"}, {}, "where"),
        ({"rule": "*"}, {}, "rule"),
        ({}, {"subject": "*"}, "tool"),
        ({"where": "/" + "*" * 300}, {}, "where"),
        ({}, {"caller": Caller(tenant="a*", principal="ann", verified=True)}, "tenant"),
    ],
)
def test_a_name_with_a_glob_in_it_is_not_written(
    guardsvc: Command, config: Path, tmp_path: Path, found: dict[str, Any], fields: dict[str, Any], name: str
) -> None:
    answer = guardsvc(*add(config, audited(tmp_path, finding(**found), asked=operation(**fields)), "--write"))
    assert (answer.code, answer.out) == (2, "")
    assert f"the {name} of decision 018f has a * of its own" in answer.err
    assert config.read_text() == CONFIGURATION


def test_a_text_that_ends_as_a_cut_one_does_is_no_glob(guardsvc: Command, config: Path, tmp_path: Path) -> None:
    (item,) = printed(guardsvc(*add(config, audited(tmp_path, finding(where="/a…")))).out)
    assert item["where"] == "/a…"
