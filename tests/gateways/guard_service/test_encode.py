"""What callers are told: always a verdict, and the mode beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract
from guardsvc.gateways.guard_service.encode import encode
from guardsvc.model import REASONS, Decision, Finding, GuardOutcome, Mode, Severity, Tier
from tests.engine.scripted import CALL

FINDING = Finding(
    rule="r", severity=Severity.HIGH, where="/arguments", threats=("T1", "T2"), excerpt="s…", suppressed_by="e"
)


def told(verdict: str = "allow", **fields: Any) -> contract.Decision:
    given: dict[str, Any] = {"id": "d1", "operation": CALL, "verdict": verdict, "mode": Mode.ENFORCE}
    return encode(Decision(**given | fields)).decision


def outcome(*findings: Finding) -> GuardOutcome:
    return GuardOutcome(guard="g", type="t", tier=Tier.NATIVE, mode=Mode.ENFORCE, verdict="allow", findings=findings)


def test_an_allow_with_everything_about_it() -> None:
    earlier = Finding(rule="before", severity=Severity.INFO)
    decision = told(policy_hash="0123", outcomes=(outcome(FINDING),), earlier=(earlier,))
    assert decision == contract.Decision(
        id="d1",
        allow=contract.Allow(),
        mode=contract.Mode.MODE_ENFORCE,
        policy_hash="0123",
        findings=[
            contract.Finding(rule="before", severity=contract.Severity.SEVERITY_INFO),
            contract.Finding(
                rule="r",
                severity=contract.Severity.SEVERITY_HIGH,
                where="/arguments",
                threats=["T1", "T2"],
                excerpt="s…",
                suppressed_by="e",
            ),
        ],
    )


def test_a_denial() -> None:
    decision = told("deny", code="access_denied", message="No.", details={"n": 2**60}, guard="g")
    assert decision.guard == "g"
    assert (decision.deny.code, decision.deny.message) == ("access_denied", "No.")
    assert json.loads(decision.deny.details) == {"n": 2**60}
    assert told("deny", code="access_denied").deny.details == b""


@pytest.mark.parametrize("code", [*REASONS, "of_a_third_party"])
def test_a_denial_without_words_has_those_of_the_table(code: str) -> None:
    decision = told("deny", code=code)
    assert (decision.deny.code, bool(decision.deny.message)) == (code, True)


def test_a_modification_is_the_whole_payload() -> None:
    assert json.loads(told("modify", payload={"name": "read", "n": 2**60}).modify.payload) == {
        "name": "read",
        "n": 2**60,
    }


def test_pending() -> None:
    decision = told("pending", code="approval_required", message="Ask.", details={"approval": "t-1"})
    assert (decision.pending.approval, decision.pending.message) == ("t-1", "Ask.")


def test_under_mode_shadow_the_verdict_is_told_and_not_to_be_applied() -> None:
    decision = told("deny", code="access_denied", mode=Mode.SHADOW)
    assert (decision.WhichOneof("verdict"), decision.mode) == ("deny", contract.Mode.MODE_SHADOW)
