"""The guard: every text of a server's message, and one verdict on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.guards.native.result_injection.annotate import annotated
from guardsvc.guards.native.result_injection.judge import RANKS, Judge
from guardsvc.guards.native.result_injection.pack import load_pack
from guardsvc.guards.native.result_injection.settings import Action, ResultInjectionSettings
from guardsvc.guards.native.results import shown_values
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Direction,
    Facts,
    Finding,
    GuardContext,
    GuardType,
    Modify,
    Operation,
    SettingsError,
    Severity,
    Verdict,
    reason_for,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["CODE", "MAX_FINDINGS", "RESULT_INJECTION", "WEIGHTS", "ResultInjection"]

CODE = "result_injection_detected"
MAX_FINDINGS = 64
"""Findings of one message that are reported; the verdict is made of all."""
MORE = "more_findings"
"""Rule of the finding that stands for those which are not reported."""
TOO_MUCH = "too_much_text"

WEIGHTS = {Severity.INFO: 0.0, Severity.LOW: 0.35, Severity.MEDIUM: 0.65, Severity.HIGH: 0.9, Severity.CRITICAL: 0.98}
"""How sure a finding is that the text is an attack."""

_UNEXCEPTABLE = frozenset({TOO_MUCH, MORE})


class ResultInjection:
    """The guard; see ``ResultInjectionSettings``."""

    def __init__(self, settings: ResultInjectionSettings, context: GuardContext) -> None:
        del context
        _check(settings)
        self._settings = settings
        self._judge = Judge(settings.disabled_rules, documents=settings.documents == "lenient")

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Judge what a server shows."""
        del facts
        if operation.direction is not Direction.RESPONSE or not operation.payload:
            return ALLOW
        shown = [each for each in shown_values(operation) if type(each.value) is str]
        if not shown:
            return ALLOW
        if sum([len(each.value) for each in shown if isinstance(each.value, str)]) > self._settings.max_text:
            finding = Finding(rule=TOO_MUCH, severity=Severity.HIGH, threats=("SAF-T2102", "MCP10"))
            return self._verdict(operation, (finding,))
        return self._verdict(operation, self._counting(self._judge.findings(shown)))

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the guard says if these of its findings are all there is."""
        return self._verdict(operation, self._counting(findings))

    def _counting(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """The findings of texts that reach the review threshold, the worst first."""
        counting = [
            finding
            for found in _by_text(findings).values()
            if _score(found) >= self._settings.review_threshold
            for finding in found
        ]
        counting.sort(key=lambda finding: -RANKS[finding.severity])
        left = counting[MAX_FINDINGS:]
        if not left:
            return tuple(counting)
        more = Finding(rule=MORE, severity=left[0].severity, excerpt=f"{len(left)} more findings are not reported")
        return (*counting[:MAX_FINDINGS], more)

    def _verdict(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        if not findings:
            return ALLOW
        by_text = _by_text(findings)
        blocked = [where for where, found in by_text.items() if _score(found) >= self._settings.block_threshold]
        reviewed = [where for where in by_text if where not in blocked]
        actions: dict[Action, list[str]] = {"log": [], "annotate": [], "deny": []}
        actions[self._settings.block_action] += blocked
        actions[self._settings.review_action] += reviewed
        if not actions["deny"]:
            if not actions["annotate"]:
                return Allow(findings=findings)
            payload: Any = annotated(operation, actions["annotate"])
            if payload is not None:
                return Modify(payload=payload, findings=findings)
        return Deny(code=CODE, message=reason_for(CODE).text, findings=findings)


def _by_text(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    by_text: dict[str, list[Finding]] = {}
    for finding in findings:
        by_text.setdefault(finding.where, []).append(finding)
    return by_text


def _score(findings: Collection[Finding]) -> float:
    """Noisy-or: the chance that at least one of the findings is right, if they were independent."""
    innocent = 1.0
    for finding in findings:
        innocent *= 1.0 - WEIGHTS[finding.severity]
    return 1.0 - innocent


def _check(settings: ResultInjectionSettings) -> None:
    known = {rule.id for rule in load_pack().rules} - _UNEXCEPTABLE
    for index, rule in enumerate(settings.disabled_rules):
        if rule not in known:
            raise SettingsError(("disabled_rules", index), f'"{rule}" is not one of {", ".join(sorted(known))}')
    if settings.review_threshold > settings.block_threshold:
        raise SettingsError(("review_threshold",), "the review threshold is above the block threshold")


def _rules(settings: ResultInjectionSettings) -> frozenset[str]:
    """Ids of the rules that a guard of these settings has."""
    return frozenset({rule.id for rule in load_pack().rules} - set(settings.disabled_rules) | {MORE})


RESULT_INJECTION = GuardType(
    name="result_injection",
    settings=ResultInjectionSettings,
    build=ResultInjection,
    runs_on=frozenset({Direction.RESPONSE}),
    code=CODE,
    rules=_rules,
    unexceptable=_UNEXCEPTABLE,
    summary="Refuses answers of servers that give the model orders or hide text.",
)
