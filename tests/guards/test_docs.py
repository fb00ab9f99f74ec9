"""The pages of the guards: fixed headings, every rule and setting, and examples that build a policy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from guardsvc.config import Checker, Document
from guardsvc.guards.native import NATIVE
from guardsvc.guards.native.access_list import METHOD_GROUPS, Rule
from guardsvc.guards.native.protocol_compliance.refusals import RULES
from guardsvc.guards.native.rate_limit.settings import LimitSettings
from guardsvc.guards.registry import load_registry
from guardsvc.model import ALLOW, Facts, GuardContext, GuardType, Operation, Settings, Verdict
from guardsvc.policy import build_policy, policy_model

DOCS = Path(__file__).parents[2] / "docs" / "guards"
PAGES = {guard_type.name: (DOCS / f"{guard_type.name}.md") for guard_type in NATIVE}
HEADINGS = ["Name", "What it refuses", "Settings", "Rules", "Examples", "Limits"]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Scan:
    def __init__(self, settings: Settings, context: GuardContext) -> None:
        del settings, context

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        del operation, facts
        return ALLOW


VENDOR_SCAN = GuardType(
    name="vendor_scan", settings=Settings, build=Scan, rules=lambda _: ("tool_call_order", "ansi_escape")
)


def page(guard: str) -> str:
    return PAGES[guard].read_text()


def examples() -> list[Any]:
    return [
        pytest.param(block, id=f"{guard}-{index}")
        for guard in PAGES
        for index, block in enumerate(BLOCK.findall(page(guard)))
    ]


@pytest.mark.parametrize("guard", PAGES)
def test_headings(guard: str) -> None:
    text = page(guard)
    assert text.startswith(f"# {guard}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("guard", PAGES)
def test_every_setting_is_told(guard: str) -> None:
    told = page(guard).partition("## Settings")[2].partition("## Rules")[0]
    for name in load_registry()[guard].settings.model_fields:
        assert f"| `{name}` |" in told


@pytest.mark.parametrize("guard", PAGES)
def test_every_page_has_an_example(guard: str) -> None:
    assert BLOCK.findall(page(guard))


@pytest.mark.parametrize("block", examples())
def test_examples_build_a_policy(block: str) -> None:
    registry = load_registry()
    document = Document.parse(yaml.safe_dump({"policy": {"guards": yaml.safe_load(block)}}), "example")
    checker = Checker(document)
    settings = checker.check(policy_model(registry), document.value["policy"], ("policy",))
    checker.raise_if_any()
    assert settings is not None
    assert build_policy(settings, registry, checker) is not None


@pytest.mark.parametrize("block", BLOCK.findall((DOCS.parent / "exceptions.md").read_text()))
def test_examples_of_exceptions_build_a_policy_that_sets_something_aside(block: str) -> None:
    registry = {**load_registry(), VENDOR_SCAN.name: VENDOR_SCAN}
    document = Document.parse(block, "example")
    checker = Checker(document)
    settings = checker.check(policy_model(registry), document.value["policy"], ("policy",))
    checker.raise_if_any()
    assert settings is not None
    policy = build_policy(settings, registry, checker)
    checker.raise_if_any()
    assert policy is not None
    for entry in policy.exceptions:
        rules = [rule for bound in policy.guards for rule in bound.rules or ()]
        assert any(map(entry.rule.match, rules))


def test_rules_of_protocol_compliance_are_told() -> None:
    told = re.findall(r"^\| `(\w+)` \| `(\w+)` \| .* \| (\w*) ?\|$", page("protocol_compliance"), re.MULTILINE)
    assert told == [(rule.id, rule.code, ", ".join(rule.threats)) for rule in RULES]


def test_rules_of_access_list_are_told() -> None:
    text = page("access_list")
    for name in Rule.model_fields:
        assert f"`{name}`" in text
    for group, members in METHOD_GROUPS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{group}` |"))
        assert re.findall(r"`([^`]+)`", row)[1:] == list(members)


def test_members_of_a_limit_are_told() -> None:
    for name in LimitSettings.model_fields:
        assert f"| `{name}` |" in page("rate_limit")
