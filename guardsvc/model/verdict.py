"""Verdict: what one guard says of one operation, and the findings behind it."""

from __future__ import annotations

from typing import Any

import msgspec

from guardsvc.model.word import Word

__all__ = ["ALLOW", "Allow", "Deny", "Finding", "Modify", "Pending", "Severity", "Verdict"]


class Severity(Word):
    """How bad a finding is, in rising order."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something a guard noticed, whether or not it acts on it.

    Attributes:
        rule: id of the rule, unique in its guard.
        severity: how bad it is.
        where: JSON pointer (RFC 6901) into the operation's payload; empty for the whole.
        threats: threat ids (``SAF-T1102``, ``MCP05``, ...).
        excerpt: the text that matched, masked; empty where showing it would leak.
        suppressed_by: id of the policy's exception that sets it aside, empty where it counts. The
            engine says so; what a guard says here is not heeded.
    """

    rule: str
    severity: Severity
    where: str = ""
    threats: tuple[str, ...] = ()
    excerpt: str = ""
    suppressed_by: str = ""


class Allow(msgspec.Struct, frozen=True, kw_only=True):
    """The guard has no objection. With findings it is what other systems call a warning."""

    findings: tuple[Finding, ...] = ()


class Deny(msgspec.Struct, frozen=True, kw_only=True):
    """The guard refuses the operation.

    Attributes:
        code: stable reason code in snake_case (see ``model.reasons``).
        message: one sentence for the client. It names the kind of refusal and never tells whether
            a hidden tool exists nor repeats a value.
        details: extra members for ``error.data``, safe to show to the client.
    """

    code: str
    message: str
    details: dict[str, Any] = {}
    findings: tuple[Finding, ...] = ()


class Modify(msgspec.Struct, frozen=True, kw_only=True):
    """The guard wants the operation to go on with another payload of the same shape."""

    payload: Any
    findings: tuple[Finding, ...] = ()


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A person must decide first.

    Attributes:
        approval: what to approve, as the approver's system names it.
        message: one sentence for the client.
    """

    approval: str
    message: str
    findings: tuple[Finding, ...] = ()


Verdict = Allow | Deny | Modify | Pending

ALLOW = Allow()
