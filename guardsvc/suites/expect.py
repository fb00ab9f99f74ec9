"""Expect: what is found held against what a case expects, each difference in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.model import Finding
    from guardsvc.suites.form import Expectation, FindingForm
    from guardsvc.suites.observe import Observed

__all__ = ["differences"]

MAX_SHOWN = 400

_canonical = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode


def differences(
    expected: Expectation, observed: Observed, *, guard_alone: bool, near: tuple[str, ...] = ()
) -> list[str]:
    """Every difference; none where the case passes.

    Args:
        expected: what the case says.
        observed: what came of it.
        guard_alone: whether one guard is tested: where an allow says nothing of findings there are none.
        near: ids of the rules that it is a near miss of, and that must find nothing.
    """
    found = list(_differences(expected, observed, guard_alone=guard_alone))
    fired = {finding.rule for _, finding in observed.findings}
    found += [f"near: {rule} finds something in it" for rule in near if rule in fired]
    if found or expected.code is None:
        found += observed.failures
    return found


def _differences(expected: Expectation, observed: Observed, *, guard_alone: bool) -> Iterator[str]:
    for name in ("verdict", "applied", "code", "guard"):
        if (wanted := getattr(expected, name)) is not None:
            yield from _unequal(name, wanted, getattr(observed, name))
    for name in ("message", "details", "payload"):
        if name in expected.model_fields_set:
            yield from _unequal(name, getattr(expected, name), getattr(observed, name))
    rules = [finding.rule for _, finding in observed.findings]
    wanted_rules = _rules(expected)
    says_nothing = wanted_rules is None and expected.findings is None and expected.includes is None
    if says_nothing and guard_alone and expected.verdict == "allow":
        wanted_rules = []
    if wanted_rules is not None:
        yield from _unequal("rules", wanted_rules, rules)
    if missing := [rule for rule in expected.includes or () if rule not in rules]:
        yield f"rules: {_shown(missing)} not among {_shown(rules)}"
    if expected.where is not None:
        yield from _unequal("where", expected.where, observed.findings[0][1].where if observed.findings else None)
    if expected.findings is not None:
        yield from _finding_differences(expected.findings, observed.findings)


def _rules(expected: Expectation) -> list[str] | None:
    if expected.rule is not None:
        return [expected.rule]
    return None if expected.rules is None else list(expected.rules)


def _finding_differences(expected: tuple[FindingForm, ...], observed: tuple[tuple[str, Finding], ...]) -> Iterator[str]:
    if len(expected) != len(observed):
        yield from _unequal("findings", [wanted.rule for wanted in expected], [found.rule for _, found in observed])
        return
    for index, (wanted, (guard, found)) in enumerate(zip(expected, observed, strict=True)):
        actual = {**msgspec.structs.asdict(found), "guard": guard}
        for name in wanted.model_fields_set:
            value = getattr(wanted, name)
            yield from _unequal(f"findings[{index}].{name}", value, actual[name])


def _unequal(name: str, expected: Any, found: Any) -> Iterator[str]:
    """The difference of two values; to JSON ``true``, ``1`` and ``1.0`` are three."""
    if _canonical(expected) != _canonical(found):
        yield f"{name}: expected {_shown(expected)}, found {_shown(found)}"


def _shown(value: Any) -> str:
    text = _canonical(value).decode("utf-8", "replace")
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
