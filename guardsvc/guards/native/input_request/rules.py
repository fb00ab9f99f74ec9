"""Rules of ``input_request``: severity and threat ids of the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.model import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RULES", "TOO_LARGE", "finding"]

TOO_LARGE = "too_large"
"""Rule of the finding that stands for what was not looked at."""

_PHISHING = ("MCP01", "AML.T0052")
_SAMPLING = ("SAF-T1112", "MCP06")
_STATE = ("MCP07",)

RULES: Mapping[str, tuple[Severity, tuple[str, ...]]] = {
    "not_allowed": (Severity.HIGH, ("MCP06",)),
    "unknown_request": (Severity.HIGH, ("MCP06",)),
    "too_many_requests": (Severity.MEDIUM, ("SAF-T1403", "MCP02")),
    TOO_LARGE: (Severity.HIGH, ("SAF-T2102", "MCP10")),
    "asks_for_secret": (Severity.HIGH, _PHISHING),
    "message_about_secret": (Severity.MEDIUM, _PHISHING),
    "malformed_url": (Severity.HIGH, _PHISHING),
    "unsafe_scheme": (Severity.HIGH, _PHISHING),
    "insecure_url": (Severity.MEDIUM, _PHISHING),
    "url_userinfo": (Severity.HIGH, _PHISHING),
    "url_address": (Severity.HIGH, _PHISHING),
    "url_punycode": (Severity.HIGH, _PHISHING),
    "lookalike_host": (Severity.HIGH, _PHISHING),
    "unlisted_host": (Severity.HIGH, _PHISHING),
    "include_context": (Severity.HIGH, _SAMPLING),
    "max_tokens": (Severity.HIGH, _SAMPLING),
    "sampling_tools": (Severity.LOW, _SAMPLING),
    "covert_instructions": (Severity.HIGH, _SAMPLING),
    "doubtful_instructions": (Severity.MEDIUM, _SAMPLING),
    "broad_root": (Severity.LOW, ("SAF-T1105", "MCP02")),
    "secret_in_answer": (Severity.HIGH, ("SAF-T1911", "MCP01")),
    "foreign_state": (Severity.HIGH, _STATE),
    "unknown_state": (Severity.LOW, _STATE),
}


def finding(rule: str, where: str, told: str = "") -> Finding:
    """A finding of a rule."""
    severity, threats = RULES[rule]
    return Finding(rule=rule, severity=severity, where=where, threats=threats, excerpt=told)
