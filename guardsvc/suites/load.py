"""Load: from a file to the cases that can be run, or every problem of the file at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from guardsvc.config import Checker, ConfigError, Document, Problem
from guardsvc.config.compose import Lines
from guardsvc.config.document import MAX_BYTES
from guardsvc.guards.registry import load_registry
from guardsvc.model import GuardType, Settings
from guardsvc.suites.form import CaseForm, SuiteForm
from guardsvc.suites.made import Made, make
from guardsvc.suites.merge import Part
from guardsvc.suites.templates import Templates, written_out

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CONFIGURED", "LoadedCase", "Suite", "load_suite", "read"]

CONFIGURED: Literal["<configured>"] = "<configured>"
"""Stands for the policy that whoever runs the suites chooses."""


class FixturesForm(Settings):
    """A file of templates that suites share."""

    description: str | None = None
    templates: dict[str, dict[str, Any]] = Field(default={})


@dataclass(frozen=True)
class LoadedCase:
    """One case that can be run.

    Attributes:
        description: what it shows, unique in its suite.
        line: where it stands in the file.
        made: what is judged.
        before: what is judged before it, by the same guard or policy.
    """

    description: str
    line: int
    form: CaseForm
    made: Made
    before: tuple[Made, ...] = ()


@dataclass(frozen=True)
class Suite:
    """The cases of one file.

    Attributes:
        source: the file.
        guard: the guard type under test, None where it is a policy.
        policy: the policy under test: a file, the document itself (its key ``policy``), or ``CONFIGURED``.
    """

    source: str
    cases: tuple[LoadedCase, ...]
    description: str = ""
    guard: GuardType[Any] | None = None
    policy: Path | Document | Literal["<configured>"] = CONFIGURED
    document: Document = field(repr=False, default=Document("", {}))


def read(path: Path) -> Document:
    """Read a file of a suite.

    Raises:
        ConfigError: it cannot be read, or is no YAML that may stand in a configuration.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), [Problem("", f"cannot be read: {error.strerror}")]) from error
    return Document.parse(content, str(path))


def load_suite(path: Path, document: Document | None = None) -> Suite:
    """Read a suite strictly.

    Args:
        path: the file; policies and fixtures that it names are found from its folder, and a file that
            names neither guard nor policy tests the guard it is named after, if there is one.
        document: what the file holds, where it has been read already.

    Raises:
        ConfigError: with every problem found, each with its line.
    """
    document = document or read(path)
    checker = Checker(document)
    form = checker.check(SuiteForm, document.value, literal=True)
    if form is None:
        raise ConfigError(document.source, checker.problems)
    templates = Templates(document, _fixtures(form, path, document))
    expanded = written_out(document, templates)
    checker = Checker(expanded)
    for problem in templates.problems:
        checker.add(*problem)
    if not form.cases:
        checker.add((), "there are no cases")
    for name in form.templates:
        _check_template(checker, expanded, name)
    guard = _guard(form, path, checker)
    tests_guard = guard is not None or form.guard is not None
    cases = [_case(checker, expanded, index, guard, tests_guard=tests_guard) for index in range(len(form.cases))]
    _check_unique(checker, expanded)
    if checker.problems:
        raise ConfigError(document.source, _each_once(checker.problems))
    return Suite(
        source=document.source,
        cases=tuple(case for case in cases if case is not None),
        description=form.description or "",
        guard=guard,
        policy=_policy(form, path, document),
        document=document,
    )


def _fixtures(form: SuiteForm, path: Path, suite: Document) -> dict[str, Part]:
    """Templates of other files; their values stand, for this file, on the line that names the file."""
    found: dict[str, Part] = {}
    names = (form.fixtures,) if isinstance(form.fixtures, str) else form.fixtures
    for name in names:
        document = read(path.parent / name)
        own = Checker(document)
        fixtures = own.check(FixturesForm, document.value, literal=True)
        if fixtures is None:
            raise ConfigError(document.source, own.problems)
        line = Lines(suite.line(("fixtures",)) or 1)
        if both := fixtures.templates.keys() & (form.templates.keys() | found.keys()):
            text = f"{name} has templates that are there already: {', '.join(sorted(both))}"
            raise ConfigError(suite.source, [Problem("fixtures", text, line.line)])
        found |= {template: Part(value, line) for template, value in document.value.get("templates", {}).items()}
    return found


def _check_template(checker: Checker, document: Document, name: str) -> None:
    value = document.value["templates"].get(name)
    if value is not None:
        checker.check(CaseForm, value, ("templates", name), literal=True)


def _guard(form: SuiteForm, path: Path, checker: Checker) -> GuardType[Any] | None:
    registry = load_registry()
    if form.guard is not None and form.guard not in registry:
        checker.add(("guard",), f'"{form.guard}" is not one of {", ".join(registry)}')
    name = form.guard or (path.stem if form.policy is None else None)
    return None if name is None else registry.get(name)


def _policy(form: SuiteForm, path: Path, document: Document) -> Path | Document | Literal["<configured>"]:
    if form.policy is None:
        return CONFIGURED
    return document if isinstance(form.policy, dict) else path.parent / form.policy


def _case(
    checker: Checker, document: Document, index: int, guard: GuardType[Any] | None, *, tests_guard: bool
) -> LoadedCase | None:
    path: tuple[str | int, ...] = ("cases", index)
    value = document.value["cases"][index]
    form = checker.check(CaseForm, value, path, literal=True)
    if form is None:
        if guard is not None and isinstance(value, dict):
            checker.check(guard.settings, value.get("settings", {}), (*path, "settings"))
        return None
    for key in ("description", "expect"):
        if getattr(form, key) is None:
            checker.add((*path, key), "the key is missing")
    if form.guard is not None:
        checker.add((*path, "guard"), "it is for what comes before a case; the suite says what is tested")
    made = make(checker, form, path, guard, tests_guard=tests_guard)
    _check_near(checker, form, path, made)
    before = []
    for position, patched in enumerate(value.get("before", ())):
        place = (*path, "before", position)
        earlier = checker.check(CaseForm, patched, place, literal=True)
        before.append(None if earlier is None else make(checker, earlier, place, guard, tests_guard=tests_guard))
    if made is None or None in before or form.description is None:
        return None
    return LoadedCase(
        description=form.description,
        line=document.line(path) or 1,
        form=form,
        made=made,
        before=tuple(each for each in before if each is not None),
    )


def _check_near(checker: Checker, form: CaseForm, path: tuple[str | int, ...], made: Made | None) -> None:
    if form.near_rules and form.expect is not None and form.expect.verdict not in ("allow", "modify"):
        checker.add((*path, "near"), "a near miss passes; its verdict is allow or modify")
    if made is None or made.bound is None or (rules := made.bound.rules) is None:
        return
    for rule in form.near_rules:
        if rule not in rules:
            checker.add((*path, "near"), f'"{rule}" is no rule of the guard; its rules are {", ".join(sorted(rules))}')


def _check_unique(checker: Checker, document: Document) -> None:
    seen: dict[str, int] = {}
    for index, case in enumerate(document.value["cases"]):
        name = case.get("description")
        if isinstance(name, str) and seen.setdefault(name, index) != index:
            checker.add(("cases", index, "description"), f"it is the description of cases[{seen[name]}] too")


def _each_once(problems: Iterable[Problem]) -> list[Problem]:
    """Problems without those of a template that cases have inherited."""
    found: dict[tuple[int | None, str], Problem] = {}
    for problem in problems:
        found.setdefault((problem.line, problem.message), problem)
    return list(found.values())
