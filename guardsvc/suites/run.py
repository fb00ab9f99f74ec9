"""Run: suites from begin to end, with every failure and what was covered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from guardsvc.config import Checker, ConfigError, Document
from guardsvc.guards.registry import load_registry
from guardsvc.model import Globs
from guardsvc.policy import Policy, PolicySettings, build_policy, policy_model
from guardsvc.policy.presets import over_preset
from guardsvc.server.configuration import load_configuration
from guardsvc.suites.coverage import Coverage
from guardsvc.suites.expect import differences
from guardsvc.suites.observe import Observed, UnreadableError, observe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from guardsvc.suites.load import LoadedCase, Suite

__all__ = ["CaseResult", "Run", "SuiteResult", "Wanted", "run_suites"]


@dataclass(frozen=True)
class Wanted:
    """Which cases are run. A pattern is a glob of the whole, or a part of it, whatever the case of letters.

    Attributes:
        cases: patterns of ``FILE: description``; none stands for all.
        guards: guard types, whose suites alone are run; none stands for all suites.
    """

    cases: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()

    def suite(self, suite: Suite) -> bool:
        """Whether cases of a suite are run."""
        return not self.guards or (suite.guard is not None and suite.guard.name in self.guards)

    def case(self, suite: Suite, case: LoadedCase) -> bool:
        """Whether a case is run."""
        name = f"{suite.source}: {case.description}".lower()
        patterns = [pattern.lower() for pattern in self.cases]
        return not patterns or any(
            Globs((pattern,)).match(name) if "*" in pattern else pattern in name for pattern in patterns
        )


EVERYTHING = Wanted()
PATIENCE = 60.0
"""Seconds for a decision; a slow machine is no failed expectation."""


@dataclass(frozen=True)
class CaseResult:
    """What came of one case.

    Attributes:
        differences: from what it expects; none where it passes.
        observed: None where nothing could be judged.
        seconds: of wall time.
    """

    case: LoadedCase
    differences: tuple[str, ...]
    observed: Observed | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all is as expected."""
        return not self.differences


@dataclass(frozen=True)
class SuiteResult:
    """What came of one suite."""

    suite: Suite
    subject: str
    cases: tuple[CaseResult, ...]

    @property
    def failed(self) -> tuple[CaseResult, ...]:
        """The cases that did not pass."""
        return tuple(result for result in self.cases if not result.passed)


@dataclass
class Run:
    """What came of all suites.

    Attributes:
        results: of suites with cases that were wanted.
        configuration: policies that cannot be used, each once.
        coverage: what was tested by it.
    """

    results: list[SuiteResult] = field(default_factory=list)
    configuration: list[ConfigError] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def cases(self) -> int:
        """How many cases were run."""
        return sum(len(result.cases) for result in self.results)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(len(result.failed) for result in self.results)


def run_suites(suites: Iterable[Suite], *, config: Path | None = None, wanted: Wanted = EVERYTHING) -> Run:
    """Run suites one after the other.

    Args:
        suites: the suites.
        config: the configuration whose policy those are for that name none; the built-in one without.
        wanted: which cases.
    """
    run = Run()
    policies = _Policies(config)
    with asyncio.Runner() as runner:
        for suite in filter(wanted.suite, suites):
            cases = [case for case in suite.cases if wanted.case(suite, case)]
            if not cases:
                continue
            try:
                subject, policy = policies.of(suite)
            except ConfigError as error:
                if error.args not in [other.args for other in run.configuration]:
                    run.configuration.append(error)
                continue
            for bound in policy.guards:
                run.coverage.has(subject, bound)
            results = tuple(_results(cases, suite, subject, policy, runner, run.coverage))
            run.results.append(SuiteResult(suite, subject, results))
    return run


def _results(
    cases: list[LoadedCase], suite: Suite, subject: str, policy: Policy, runner: asyncio.Runner, coverage: Coverage
) -> Iterator[CaseResult]:
    for case in cases:
        if case.made.bound is not None:
            coverage.has("", case.made.bound)
        started = perf_counter()
        try:
            observed = runner.run(observe(case, policy))
        except UnreadableError as error:
            yield CaseResult(case, (str(error),), None, perf_counter() - started)
            continue
        own, near = "" if suite.guard is not None else subject, case.form.near_rules
        coverage.saw(own, observed, near)
        assert case.form.expect is not None  # noqa: S101  suites with a case without are broken
        found = differences(case.form.expect, observed, guard_alone=suite.guard is not None, near=near)
        found += [f'near: no guard has the rule "{rule}"' for rule in near if not coverage.knows(own, rule)]
        yield CaseResult(case, tuple(found), observed, perf_counter() - started)


class _Policies:
    """The policies that suites name, each built once."""

    def __init__(self, config: Path | None) -> None:
        self._config = config
        self._built: dict[Path | None, Policy] = {}
        self._empty = _build(Document("", {"policy": {}}))

    def of(self, suite: Suite) -> tuple[str, Policy]:
        """What a suite tests, as a name, and the policy that judges.

        Raises:
            ConfigError: the policy cannot be used.
        """
        if suite.guard is not None:
            return f"guard {suite.guard.name}", self._empty
        if isinstance(suite.policy, Document):
            return f"policy of {suite.source}", _build(suite.policy)
        path = suite.policy if isinstance(suite.policy, Path) else self._config
        if path not in self._built:
            self._built[path] = load_configuration(path).policy.patient(PATIENCE)
        return f"policy {path or 'built-in'}", self._built[path]


def _build(document: Document) -> Policy:
    registry = load_registry()
    checker = Checker(document)
    section = over_preset(document.value["policy"])
    settings: PolicySettings | None = checker.check(policy_model(registry), section, ("policy",))
    checker.raise_if_any()
    assert settings is not None  # noqa: S101  without problems there are settings
    policy = build_policy(settings, registry, checker)
    checker.raise_if_any()
    assert policy is not None  # noqa: S101  the same
    return policy.patient(PATIENCE)
