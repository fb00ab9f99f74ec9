"""How a policy words its refusals: templates that can say nothing of the message."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from guardsvc.policy.denials import DenialSettings
from tests.policy.built import problems


def word(message: str) -> str:
    return DenialSettings(message=message).word("Denied.", reason="access_denied", decision_id="d1")


@pytest.mark.parametrize(
    ("template", "worded"),
    [
        ("{message}", "Denied."),
        ("No: {reason} ({decision_id}). {message}", "No: access_denied (d1). Denied."),
        ("{{reason}} {reason}", "{reason} access_denied"),
        ("plain", "plain"),
    ],
)
def test_templates(template: str, worded: str) -> None:
    assert word(template) == worded


def test_the_link_is_a_template_too() -> None:
    settings = DenialSettings(
        message="{message} See {support_url}", support_url="https://help.example/{reason}?d={decision_id}"
    )
    link = "https://help.example/access_denied?d=d1"
    assert settings.link(reason="access_denied", decision_id="d1") == link
    assert settings.word("Denied.", reason="access_denied", decision_id="d1") == f"Denied. See {link}"


def test_without_templates_words_are_what_they_were() -> None:
    settings = DenialSettings()
    assert settings.plain
    assert settings.word("Denied.", reason="x", decision_id="d1") == "Denied."
    assert settings.link(reason="x", decision_id="d1") is None


def test_braces_in_what_a_guard_says_are_text() -> None:
    settings = DenialSettings(message="{message}")
    assert settings.word("{decision_id} {x}", reason="x", decision_id="d1") == "{decision_id} {x}"


@pytest.mark.parametrize(
    "template",
    [
        "{tool}",
        "{}",
        "{0}",
        "{message.__class__}",
        "{message[0]}",
        "{message!r}",
        "{message:>99999999}",
        "{message:{reason}}",
        "{",
        "}",
        "{message",
        "",
        "x" * 501,
        "{arguments}",
    ],
)
def test_whatever_is_no_plain_field_is_refused(template: str) -> None:
    with pytest.raises(ValidationError):
        DenialSettings(message=template)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "ftp://x",
        "https://",
        "https://x y",
        "https://x\n",
        "https://é",
        "https://x/{message}",
        "https://x/{",
        "https://x/" + "y" * 500,
    ],
)
def test_a_link_that_is_none(url: str) -> None:
    with pytest.raises(ValidationError):
        DenialSettings(support_url=url)


def test_problems_say_what_is_legal() -> None:
    (unknown,) = problems("policy: {denials: {message: 'about {tool}'}}")
    assert unknown == (
        'policy.denials.message: "{tool}" is not one of {message}, {reason}, {decision_id}, {support_url}, as they '
        "stand here"
    )
    (missing,) = problems("policy: {denials: {message: '{support_url}'}}")
    assert missing == "policy.denials.message: {support_url} is used, but support_url is not given"
