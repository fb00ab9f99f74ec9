"""The guard: refuses what exceeds a limit, by the limits of the tool that is called or of all."""

from __future__ import annotations

from collections.abc import Collection

from guardsvc.guards.native.argument_limits.settings import ArgumentLimitsSettings, Limits
from guardsvc.guards.native.argument_limits.walk import MORE_ERRORS, RULES, Bounds, Excess
from guardsvc.model import (
    ALLOW,
    Deny,
    Facts,
    Finding,
    Globs,
    GuardContext,
    GuardType,
    Operation,
    Settings,
    Severity,
    SubjectKind,
    Verdict,
    reason_for,
)

__all__ = ["ARGUMENT_LIMITS", "ArgumentLimits"]

_DISGUISES = frozenset({"nul", "control_character", "bidi_control"})
_MANY = ("SAF-T1106", "MCP08")
_HIDDEN = ("SAF-T1402", "MCP05")


class ArgumentLimits:
    """The guard; see ``ArgumentLimitsSettings``."""

    def __init__(self, settings: ArgumentLimitsSettings, context: GuardContext) -> None:
        del context
        self._bounds = Bounds(settings)
        self._tools = tuple(
            (Globs((name,)), Bounds(_over(settings, limits))) for name, limits in settings.tools.items()
        )

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Hold the whole payload against the limits."""
        del facts
        payload = operation.payload
        if type(payload) is not dict:
            return ALLOW
        excesses = self._of(operation).excesses(payload)
        return _refusal(excesses) if excesses else ALLOW

    def _of(self, operation: Operation) -> Bounds:
        if self._tools and operation.subject_kind is SubjectKind.TOOL:
            for tools, bounds in self._tools:
                if tools.match(operation.subject):
                    return bounds
        return self._bounds


def _over(settings: ArgumentLimitsSettings, limits: Limits) -> Limits:
    return settings.model_copy(update={name: getattr(limits, name) for name in limits.model_fields_set})


def _refusal(excesses: list[Excess]) -> Deny:
    rules = list(dict.fromkeys(excess.rule for excess in excesses))
    return Deny(
        code="argument_limit",
        message=f"{reason_for('argument_limit').text.removesuffix('.')}: {rules[0]}.",
        details={"rules": rules},
        findings=tuple(_finding(excess) for excess in excesses),
    )


def _finding(excess: Excess) -> Finding:
    hidden = excess.rule in _DISGUISES
    return Finding(
        rule=excess.rule,
        severity=Severity.MEDIUM if hidden else Severity.LOW,
        where=excess.where,
        threats=_HIDDEN if hidden else _MANY,
    )


def _rules(settings: Settings) -> Collection[str]:
    del settings
    return RULES


ARGUMENT_LIMITS = GuardType(
    name="argument_limits",
    settings=ArgumentLimitsSettings,
    build=ArgumentLimits,
    code="argument_limit",
    rules=_rules,
    unexceptable=frozenset({MORE_ERRORS}),
    summary="Refuses what is too large, too deep or too long, numbers out of range, and control characters.",
)
