"""Rules: what the guard finds."""

from __future__ import annotations

from guardsvc.model import Severity

__all__ = ["CANARY", "CODE", "NAMED", "RULES", "THREATS"]

CODE = "secret_detected"
THREATS = ("SAF-T1911", "MCP01")

CANARY = "canary"
NAMED = "named_secret"

RULES: dict[str, Severity] = {
    CANARY: Severity.CRITICAL,
    "private_key": Severity.CRITICAL,
    "age_key": Severity.CRITICAL,
    "github_token": Severity.CRITICAL,
    "gitlab_token": Severity.HIGH,
    "npm_token": Severity.CRITICAL,
    "pypi_token": Severity.CRITICAL,
    "aws_access_key": Severity.HIGH,
    "google_api_key": Severity.HIGH,
    "slack_token": Severity.HIGH,
    "slack_webhook": Severity.HIGH,
    "discord_webhook": Severity.HIGH,
    "stripe_key": Severity.HIGH,
    "anthropic_key": Severity.HIGH,
    "openai_key": Severity.HIGH,
    "huggingface_token": Severity.HIGH,
    "twilio_key": Severity.HIGH,
    "sendgrid_key": Severity.HIGH,
    "azure_secret": Severity.HIGH,
    "azure_storage_key": Severity.HIGH,
    "service_token": Severity.HIGH,
    "jwt": Severity.HIGH,
    "url_password": Severity.HIGH,
    "connection_string": Severity.HIGH,
    NAMED: Severity.MEDIUM,
    "assigned_secret": Severity.MEDIUM,
    "too_many_candidates": Severity.MEDIUM,
}
"""Every rule, with the severity of its findings."""
