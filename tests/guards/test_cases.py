"""The cases of ``tests/cases/guards``, and that they leave no rule out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guardsvc.guards.native import NATIVE
from guardsvc.model import REASONS
from guardsvc.suites.coverage import GuardCoverage
from tests.guards.cases import Case, load_cases, results, run, suites

ALL = load_cases()
DOCS = Path(__file__).parents[2] / "docs" / "guards"
GUARDS = sorted(guard_type.name for guard_type in NATIVE)
SAID = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


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
    if case.expect.verdict == "deny":
        assert case.expect.code is not None
        assert case.rules


@pytest.mark.parametrize("guard", GUARDS)
def test_every_rule_has_a_hit(guard: str) -> None:
    covered = covered_by(guard)
    assert covered.rules
    assert covered.silent == []


@pytest.mark.parametrize("guard", GUARDS)
def test_every_rule_has_a_near_miss(guard: str) -> None:
    covered = covered_by(guard)
    assert sorted((covered.rules or set()) - covered.near.keys()) == []


@pytest.mark.parametrize("guard", GUARDS)
def test_what_fires_is_a_rule(guard: str) -> None:
    covered = covered_by(guard)
    assert covered.seen.keys() <= (covered.rules or set())


@pytest.mark.parametrize("guard", GUARDS)
def test_rules_that_the_page_tells_are_among_those_of_the_cases(guard: str) -> None:
    section = (DOCS / f"{guard}.md").read_text().partition("\n## Rules\n")[2].partition("\n## ")[0]
    table = section[section.index("\n|") :].partition("\n\n")[0]
    assert set(SAID.findall(table)) <= (covered_by(guard).rules or set())


def covered_by(guard: str) -> GuardCoverage:
    """What the cases of a guard cover."""
    return run().coverage.guards["", guard]
