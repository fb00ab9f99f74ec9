"""Described: what the log and the audit record both say of a decision, bounded whatever a client sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.model import SubjectKind

if TYPE_CHECKING:
    from guardsvc.model import Decision, Operation

__all__ = ["MAX_RULES", "cut", "described"]

MAX_TEXT = 256
MAX_RULES = 16


def described(decision: Decision) -> dict[str, Any]:
    """The decision in fields, with None for what is not there."""
    operation, caller = decision.operation, decision.operation.caller
    findings = decision.findings
    detail = decision.details.get("detail")
    return {
        "decision_id": decision.id,
        "verdict": decision.verdict,
        "applied": decision.applied,
        "reason": decision.code,
        "guard": decision.guard,
        "rules": [cut(finding.rule) for finding in findings[:MAX_RULES]] if findings else None,
        "protocol": operation.protocol.value,
        "phase": operation.phase.value,
        "method": cut(operation.method),
        "server": operation.server,
        "subject": _subject(operation),
        "tenant": cut(caller.tenant),
        "principal": cut(caller.principal),
        "verified": caller.verified,
        "detail": cut(str(detail)) if detail else None,
        "policy": decision.policy_hash,
    }


def cut(text: str | None) -> str | None:
    """The text, of at most 256 characters and a mark where it was longer."""
    return text if text is None or len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


def _subject(operation: Operation) -> str | None:
    """The subject. Of a resource's URI neither user information nor query, where credentials travel."""
    subject = operation.subject
    if subject is not None and operation.subject_kind is SubjectKind.RESOURCE:
        subject = _without_credentials(subject)
    return cut(subject)


def _without_credentials(uri: str) -> str:
    for mark in ("?", "#"):
        head, found, _ = uri.partition(mark)
        uri = f"{head}{found}…" if found else uri
    scheme, found, rest = uri.partition("://")
    authority, slash, path = rest.partition("/")
    if found and "@" in authority:
        uri = f"{scheme}://…@{authority.rpartition('@')[2]}{slash}{path}"
    return uri
