"""The guard: every value that a client sends, judged by what its field is for."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from guardsvc.guards.native.arguments import Sent, sent_texts
from guardsvc.guards.native.sandbox_escape.detector import Detector
from guardsvc.guards.native.sandbox_escape.examiner import Examiner
from guardsvc.guards.native.sandbox_escape.fields import Fields
from guardsvc.guards.native.sandbox_escape.rules import RULES
from guardsvc.guards.native.sandbox_escape.search import Search
from guardsvc.guards.native.sandbox_escape.settings import SandboxEscapeSettings
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Facts,
    Finding,
    GuardContext,
    GuardType,
    Operation,
    SettingsError,
    Severity,
    SubjectKind,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["CODE", "MESSAGE", "SANDBOX_ESCAPE", "SandboxEscape"]

CODE = "sandbox_escape_detected"
MESSAGE = "An argument tries to leave what the tool is meant for."

_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class SandboxEscape:
    """The guard; see ``SandboxEscapeSettings``."""

    def __init__(self, settings: SandboxEscapeSettings, context: GuardContext) -> None:
        _check_disabled(settings.disabled_rules)
        rules = _rules(settings)
        self._deny_rank = _RANKS[settings.deny_from]
        self._schemas = context.input_schemas
        self._fields = Fields(settings.fields, context.input_schemas)
        self._examiner = Examiner(settings, _detector(rules), rules)

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Judge the values; an operation without any is allowed."""
        del facts
        values = self._by_role(operation)
        if not values:
            return ALLOW
        search = Search(self._examiner)
        search.look(values)
        return self._verdict(search.findings)

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the guard says of the operation if these of its findings are all there is."""
        del operation
        return self._verdict(findings)

    def _by_role(self, operation: Operation) -> dict[int, list[Sent]]:
        """Strings by the role of their field, those inside of strings of JSON too, with where they stand."""
        tool = None
        if operation.subject_kind is SubjectKind.TOOL and operation.server and operation.subject:
            tool = (operation.server, operation.subject)
        schema = self._schemas.get((operation.server or "", operation.subject or ""))
        return self._fields.by_role(operation, tool, sent_texts(operation, schema, beside=True))

    def _verdict(self, findings: Collection[Finding]) -> Verdict:
        found = tuple(findings)
        if any(_RANKS[finding.severity] >= self._deny_rank for finding in found):
            return Deny(code=CODE, message=MESSAGE, findings=found)
        return Allow(findings=found) if found else ALLOW


@lru_cache(maxsize=4)
def _detector(rules: frozenset[str]) -> Detector:
    """The detector of some rules, once for all policies of a process: at a reload decisions would wait for it."""
    return Detector(rules)


def _check_disabled(disabled: Iterable[str]) -> None:
    for index, rule in enumerate(disabled):
        if rule not in RULES:
            raise SettingsError(("disabled_rules", index), f'"{rule}" is not one of {", ".join(sorted(RULES))}')


def _rules(settings: SandboxEscapeSettings) -> frozenset[str]:
    """Ids of the rules that a guard of these settings has."""
    return frozenset(RULES) - frozenset(settings.disabled_rules)


SANDBOX_ESCAPE: GuardType[Any] = GuardType(
    name="sandbox_escape",
    settings=SandboxEscapeSettings,
    build=SandboxEscape,
    code=CODE,
    rules=_rules,
    unexceptable=frozenset({"too_much_to_examine"}),
    summary="Refuses arguments and URIs that try to leave the tool's sandbox.",
)
