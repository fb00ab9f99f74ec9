"""Rules: what the guard finds, and how bad it is unless the operator says otherwise."""

from __future__ import annotations

from enum import StrEnum

from guardsvc.guards.native.secrets.rules import CANARY, NAMED
from guardsvc.guards.native.secrets.rules import RULES as SECRET_RULES
from guardsvc.guards.native.secrets.scanner import TOO_MANY
from guardsvc.model import Severity

__all__ = ["CODE", "GUESSED", "MORE", "PERSONAL", "RULES", "SECRETS", "SECRET_THREATS", "THREATS", "Personal"]

CODE = "data_leak_detected"
MORE = "more_findings"
"""Rule of the finding that stands for those which are not reported."""
SECRET_THREATS = ("SAF-T1503", "MCP01", "MCP10")
THREATS = ("SAF-T1502", "MCP10")


class Personal(StrEnum):
    """A kind of personal data."""

    EMAIL = "email_address"
    PHONE = "phone_number"
    CARD = "payment_card"
    IBAN = "iban"
    US_SSN = "us_ssn"
    UK_NINO = "uk_nino"
    IP_ADDRESS = "ip_address"
    PASSPORT = "passport_number"


PERSONAL: dict[str, Severity] = {
    Personal.EMAIL: Severity.LOW,
    Personal.PHONE: Severity.LOW,
    Personal.CARD: Severity.HIGH,
    Personal.IBAN: Severity.MEDIUM,
    Personal.US_SSN: Severity.HIGH,
    Personal.UK_NINO: Severity.HIGH,
    Personal.IP_ADDRESS: Severity.LOW,
    Personal.PASSPORT: Severity.HIGH,
}
SECRETS: dict[str, Severity] = {rule: severity for rule, severity in SECRET_RULES.items() if rule != CANARY}
GUESSED = frozenset({NAMED, "assigned_secret"})
"""Credentials that are told by the name beside them, not by their own form."""
RULES: dict[str, Severity] = {**SECRETS, **PERSONAL, MORE: Severity.HIGH, TOO_MANY: Severity.HIGH}
"""Every rule, with the severity of its findings."""
