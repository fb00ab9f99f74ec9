"""Findings: checks of what a configuration says about them, the actions of rules and the exceptions."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from guardsvc.model import Globs, GuardType, RuleAction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.config import Checker
    from guardsvc.config.problems import Path
    from guardsvc.policy.exceptions import ExceptionSettings
    from guardsvc.policy.settings import GuardEntry, PolicySettings

__all__ = ["check_actions", "check_exceptions"]

MAX_NAMED = 5
"""Rules that a problem names at most."""


def check_actions(
    entry: GuardEntry, guard_type: GuardType[Any], rules: frozenset[str] | None, checker: Checker, path: Path
) -> None:
    """Note every action of a rule that the guard does not have or cannot carry out.

    Args:
        entry: the guard in the configuration.
        guard_type: its type.
        rules: ids of its rules, None where they are not known beforehand.
        checker: collects the problems.
        path: of the guard's ``rules``.
    """
    if entry.rules and not guard_type.suppressible:
        checker.add(path, f"a guard of type {guard_type.name} decides by its settings alone; its rules take no actions")
        return
    for rule, of_rule in entry.rules.items():
        if rules is not None and rule not in rules:
            near = get_close_matches(rule, sorted(rules), n=3) or sorted(rules)[:MAX_NAMED]
            more = ", …" if len(near) < len(rules) else ""
            checker.add((*path, rule), f'"{rule}" is no rule of the guard; its rules are {", ".join(near)}{more}')
        if of_rule.action is not RuleAction.DENY and rule in guard_type.unexceptable:
            checker.add(
                (*path, rule, "action"),
                f'"{of_rule.action}" is not deny: a finding of "{rule}" says that not all was looked at',
            )
        elif of_rule.action is RuleAction.REDACT and not guard_type.redacts:
            checker.add(
                (*path, rule, "action"),
                f'"redact" is not one of deny, log: a guard of type {guard_type.name} cannot redact',
            )


def check_exceptions(
    settings: PolicySettings, registry: Mapping[str, GuardType[Any]], checker: Checker, path: Path
) -> None:
    """Note every exception that cannot set any finding aside, or whose id another one has.

    Args:
        settings: of the policy.
        registry: the guard types by name.
        checker: collects the problems.
        path: of the exceptions.
    """
    guards = {entry.name: registry[entry.type] for entry in settings.guards}
    seen: dict[str, int] = {}
    for index, entry in enumerate(settings.exceptions):
        name = entry.id or f"exceptions[{index}]"
        if name in seen:
            checker.add((*path, index, "id"), f'"{name}" is the id of exceptions[{seen[name]}] too')
        seen.setdefault(name, index)
        _check_server(entry, settings, checker, (*path, index, "server"))
        _check_guard(entry, guards, checker, (*path, index))


def _check_server(entry: ExceptionSettings, settings: PolicySettings, checker: Checker, path: Path) -> None:
    if entry.server is not None and not any(map(Globs((entry.server,)).match, settings.servers)):
        legal = ", ".join(sorted(settings.servers)) or "none, since the policy declares no servers"
        checker.add(path, f'"{entry.server}" matches no server; declared are: {legal}')


def _check_guard(entry: ExceptionSettings, guards: Mapping[str, GuardType[Any]], checker: Checker, path: Path) -> None:
    named = [
        guard_type for name, guard_type in guards.items() if entry.guard is None or Globs((entry.guard,)).match(name)
    ]
    if of := sorted({guard_type.name for guard_type in named if entry.rule in guard_type.unexceptable}):
        checker.add(
            (*path, "rule"),
            f'"{entry.rule}" of {", ".join(of)} says that not all was looked at; no exception can set it aside',
        )
    legal = ", ".join(name for name, guard_type in guards.items() if guard_type.suppressible)
    legal = legal or "none, since the policy has no guard that acts on findings"
    if entry.guard is None:
        if not any(guard_type.suppressible for guard_type in guards.values()):
            checker.add(path, f"no guard's findings can be excepted; guards whose findings can: {legal}")
        return
    if any(guard_type.suppressible for guard_type in named):
        return
    types = ", ".join(sorted({guard_type.name for guard_type in named}))
    why = f"is of type {types}, which decides by its settings alone" if named else "matches no guard"
    checker.add((*path, "guard"), f'"{entry.guard}" {why}; guards whose findings can be excepted: {legal}')
