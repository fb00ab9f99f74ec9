"""The cases of ``tests/cases/guards``, and that they leave no rule out."""

from __future__ import annotations

from collections import Counter

import pytest

from guardsvc.guards.native import NATIVE
from guardsvc.guards.native.protocol_compliance.refusals import RULES
from guardsvc.guards.registry import load_registry
from guardsvc.model import REASONS, Allow, Deny
from tests.guards.cases import Case, load_cases

ALL = load_cases()
REACHABLE = {
    "access_list": {("unknown_server", "unknown_server"), ("access_denied", "default")},
    "protocol_compliance": {(rule.code, rule.id) for rule in RULES},
    "rate_limit": {("rate_limited", "calls"), ("rate_limited", "limits[0]")},
}


def name(case: Case) -> str:
    return f"{case.guard}: {case.description}"


@pytest.mark.parametrize("case", ALL, ids=name)
def test_case(case: Case) -> None:
    expected = case.given["expect"]
    verdict = case.verdict()
    rules = [finding.rule for finding in verdict.findings]
    if expected["verdict"] == "allow":
        assert isinstance(verdict, Allow), verdict
        assert rules == ([expected["rule"]] if "rule" in expected else [])
        return
    assert isinstance(verdict, Deny), verdict
    assert (verdict.code, rules) == (expected["code"], [expected["rule"]])
    if verdict.code in REASONS:
        assert verdict.message.startswith(REASONS[verdict.code].text.removesuffix("."))
    if "message" in expected:
        assert verdict.message == expected["message"]
    if "details" in expected:
        assert verdict.details == expected["details"]
    if "where" in expected:
        assert verdict.findings[0].where == expected["where"]


def test_descriptions_are_unique() -> None:
    assert [name for name, count in Counter(map(name, ALL)).items() if count > 1] == []


@pytest.mark.parametrize("guard", sorted(REACHABLE))
def test_every_refusal_of_a_guard_has_a_case(guard: str) -> None:
    assert guard in load_registry()
    shown = {
        (case.given["expect"]["code"], case.given["expect"]["rule"])
        for case in ALL
        if case.guard == guard and case.given["expect"]["verdict"] == "deny"
    }
    assert REACHABLE[guard] <= shown


@pytest.mark.parametrize("guard", sorted(guard_type.name for guard_type in NATIVE))
def test_every_guard_has_a_hit_and_a_near_miss(guard: str) -> None:
    verdicts = {case.given["expect"]["verdict"] for case in ALL if case.guard == guard}
    assert {"allow", "deny"} <= verdicts
