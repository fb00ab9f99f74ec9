"""Rules: what the guard notices, and how each is told."""

from __future__ import annotations

import msgspec

from guardsvc.model import Finding, Severity

__all__ = ["DETECTED", "INVALID", "MISSING", "ORIGIN", "RULES", "SESSION", "Rule", "found"]

DETECTED = "auth_bypass_detected"
MISSING = "authorization_missing"
INVALID = "authorization_invalid"
ORIGIN = "origin_not_allowed"
SESSION = "session_mismatch"

_SPOOFED = ("MCP07",)
_PASSED_ON = ("SAF-T1308", "MCP01")
_DEPUTY = ("SAF-T1307", "MCP07")
_HIJACKED = ("SAF-T1706", "MCP07")


class Rule(msgspec.Struct, frozen=True):
    """A rule.

    Attributes:
        id: name in findings.
        code: reason code of the denial; empty where a finding alone is no reason to deny.
        severity: of the finding.
        threats: of the finding.
    """

    id: str
    code: str
    severity: Severity
    threats: tuple[str, ...]


RULES: dict[str, Rule] = {
    rule.id: rule
    for rule in (
        Rule("framing_conflict", DETECTED, Severity.CRITICAL, _SPOOFED),
        Rule("header_conflict", DETECTED, Severity.HIGH, _SPOOFED),
        Rule("identity_header", DETECTED, Severity.HIGH, _SPOOFED),
        Rule("override_header", DETECTED, Severity.HIGH, _SPOOFED),
        Rule("authorization_missing", MISSING, Severity.MEDIUM, _SPOOFED),
        Rule("authorization_repeated", INVALID, Severity.HIGH, _SPOOFED),
        Rule("authorization_malformed", INVALID, Severity.MEDIUM, _SPOOFED),
        Rule("scheme_not_allowed", INVALID, Severity.MEDIUM, _SPOOFED),
        Rule("jwt_malformed", INVALID, Severity.MEDIUM, _SPOOFED),
        Rule("jwt_unsigned", INVALID, Severity.CRITICAL, _SPOOFED),
        Rule("jwt_algorithm", INVALID, Severity.HIGH, _SPOOFED),
        Rule("jwt_key", INVALID, Severity.HIGH, _SPOOFED),
        Rule("jwt_expected", INVALID, Severity.MEDIUM, _SPOOFED),
        Rule("jwt_unverified", INVALID, Severity.HIGH, _SPOOFED),
        Rule("jwt_issuer", INVALID, Severity.HIGH, _DEPUTY),
        Rule("jwt_audience", INVALID, Severity.HIGH, _DEPUTY),
        Rule("token_in_query", DETECTED, Severity.MEDIUM, _PASSED_ON),
        Rule("token_in_arguments", DETECTED, Severity.HIGH, _PASSED_ON),
        Rule("path_dot_segment", DETECTED, Severity.HIGH, _SPOOFED),
        Rule("path_encoded_separator", DETECTED, Severity.HIGH, _SPOOFED),
        Rule("path_double_encoding", DETECTED, Severity.HIGH, _SPOOFED),
        Rule("path_encoding", DETECTED, Severity.MEDIUM, _SPOOFED),
        Rule("path_ambiguous", DETECTED, Severity.MEDIUM, _SPOOFED),
        Rule("path_case", DETECTED, Severity.MEDIUM, _SPOOFED),
        Rule("origin", ORIGIN, Severity.HIGH, _SPOOFED),
        Rule("host", ORIGIN, Severity.HIGH, _SPOOFED),
        Rule("session_malformed", DETECTED, Severity.MEDIUM, _HIJACKED),
        Rule("session_of_other", SESSION, Severity.HIGH, _HIJACKED),
        Rule("session_not_bound", "", Severity.LOW, _HIJACKED),
    )
}


def found(rule: str, excerpt: str = "", where: str = "") -> Finding:
    """A finding of a rule; the excerpt names a header, a member or a form, never a value."""
    row = RULES[rule]
    return Finding(rule=rule, severity=row.severity, where=where, threats=row.threats, excerpt=excerpt[:128])
