"""Refusals: the rules of the guard, each with its reason code, and the denials they give."""

from __future__ import annotations

from typing import Any

import msgspec

from guardsvc.model import Deny, Finding, Severity, reason_for

__all__ = [
    "ACCEPT",
    "CLIENT_ANSWER",
    "HEADER_MISSING",
    "INPUT_MISPLACED",
    "KIND_OF_METHOD",
    "METHOD_OF_OTHER_REVISION",
    "METHOD_OF_SERVER",
    "METHOD_UNKNOWN",
    "PARAMS_META",
    "PARAMS_SHAPE",
    "PARAM_HEADER",
    "REVISION_NOT_ACCEPTED",
    "REVISION_UNKNOWN",
    "RULES",
    "Rule",
    "refuse",
]


class Rule(msgspec.Struct, frozen=True):
    """One rule.

    Attributes:
        id: rule id of findings.
        code: reason code of the denial.
        severity: how bad breaking it is.
        threats: threat ids.
    """

    id: str
    code: str
    severity: Severity = Severity.LOW
    threats: tuple[str, ...] = ()


REVISION_UNKNOWN = Rule("revision_unknown", "unsupported_version", Severity.INFO)
REVISION_NOT_ACCEPTED = Rule("revision_not_accepted", "unsupported_version", Severity.INFO)
METHOD_UNKNOWN = Rule("method_unknown", "unknown_method")
METHOD_OF_OTHER_REVISION = Rule("method_of_other_revision", "method_not_allowed")
METHOD_OF_SERVER = Rule("method_of_server", "method_not_allowed")
KIND_OF_METHOD = Rule("kind_of_method", "kind_not_allowed")
CLIENT_ANSWER = Rule("client_answer", "kind_not_allowed")
HEADER_MISSING = Rule("header_missing", "header_missing", Severity.MEDIUM, ("MCP07",))
ACCEPT = Rule("accept", "invalid_header", Severity.INFO)
PARAM_HEADER = Rule("param_header", "header_mismatch", Severity.MEDIUM, ("MCP07",))
PARAMS_META = Rule("params_meta", "invalid_params")
PARAMS_SHAPE = Rule("params_shape", "invalid_params", Severity.LOW, ("MCP05",))
INPUT_MISPLACED = Rule("input_misplaced", "invalid_params", Severity.MEDIUM, ("MCP07",))

RULES = (
    REVISION_UNKNOWN,
    REVISION_NOT_ACCEPTED,
    METHOD_UNKNOWN,
    METHOD_OF_OTHER_REVISION,
    METHOD_OF_SERVER,
    KIND_OF_METHOD,
    CLIENT_ANSWER,
    HEADER_MISSING,
    ACCEPT,
    PARAM_HEADER,
    PARAMS_META,
    PARAMS_SHAPE,
    INPUT_MISPLACED,
)
"""Every rule, in the order they are checked."""


def refuse(rule: Rule, what: str = "", *, where: str = "", details: dict[str, Any] | None = None) -> Deny:
    """The denial of a rule.

    Args:
        rule: the rule that is broken.
        what: member or header and what it must be; never a value of the message.
        where: JSON pointer into the payload.
        details: members for ``error.data``.
    """
    text = reason_for(rule.code).text
    finding = Finding(rule=rule.id, severity=rule.severity, where=where, threats=rule.threats)
    return Deny(
        code=rule.code,
        message=f"{text.removesuffix('.')}: {what}." if what else text,
        details=details or {},
        findings=(finding,),
    )
