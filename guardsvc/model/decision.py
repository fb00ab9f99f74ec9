"""Decision: what the chain concluded about an operation, with every guard's part in it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from guardsvc.model.guard import ErrorKind, Mode, Tier
from guardsvc.model.operation import Operation
from guardsvc.model.verdict import Finding

__all__ = ["Decision", "GuardOutcome", "VerdictName"]

VerdictName = Literal["allow", "deny", "modify", "pending"]


class GuardOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One guard's part in a decision.

    Attributes:
        guard: id of the guard in the policy.
        type: name of the guard type.
        tier: the tier it ran in.
        mode: its own mode; a shadow outcome was never applied.
        verdict: what it said, or what its failure mode made of a failure.
        code: reason code of a denial, else None.
        message: message of a denial or of a failure; a failure's is for operators only.
        details: extra members for ``error.data`` of a denial.
        error: why it could not answer, or None.
        findings: what it noticed.
        duration: seconds of wall time.
    """

    guard: str
    type: str
    tier: Tier
    mode: Mode
    verdict: VerdictName
    code: str | None = None
    message: str = ""
    details: dict[str, Any] = {}
    error: ErrorKind | None = None
    findings: tuple[Finding, ...] = ()
    duration: float = 0.0


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was concluded about one operation.

    Attributes:
        id: unique, sorts by time.
        operation: the operation as it was asked about.
        verdict: the conclusion. Under ``mode: shadow`` it is what would have happened.
        mode: mode of the policy.
        code: reason code when denied or pending, else None.
        message: sentence for the client when denied or pending.
        details: extra members for ``error.data``.
        payload: the payload to go on with when the verdict is modify.
        guard: id of the guard that denied or asked for approval, None where the engine did.
        outcomes: every guard that ran, in the order it ran.
        earlier: what guards of another policy noticed before, as the caller tells; it decides nothing here.
        policy_hash: hash of the policy that decided.
        duration: seconds of wall time.
        digests: what the audit keeps of the payload, where another process read it and it is not here.
    """

    id: str
    operation: Operation
    verdict: VerdictName
    mode: Mode
    code: str | None = None
    message: str = ""
    details: dict[str, Any] = {}
    payload: Any = None
    guard: str | None = None
    outcomes: tuple[GuardOutcome, ...] = ()
    earlier: tuple[Finding, ...] = ()
    policy_hash: str = ""
    duration: float = 0.0
    digests: dict[str, Any] | None = None

    @property
    def applied(self) -> VerdictName:
        """What the gateway is told: the verdict, or allow under ``mode: shadow``."""
        return "allow" if self.mode is Mode.SHADOW else self.verdict

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings of all guards in the order they ran, those of other policies first."""
        return self.earlier + tuple(finding for outcome in self.outcomes for finding in outcome.findings)
