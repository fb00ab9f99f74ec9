from __future__ import annotations

import copy
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError

from guardsvc.config import MASK, Checker, ConfigError, Document, Secret, check, mask
from guardsvc.config.secrets import ENVIRON, MAX_SECRET_BYTES
from guardsvc.model import Settings


class Part(StrEnum):
    A = "a"
    B = "b"
    C = "c"


class Login(Settings):
    user: str = "nobody"
    token: Secret


class Hook(Settings):
    name: str = Field("", alias="as")
    login: Login | None = None
    keys: tuple[Secret, ...] = ()
    by_name: dict[str, Secret] = Field(default={})
    either: Secret | int | None = None
    parts: frozenset[Part] = frozenset(Part)
    rest: dict[str, Any] = Field(default={})


def problems_of(text: str, environ: dict[str, str] | None = None, model: type[Settings] = Hook) -> list[str]:
    document = Document.parse(text, "p.yaml")
    checker = Checker(document, environ or {})
    checker.check(model, document.value)
    with pytest.raises(ConfigError) as caught:
        checker.raise_if_any()
    return [str(problem) for problem in caught.value.problems]


def token_of(value: str, environ: dict[str, str] | None = None) -> str:
    return Login.model_validate({"token": value}, context={ENVIRON: environ or {}}).token.reveal()


def test_a_secret_comes_from_the_document_a_variable_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"from a file\r\n\n")
    assert token_of("literal $HOME ${x}") == "literal $HOME ${x}"
    assert token_of("${env:TOKEN}", {"TOKEN": "${env:OTHER}"}) == "${env:OTHER}"
    assert token_of(f"${{file:{tmp_path}/token}}") == "from a file\r\n"


def test_the_environment_is_that_of_the_process_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDSVC_TEST_TOKEN", "s3cret")
    text = "login: {token: '${env:GUARDSVC_TEST_TOKEN}'}"
    document = Document.parse(text, "p.yaml")
    login = check(Hook, document.value, document).login
    assert login is not None
    assert login.token.reveal() == "s3cret"
    assert Login.model_validate({"token": "${env:GUARDSVC_TEST_TOKEN}"}).token.reveal() == "s3cret"


def test_a_secret_is_never_shown() -> None:
    hook = Hook.model_validate(
        {
            "as": "h",
            "login": {"token": "s3cret"},
            "keys": ["s3cret"],
            "by_name": {"x": "s3cret"},
            "either": "s3cret",
        }
    )
    for text in (repr(hook), str(hook), hook.model_dump_json(), repr(mask(hook)), f"{hook.keys[0]}"):
        assert "s3cret" not in text
        assert MASK in text
    assert hook.keys[0] == Secret("s3cret")
    assert hook.keys[0] != "s3cret"
    assert len({hook.keys[0], Secret("s3cret"), copy.deepcopy(hook.keys[0])}) == 1


def test_a_mask_is_plain_data_in_a_stable_order() -> None:
    assert mask(Hook.model_validate({"as": "h", "login": {"token": "t"}, "rest": {"x": Secret("t")}})) == {
        "as": "h",
        "login": {"user": "nobody", "token": MASK},
        "keys": [],
        "by_name": {},
        "either": None,
        "parts": ["a", "b", "c"],
        "rest": {"x": MASK},
    }


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("${env:NOPE}", "the environment variable NOPE is not set"),
        ("${env:EMPTY}", "the environment variable EMPTY is empty"),
        ("${env:not a name}", '"not a name" is not the name of an environment variable'),
        ("${env:}", '"" is not the name of an environment variable'),
        ("Bearer ${env:SET}", "a reference is the whole value: ${env:NAME} or ${file:/path}"),
        ("${env:SET}${env:SET}", "a reference is the whole value: ${env:NAME} or ${file:/path}"),
        ("${env:SET", "a reference is the whole value: ${env:NAME} or ${file:/path}"),
        ("${file:relative}", '"relative" is not an absolute path'),
        ("${file:/nonexistent/x}", 'the file "/nonexistent/x" cannot be read: No such file or directory'),
        ("${file:/}", 'the file "/" cannot be read: Is a directory'),
        ("${file:/dev/null}", 'the file "/dev/null" is empty'),
        ("${file:/dev/zero}", f'the file "/dev/zero" has more than {MAX_SECRET_BYTES} bytes'),
        ("", "the secret is empty"),
        ("[s3cret]", "the secret is a list; expected a string"),
        ("4711", "the secret is an integer; expected a string"),
    ],
)
def test_a_reference_that_leads_nowhere_names_the_variable_or_file(value: str, problem: str) -> None:
    quoted = value if value in {"4711", "[s3cret]"} else f"'{value}'"
    environ = {"EMPTY": "", "SET": "s3cret"}
    assert problems_of(f"login:\n  token: {quoted}", environ) == [f"login.token: {problem} (line 2)"]


def test_a_file_that_is_no_text_is_named_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"s3cret\xff")
    (problem,) = problems_of(f"login: {{token: '${{file:{path}}}'}}")
    assert "is not UTF-8" in problem
    assert "s3cret" not in problem
    path.write_bytes(b"\n")
    (problem,) = problems_of(f"login: {{token: '${{file:{path}}}'}}")
    assert problem.endswith("is empty (line 1)")


ONLY = "environment and file substitution is for secrets only"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("as: ${env:X}", [f"as: {ONLY} (line 1)"]),
        ("as: see ${file:/x}", [f"as: {ONLY} (line 1)"]),
        ("login:\n  token: ${env:X}\n  user: ${env:X}", [f"login.user: {ONLY} (line 3)"]),
        ("by_name:\n  '${env:X}': text", [f'by_name["${{env:X}}"]: {ONLY} (line 2)']),
        ("rest:\n  a: [1, '${env:X}']", [f"rest.a[1]: {ONLY} (line 2)"]),
        ("parts: ['${env:X}']", [f"parts[0]: {ONLY} (line 1)"]),
        (
            "as: ${env:X}\nparts: [q]\nrest: {a: '${env:X}'}",
            [f"as: {ONLY} (line 1)", 'parts[0]: "q" is not one of a, b, c (line 2)'],
        ),
        (
            "tokn: ${env:X}",
            ["tokn: unknown key; legal keys are as, login, keys, by_name, either, parts, rest (line 1)"],
        ),
    ],
)
def test_only_secrets_are_substituted(text: str, problems: list[str]) -> None:
    assert problems_of(text, {"X": "s3cret"}) == problems


def test_secrets_of_every_shape_are_substituted() -> None:
    text = "keys: ['${env:X}', two]\nby_name: {x: '${env:X}'}\neither: ${env:X}\nlogin: {token: '${env:X}'}"
    document = Document.parse(text, "p.yaml")
    checker = Checker(document, {"X": "s3cret"})
    hook = checker.check(Hook, document.value)
    checker.raise_if_any()
    assert hook is not None
    assert hook.keys == (Secret("s3cret"), Secret("two"))
    assert hook.by_name == {"x": Secret("s3cret")}
    assert hook.either == Secret("s3cret")


def test_a_later_check_may_claim_what_an_earlier_one_left_open() -> None:
    document = Document.parse("rest:\n  token: ${env:X}\n", "p.yaml")
    checker = Checker(document, {"X": "s3cret"})
    hook = checker.check(Hook, document.value)
    assert hook is not None
    login = checker.check(Login, hook.rest, ("rest",))
    checker.raise_if_any()
    assert login is not None
    assert login.token == Secret("s3cret")


@pytest.mark.parametrize(
    "text", ["keys: s3cret", "login: s3cret", "either: [s3cret]", "by_name: s3cret", "either: 1.5"]
)
def test_a_secret_in_the_wrong_place_is_not_repeated(text: str) -> None:
    (problem,) = problems_of(text)
    assert "s3cret" not in problem
    assert "1.5" not in problem
    assert "the value is" in problem or "the secret is" in problem


def test_pydantic_itself_may_be_asked() -> None:
    with pytest.raises(ValidationError, match="the environment variable X is not set"):
        Login.model_validate({"token": "${env:X}"}, context={ENVIRON: {}})
