"""The cases of ``tests/cases/guards``, and that they leave no rule out."""

from __future__ import annotations

import pytest

from guardsvc.guards.native import NATIVE
from guardsvc.guards.native.protocol_compliance.refusals import RULES
from guardsvc.guards.registry import load_registry
from guardsvc.model import REASONS
from tests.guards.cases import Case, load_cases, results, suites

ALL = load_cases()
REACHABLE = {
    "access_list": {("unknown_server", "unknown_server"), ("access_denied", "default")},
    "protocol_compliance": {(rule.code, rule.id) for rule in RULES},
    "rate_limit": {("rate_limited", "calls"), ("rate_limited", "limits[0]")},
}


def name(case: Case) -> str:
    return f"{case.guard}: {case.description}"


def test_every_suite_can_be_read() -> None:
    assert [str(error) for error in suites().broken] == []


def test_every_suite_is_of_a_guard() -> None:
    assert [suite.source for suite in suites().suites if suite.guard is None] == []


@pytest.mark.parametrize("case", ALL, ids=name)
def test_case(case: Case) -> None:
    result = results()[case.guard, case.description]
    assert list(result.differences) == []
    assert result.observed is not None
    if result.observed.code in REASONS:
        assert result.observed.message.startswith(REASONS[result.observed.code].text.removesuffix("."))


@pytest.mark.parametrize("case", [case for case in ALL if case.expect.verdict == "deny"], ids=name)
def test_a_denial_says_which_code_and_rules(case: Case) -> None:
    assert case.expect.code is not None
    assert case.rules


@pytest.mark.parametrize("guard", sorted(REACHABLE))
def test_every_refusal_of_a_guard_has_a_case(guard: str) -> None:
    assert guard in load_registry()
    shown = {
        (case.expect.code, rule)
        for case in ALL
        for rule in case.rules
        if case.guard == guard and case.expect.verdict == "deny"
    }
    assert REACHABLE[guard] <= shown


@pytest.mark.parametrize("guard", sorted(guard_type.name for guard_type in NATIVE))
def test_every_guard_has_a_hit_and_a_near_miss(guard: str) -> None:
    verdicts = {case.expect.verdict for case in ALL if case.guard == guard}
    assert {"allow", "deny"} <= verdicts
