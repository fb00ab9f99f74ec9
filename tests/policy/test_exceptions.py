"""Which findings an exception covers, and what of a configuration's exceptions is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from guardsvc.model import (
    Caller,
    Direction,
    Finding,
    GuardContext,
    GuardType,
    Kind,
    Operation,
    Phase,
    RuleAction,
    Settings,
    Severity,
    Tier,
)
from guardsvc.policy.exceptions import tool_of
from tests.policy import built
from tests.policy.built import Built, operation, problems

LISTED = {"tools": [{"name": "f_read"}, {"name": "write"}, {"name": 5}, "x"]}


class Words(Settings):
    words: tuple[str, ...] = ("secret", "token")


def build_words(settings: Words, context: GuardContext) -> Built:
    return Built(settings, context)


WORDS = GuardType(
    name="words",
    settings=Words,
    build=build_words,
    rules=lambda settings: frozenset({*settings.words, "more"}),
    unexceptable=frozenset({"more"}),
)
REDACTING = GuardType(name="redacting", settings=Words, build=build_words, redacts=True)
FIXED = GuardType(name="fixed", settings=Words, build=build_words, suppressible=False, tier=Tier.NATIVE)

GUARDS = "guards: [{type: words, id: w}, {type: redacting, id: r}, {type: fixed, id: f}]"
SERVERS = "servers: {files: {tool_prefixes: [f_]}, mail: {}}"


@pytest.fixture(autouse=True)
def _more_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built, "REGISTRY", {guard_type.name: guard_type for guard_type in (WORDS, REDACTING, FIXED)})


def text(exceptions: str, guards: str = GUARDS) -> str:
    return f"policy:\n  {SERVERS}\n  {guards}\n  exceptions: [{exceptions}]\n"


def suppressing(criteria: str, finding: Finding, asked: Operation, now: float | None = None) -> str:
    bound = built.build(text(f"{{rule: secret, {criteria} reason: known}}")).guards[0]
    assert bound.exceptions is not None
    return bound.exceptions.suppressing(finding, asked, time.time() if now is None else now)


def finding(rule: str = "secret", where: str = "") -> Finding:
    return Finding(rule=rule, severity=Severity.HIGH, where=where)


def listing(**fields: Any) -> Operation:
    given: dict[str, Any] = {
        "direction": Direction.RESPONSE,
        "phase": Phase.TOOLS_LIST,
        "kind": Kind.RESULT,
        "method": "tools/list",
        "subject": None,
        "payload": LISTED,
        "server": "files",
        "servers": ("files",),
    }
    return operation(**given | fields)


CALL = operation(
    server="files",
    caller=Caller(tenant="acme", principal="ann", verified=True),
    payload={"name": "f_read", "arguments": {"path": "x"}},
)
UNVERIFIED = operation(server="files", caller=Caller(tenant="acme", principal="ann"))


@pytest.mark.parametrize(
    ("criteria", "covered"),
    [
        ("", True),
        ("guard: w,", True),
        ("server: files,", True),
        ("server: f*,", True),
        ("server: mail,", False),
        ("tool: read,", True),
        ("tool: r*,", True),
        ("tool: f_read,", False),
        ("tool: write,", False),
        ("where: /arguments/path,", True),
        ("where: /arguments/*,", True),
        ("where: /arguments,", False),
        ("tenant: acme,", True),
        ("tenant: other,", False),
        ("principal: ann,", True),
        ("principal: bob,", False),
        ("server: files, tool: read, where: /*, tenant: acme, principal: '*',", True),
        ("server: files, tool: read, where: /*, tenant: acme, principal: bob,", False),
    ],
)
def test_all_criteria_must_match(criteria: str, covered: bool) -> None:
    found = finding(where="/arguments/path")
    assert suppressing(criteria, found, CALL) == ("exceptions[0]" if covered else "")


def test_another_rule_is_not_covered() -> None:
    assert suppressing("", finding("token"), CALL) == ""
    assert suppressing("", finding("secrets"), CALL) == ""


def test_a_caller_who_is_not_verified_gets_nothing_by_a_name() -> None:
    assert suppressing("principal: ann,", finding(), UNVERIFIED) == ""
    assert suppressing("tenant: acme,", finding(), UNVERIFIED) == ""
    assert suppressing("", finding(), UNVERIFIED) != ""


def test_what_is_not_known_matches_nothing() -> None:
    nowhere = operation(server=None, servers=(), subject=None, method="ping", phase=Phase.CONNECTION)
    assert suppressing("server: '*',", finding(), nowhere) == ""
    assert suppressing("tool: '*',", finding(), nowhere) == ""
    prompt = operation(server="files", method="prompts/get", phase=Phase.PROMPT_GET)
    assert suppressing("tool: '*',", finding(), prompt) == ""


def test_until_is_exclusive() -> None:
    instant = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    for now, covered in ((instant - 1, True), (instant, False), (instant + 1, False)):
        assert (suppressing("until: 2030-01-01T00:00:00Z,", finding(), CALL, now) != "") is covered


@pytest.mark.parametrize(
    ("where", "fields", "expected"),
    [
        ("/tools/0/description", {}, ("files", "read")),
        ("/tools/0", {}, ("files", "read")),
        ("/tools/1/name", {}, ("files", "write")),
        ("/tools/1/name", {"server": None, "servers": ("files", "mail")}, (None, "write")),
        ("/tools/0/name", {"server": None, "servers": ("files", "mail")}, ("files", "read")),
        ("/tools/0/name", {"server": None, "servers": ()}, ("files", "read")),
        ("/tools/1/name", {"server": None, "servers": ()}, (None, "write")),
        ("/tools/2/name", {}, ("files", None)),
        ("/tools/3", {}, ("files", None)),
        ("/tools/4", {}, ("files", None)),
        ("/tools/00", {}, ("files", None)),
        ("/tools/-1", {}, ("files", None)),
        ("/tools/99999999999999999999", {}, ("files", None)),
        ("", {}, ("files", None)),
        ("/nextCursor", {}, ("files", None)),
        ("/tools/0", {"payload": None}, ("files", None)),
        ("/tools/0", {"payload": {"tools": {}}}, ("files", None)),
        ("/tools/0", {"direction": Direction.REQUEST}, ("files", None)),
    ],
)
def test_in_a_list_the_tool_is_the_one_that_the_finding_points_into(
    where: str, fields: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    servers = built.build(text("")).servers
    assert tool_of(finding(where=where), listing(**fields), servers) == expected


def test_a_tool_of_a_list_is_covered_wherever_it_stands() -> None:
    criteria = "server: files, tool: read, where: /tools/*/description,"
    assert suppressing(criteria, finding(where="/tools/0/description"), listing()) == "exceptions[0]"
    assert suppressing(criteria, finding(where="/tools/1/description"), listing()) == ""
    moved = {"tools": list(reversed(LISTED["tools"]))}
    assert suppressing(criteria, finding(where="/tools/3/description"), listing(payload=moved)) == "exceptions[0]"


def test_the_first_that_covers_counts_and_has_its_id() -> None:
    exceptions = "{rule: token, reason: r}, {rule: 's*', id: broad, reason: r}, {rule: secret, id: narrow, reason: r}"
    bound = built.build(text(exceptions)).guards[0]
    assert bound.exceptions is not None
    assert bound.exceptions.suppressing(finding(), CALL, 0) == "broad"
    assert bound.exceptions.suppressing(finding("token"), CALL, 0) == "exceptions[0]"


def test_an_exception_concerns_the_guards_it_names_and_those_alone_that_can_be_excepted() -> None:
    policy = built.build(text("{rule: '*', reason: r}, {rule: '*', guard: r, reason: r}"))
    found = {bound.id: bound.exceptions and [entry.id for entry in bound.exceptions.entries] for bound in policy.guards}
    assert found == {"w": ["exceptions[0]"], "r": ["exceptions[0]", "exceptions[1]"], "f": None}
    assert [bound.weighed for bound in policy.guards] == [True, True, False]
    assert not any(bound.weighed for bound in built.build(text("")).guards)


@pytest.mark.parametrize(
    ("exceptions", "problem"),
    [
        ("{reason: r}", "policy.exceptions[0].rule: "),
        ("{rule: a}", "policy.exceptions[0].reason: "),
        ("{rule: a, reason: ''}", "policy.exceptions[0].reason: "),
        ("{rule: a, reason: r, until: 2030-01-01T00:00:00}", "policy.exceptions[0].until: "),
        (
            "{rule: a, reason: r, where: tools/0}",
            'policy.exceptions[0].where: "tools/0" is no JSON pointer, which begins with /, such as ',
        ),
        ("{rule: a, reason: r, unitl: x}", "policy.exceptions[0].unitl: "),
        (
            "{rule: default, guard: f, reason: r}",
            'policy.exceptions[0].guard: "f" is of type fixed, which decides by its settings alone; ',
        ),
        (
            "{rule: a, guard: nobody, reason: r}",
            'policy.exceptions[0].guard: "nobody" matches no guard; guards whose findings can be excepted: w, r',
        ),
        (
            "{rule: a, server: nowhere, reason: r}",
            'policy.exceptions[0].server: "nowhere" matches no server; declared are: files, mail',
        ),
        (
            "{rule: a, id: x, reason: r}, {rule: b, id: x, reason: r}",
            'policy.exceptions[1].id: "x" is the id of exceptions[0] too',
        ),
        (
            "{rule: a, id: 'exceptions[1]', reason: r}, {rule: b, reason: r}",
            'policy.exceptions[1].id: "exceptions[1]" is the id of exceptions[0] too',
        ),
        *(
            (
                f"{{rule: more, {guard} reason: r}}",
                'policy.exceptions[0].rule: "more" of words says that not all was looked at; no exception can ',
            )
            for guard in ("", "guard: w,", "guard: '*',")
        ),
    ],
)
def test_problems(exceptions: str, problem: str) -> None:
    (only,) = problems(text(exceptions))
    assert only.startswith(problem)


def test_a_policy_without_a_guard_that_acts_on_findings_has_no_exceptions() -> None:
    (only,) = problems(text("{rule: a, reason: r}", "guards: [{type: fixed}]"))
    assert only == (
        "policy.exceptions[0]: no guard's findings can be excepted; guards whose findings can: none, since the "
        "policy has no guard that acts on findings"
    )


def test_actions_of_rules() -> None:
    policy = built.build(
        text("", "guards: [{type: words, rules: {secret: {action: log}, token: {action: deny}}}, {type: redacting}]")
    )
    words, redacting = policy.guards
    assert dict(words.actions) == {"secret": RuleAction.LOG, "token": RuleAction.DENY}
    assert (words.weighed, redacting.weighed) == (True, False)
    assert isinstance(words.guard, Built)
    assert words.guard.context.actions == words.actions


@pytest.mark.parametrize(
    ("guards", "problem"),
    [
        (
            "guards: [{type: words, rules: {secrte: {action: log}}}]",
            'policy.guards[0].rules.secrte: "secrte" is no rule of the guard; its rules are secret, …',
        ),
        (
            "guards: [{type: words, rules: {secret: {action: redact}}}]",
            'policy.guards[0].rules.secret.action: "redact" is not one of deny, log: a guard of type words ',
        ),
        (
            "guards: [{type: fixed, rules: {secret: {action: log}}}]",
            "policy.guards[0].rules: a guard of type fixed decides by its settings alone; its rules take no actions",
        ),
        *(
            (
                f"guards: [{{type: words, rules: {{more: {{action: {action}}}}}}}]",
                f'policy.guards[0].rules.more.action: "{action}" is not deny: a finding of "more" says that not all ',
            )
            for action in ("log", "redact")
        ),
        ("guards: [{type: words, rules: {secret: {action: drop}}}]", "policy.guards[0].rules.secret.action: "),
        ("guards: [{type: words, rules: {secret: {}}}]", "policy.guards[0].rules.secret.action: "),
    ],
)
def test_problems_of_actions(guards: str, problem: str) -> None:
    (only,) = problems(text("", guards))
    assert only.startswith(problem)


def test_rules_that_are_not_known_beforehand_may_be_any_and_redact_is_for_those_who_can() -> None:
    policy = built.build(text("", "guards: [{type: redacting, rules: {anything: {action: redact}}}]"))
    assert policy.guards[0].actions == {"anything": RuleAction.REDACT}


def test_an_exception_changes_the_policys_hash() -> None:
    hashes = {
        built.build(text(exceptions)).hash
        for exceptions in ("", "{rule: a, reason: r}", "{rule: a, reason: other}", "{rule: b, reason: r}")
    }
    assert len(hashes) == 4


def test_a_rule_of_the_same_name_that_another_guard_has_can_be_excepted() -> None:
    policy = built.build(text("{rule: more, guard: r, reason: r}, {rule: '*', reason: r}"))
    assert [bound.exceptions is not None for bound in policy.guards] == [True, True, False]
    acted = built.build(text("", "guards: [{type: words, rules: {more: {action: deny}}}]"))
    assert acted.guards[0].actions == {"more": RuleAction.DENY}
