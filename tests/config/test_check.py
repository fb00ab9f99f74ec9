from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import AwareDatetime, BaseModel, Field, field_validator, model_validator

from guardsvc.config import Checker, ConfigError, Document, check
from guardsvc.model import Direction, FailureMode, Phase, Settings, SettingsError


class Http(Settings):
    type: Literal["http"]
    http: dict[str, int] = Field(default={})
    url: Annotated[str, Field(pattern="^https://", max_length=20)] = "https://x"


class Opa(Settings):
    type: Literal["opa", "rego"]
    rules: tuple[str, ...] = Field(min_length=1, max_length=2)

    @field_validator("rules")
    @classmethod
    def _no_wildcard(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in rules:
            raise SettingsError((rules.index("*"),), 'the rule "*" is too wide')
        return rules


class Exact(Settings):
    exact: str


class Prefix(Settings):
    prefix: str
    fold: bool = False


RunsOn = Phase | Literal[Direction.REQUEST, Direction.RESPONSE, 5]


class Guard(Settings):
    id: str
    failure_mode: FailureMode = FailureMode.FAIL_CLOSED
    enabled: bool = True
    sure: Literal[True] = True
    timeout_ms: Annotated[int, Field(ge=1, le=5000)] = 100
    ratio: Annotated[float, Field(gt=0, lt=1)] = 0.5
    step: Annotated[int, Field(multiple_of=5)] = 5
    hook: Annotated[Http | Opa, Field(discriminator="type")] | None = None
    plain: Http | Opa | None = None
    names: list[Exact | Prefix | str] = Field(default=[])
    retries: Annotated[int, Field(ge=1)] | Literal["auto"] = 1
    labels: dict[str, Annotated[str, Field(min_length=1)]] = Field(default={})
    pair: tuple[int, str] = (1, "a")
    since: AwareDatetime | None = None
    window: timedelta | None = None
    note: None = None
    runs_on: tuple[RunsOn, ...] | None = Field(default=None, min_length=1)
    tags: frozenset[str] = Field(default=frozenset("ab"), min_length=2)
    settings: dict[str, Any] = Field(default={})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.id == "forbidden":
            raise ValueError("this guard is not to be")
        if self.id == "nested":
            raise SettingsError(("labels", "x"), "no label x here")
        return self


class Policy(Settings):
    guards: tuple[Guard, ...] = ()
    servers: dict[str, Exact] = Field(default={})


PHASES = ", ".join(Phase)
GUARD_KEYS = ", ".join(Guard.model_fields)


def problems_of(model: type[BaseModel], text: str) -> list[str]:
    document = Document.parse(text, "p.yaml")
    with pytest.raises(ConfigError) as caught:
        check(model, document.value, document)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("failure_mode: open", 'failure_mode: "open" is not one of fail_closed, fail_open (line 2)'),
        ("sure: false", "sure: false is not one of true (line 2)"),
        ("failure_mode: [open]", "failure_mode: a list is not one of fail_closed, fail_open (line 2)"),
        (
            "failure_mod: fail_open",
            f"failure_mod: unknown key; legal keys are {GUARD_KEYS} (did you mean failure_mode?) (line 2)",
        ),
        ("zzz: 1", f"zzz: unknown key; legal keys are {GUARD_KEYS} (line 2)"),
        ("enabled: no", 'enabled: "no" is a string; expected true or false (line 2)'),
        ("enabled: 1", "enabled: 1 is an integer; expected true or false (line 2)"),
        ("enabled:", "enabled: the value is null; expected true or false (line 2)"),
        ("timeout_ms: fast", 'timeout_ms: "fast" is a string; expected an integer (line 2)'),
        ("timeout_ms: 1e3", 'timeout_ms: "1e3" is a string; expected an integer (line 2)'),
        ("timeout_ms: 012", 'timeout_ms: "012" is a string; expected an integer (line 2)'),
        ("timeout_ms: '5'", 'timeout_ms: "5" is a string; expected an integer (line 2)'),
        ("timeout_ms: 1.5", "timeout_ms: 1.5 is a number; expected an integer (line 2)"),
        ("timeout_ms: true", "timeout_ms: true is a boolean; expected an integer (line 2)"),
        ("timeout_ms: [1]", "timeout_ms: the value is a list; expected an integer (line 2)"),
        ("timeout_ms: 0", "timeout_ms: 0 is out of range; expected at least 1 (line 2)"),
        ("timeout_ms: 9999", "timeout_ms: 9999 is out of range; expected at most 5000 (line 2)"),
        ("ratio: 0", "ratio: 0 is out of range; expected more than 0 (line 2)"),
        ("ratio: 1.0", "ratio: 1.0 is out of range; expected less than 1 (line 2)"),
        ("ratio: half", 'ratio: "half" is a string; expected a number (line 2)'),
        (
            f"step: {10**40 + 1}",
            f"step: {10**40 + 1} is out of range; expected a multiple of 5 (line 2)",
        ),
        ("step: 7", "step: 7 is out of range; expected a multiple of 5 (line 2)"),
        ("id: 7", "id: 7 is an integer; expected a string (line 2)"),
        ("runs_on: []", "runs_on: the length is 0; expected at least 1 (line 2)"),
        (
            "runs_on: [requests]",
            f'runs_on[0]: "requests" is not one of {PHASES}, request, response, 5 (line 2)',
        ),
        ("tags: [a, a]", "tags: the length is 1; expected at least 2 (line 2)"),
        ("note: x", 'note: "x" is a string; expected null (line 2)'),
        (
            "since: 2024-01-01T00:00:00",
            (
                'since: "2024-01-01T00:00:00" is a string; expected a date and time with a time zone, '
                "such as 2026-01-31T12:00:00Z (line 2)"
            ),
        ),
        (
            "since: soon",
            'since: "soon" is a string; expected a date and time such as 2026-01-31T12:00:00Z (line 2)',
        ),
        ("window: long", 'window: "long" is a string; expected a duration such as PT30S (line 2)'),
        ("labels: [a]", "labels: the value is a list; expected a mapping (line 2)"),
        ("labels:\n  a: ''", 'labels.a: "" is not legal; expected a length of at least 1 (line 3)'),
        ("names: x", "names: the value is a string; expected a list (line 2)"),
        ("pair: [1]", "pair[1]: the entry is missing (line 2)"),
        ("pair: [1, b, c]", "pair: the length is 3; expected at most 2 (line 2)"),
        ("hook: http", "hook: the value is a string; expected a mapping (line 2)"),
        ("hook:\n  type: ftp", 'hook.type: "ftp" is not one of http, opa, rego (line 3)'),
        ("hook:\n  type: 5", "hook.type: 5 is not one of http, opa, rego (line 3)"),
        (
            "hook:\n  url: https://y",
            "hook.type: the key is missing; legal values are http, opa, rego (line 2)",
        ),
        (
            "hook: {type: http, url: ftp://x}",
            'hook.url: "ftp://x" is not legal; expected text that matches ^https:// (line 2)',
        ),
        (
            "hook: {type: http, url: 'https://too.long.example'}",
            'hook.url: "https://too.long.example" is not legal; expected a length of at most 20 (line 2)',
        ),
        ("hook:\n  type: http\n  http: {a: x}", 'hook.http.a: "x" is a string; expected an integer (line 4)'),
        (
            "hook: {type: http, ulr: x}",
            "hook.ulr: unknown key; legal keys are type, http, url (did you mean url?) (line 2)",
        ),
        ("hook: {type: opa, rules: []}", "hook.rules: the length is 0; expected at least 1 (line 2)"),
        ("hook:\n  type: opa\n  rules:\n  - a\n  - '*'", 'hook.rules[1]: the rule "*" is too wide (line 6)'),
        ("hook: {type: rego}", "hook.rules: the key is missing (line 2)"),
        ("plain: {type: ftp}", 'plain.type: "ftp" is not one of http, opa, rego (line 2)'),
        (
            "plain: {type: opa, url: x, rules: [a]}",
            "plain.url: unknown key; legal keys are type, rules (line 2)",
        ),
        ("names: [x, {exact: 5}]", "names[1].exact: 5 is an integer; expected a string (line 2)"),
        ("names: [{prefix: x, fold: 5}]", "names[0].fold: 5 is an integer; expected true or false (line 2)"),
        ("names: [5]", "names[0]: the value is an integer; expected a mapping or a string (line 2)"),
        ("retries: never", 'retries: "never" is a string; expected an integer or one of auto (line 2)'),
        ("retries: 0", "retries: 0 is an integer; expected at least 1 or one of auto (line 2)"),
        ("id: forbidden", "this guard is not to be (line 2)"),
        ("id: nested\nlabels:\n  x: y", "labels.x: no label x here (line 4)"),
        (
            f"failure_mode: {'x' * 100}",
            f'failure_mode: "{"x" * 78}… is not one of fail_closed, fail_open (line 2)',
        ),
        (
            r'failure_mode: "a\x1b[31m"',
            r'failure_mode: "a\u001b[31m" is not one of fail_closed, fail_open (line 2)',
        ),
    ],
)
def test_a_problem_names_the_value_and_what_is_legal(text: str, problem: str) -> None:
    key = "" if text.startswith("id:") else "id: g"
    assert problems_of(Guard, f"{key}\n{text}") == [problem]


def test_all_problems_are_told_at_once_with_their_places() -> None:
    text = """\
guards:
  - id: one
    failure_mode: open
    hook:
      type: http
      http:
        url: nowhere
  - timeout_ms: 0
    names: [{exact: a, fold: true}]
  - just text
servers:
  git.hub:
    exactly: x
gaurds: []
"""
    assert problems_of(Policy, text) == [
        'guards[0].failure_mode: "open" is not one of fail_closed, fail_open (line 3)',
        'guards[0].hook.http.url: "nowhere" is a string; expected an integer (line 7)',
        "guards[1].id: the key is missing (line 8)",
        "guards[1].timeout_ms: 0 is out of range; expected at least 1 (line 8)",
        "guards[1].names[0].fold: unknown key; legal keys are exact (line 9)",
        "guards[2]: the value is a string; expected a mapping (line 10)",
        'servers["git.hub"].exact: the key is missing (line 12)',
        'servers["git.hub"].exactly: unknown key; legal keys are exact (did you mean exact?) (line 13)',
        "gaurds: unknown key; legal keys are guards, servers (did you mean guards?) (line 14)",
    ]


def test_right_settings_are_built() -> None:
    text = """\
id: g
failure_mode: fail_open
since: 2024-05-01T10:00:00Z
window: PT1M
pair: [2, b]
ratio: .25
names: [a, {prefix: b}]
hook: {type: rego, rules: [no]}
retries: auto
"""
    document = Document.parse(text, "p.yaml")
    assert check(Guard, document.value, document) == Guard(
        id="g",
        failure_mode=FailureMode.FAIL_OPEN,
        since=datetime(2024, 5, 1, 10, tzinfo=UTC),
        window=timedelta(minutes=1),
        pair=(2, "b"),
        ratio=0.25,
        names=["a", Prefix(prefix="b")],
        hook=Opa(type="rego", rules=("no",)),
        retries="auto",
    )


def test_a_checker_gathers_the_problems_of_several_checks() -> None:
    document = Document.parse("guards:\n- id: g\n  settings:\n    exakt: x\n", "p.yaml")
    checker = Checker(document)
    policy = checker.check(Policy, document.value)
    assert policy is not None
    assert checker.problems == ()
    base = ("guards", 0, "settings")
    assert checker.check(Exact, policy.guards[0].settings, base) is None
    checker.add((*base, "exakt"), "not here")
    with pytest.raises(ConfigError) as caught:
        checker.raise_if_any()
    assert str(caught.value).splitlines() == [
        "p.yaml:3: guards[0].settings.exact: the key is missing",
        "p.yaml:4: guards[0].settings.exakt: unknown key; legal keys are exact (did you mean exact?)",
        "p.yaml:4: guards[0].settings.exakt: not here",
    ]
    assert set(caught.value.problems) == set(checker.problems)


def test_nothing_is_raised_where_nothing_is_wrong() -> None:
    document = Document.parse("", "<built-in>")
    checker = Checker(document)
    assert checker.check(Policy, document.value) == Policy()
    checker.raise_if_any()
