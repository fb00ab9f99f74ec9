"""What is left of a verdict: exceptions suppress findings, never guards, and rules have their actions."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    ErrorKind,
    FailureMode,
    Finding,
    Mode,
    Modify,
    Operation,
    Pending,
    RuleAction,
    Severity,
    Verdict,
)
from guardsvc.policy import BoundGuard, ServerTable
from guardsvc.policy.denials import DenialSettings
from guardsvc.policy.exceptions import Exceptions, ExceptionSettings, FindingException
from tests.engine.scripted import CALL, busy, decided, finding, guard, hook, policy, raises

MODIFIED = {"name": "read", "arguments": {"path": "***"}}


def exceptions(*rules: str, **criteria: Any) -> Exceptions:
    """One for each rule."""
    settings = [ExceptionSettings(rule=rule, reason="known", **criteria) for rule in rules]
    return Exceptions((FindingException.compile(entry, n) for n, entry in enumerate(settings)), ServerTable({}))


def deny(*rules: str) -> Deny:
    return Deny(code="found", message="Found.", findings=tuple(map(finding, rules)))


def modify(*rules: str) -> Modify:
    return Modify(payload=MODIFIED, findings=tuple(map(finding, rules)))


def pending(*rules: str) -> Pending:
    return Pending(approval="t", message="", findings=tuple(map(finding, rules)))


def suppressed(decision: Any) -> dict[str, str]:
    return {found.rule: found.suppressed_by for found in decision.findings}


@pytest.mark.parametrize("of", [guard, hook])
@pytest.mark.parametrize("said", [deny, modify, pending])
async def test_a_verdict_of_which_every_finding_is_set_aside_is_an_allow(of: Any, said: Any) -> None:
    bound = of("g", said("a", "b"), exceptions=exceptions("a", "b"))
    decision = await decided(policy(bound))
    assert (decision.verdict, decision.code, decision.guard) == ("allow", None, None)
    assert suppressed(decision) == {"a": "exceptions[0]", "b": "exceptions[1]"}
    (outcome,) = decision.outcomes
    assert (outcome.verdict, outcome.code, outcome.error) == ("allow", None, None)


@pytest.mark.parametrize(("said", "verdict"), [(deny, "deny"), (modify, "modify"), (pending, "pending")])
async def test_one_finding_that_counts_keeps_the_verdict_whole(said: Any, verdict: str) -> None:
    decision = await decided(policy(guard("g", said("a", "b"), exceptions=exceptions("a"))))
    assert decision.verdict == verdict
    assert suppressed(decision) == {"a": "exceptions[0]", "b": ""}
    if verdict == "modify":
        assert decision.payload == MODIFIED


@pytest.mark.parametrize("said", [deny, modify, pending])
async def test_a_verdict_without_findings_cannot_be_set_aside(said: Any) -> None:
    decision = await decided(policy(guard("g", said(), exceptions=exceptions("*"))))
    assert decision.verdict == {deny: "deny", modify: "modify", pending: "pending"}[said]


async def test_a_warning_stays_one_and_shows_what_is_set_aside() -> None:
    decision = await decided(policy(guard("g", Allow(findings=(finding("a"),)), exceptions=exceptions("a"))))
    assert (decision.verdict, suppressed(decision)) == ("allow", {"a": "exceptions[0]"})


async def test_other_guards_deny_all_the_same() -> None:
    chain = policy(guard("g", deny("a"), exceptions=exceptions("a")), guard("h", deny("a")))
    decision = await decided(chain)
    assert (decision.verdict, decision.guard) == ("deny", "h")


@pytest.mark.parametrize("mode", Mode)
async def test_a_guard_that_cannot_answer_is_no_finding(mode: Mode) -> None:
    bound = guard("g", raises(RuntimeError()), exceptions=exceptions("*"), mode=mode)
    decision = await decided(policy(bound, guard("h")))
    assert decision.outcomes[0].error is ErrorKind.EXCEPTION
    assert decision.verdict == ("deny" if mode is Mode.ENFORCE else "allow")


async def test_a_shadow_guard_would_have_allowed() -> None:
    bound = guard("g", deny("a"), exceptions=exceptions("a"), mode=Mode.SHADOW)
    decision = await decided(policy(bound, guard("h")))
    assert decision.outcomes[0].verdict == "allow"


async def test_expired_ones_have_no_effect() -> None:
    entry = ExceptionSettings(rule="a", reason="known", until="2020-01-01T00:00:00Z")  # type: ignore[arg-type]
    old = Exceptions((FindingException.compile(entry, 0),), ServerTable({}))
    assert (await decided(policy(guard("g", deny("a"), exceptions=old)))).verdict == "deny"
    assert old.entries[0].is_expired(time.time())


async def test_a_refusal_that_came_too_late_and_is_set_aside_is_a_late_answer() -> None:
    bound = guard("g", busy(0.05, deny("a")), exceptions=exceptions("a"), timeout=0.01)
    decision = await decided(policy(bound))
    assert (decision.verdict, decision.code) == ("deny", "guard_timeout")


@pytest.mark.parametrize("findings", ["text", (1,), 5])
async def test_findings_that_are_none_fail_the_guard_before_they_are_weighed(findings: Any) -> None:
    bound = guard("g", Deny(code="x", message="", findings=findings), exceptions=exceptions("*"))
    assert (await decided(policy(bound))).code == "guard_bad_answer"


@pytest.mark.parametrize("weighed", [None, exceptions("b")])
async def test_a_guard_cannot_set_its_own_findings_aside(weighed: Exceptions | None) -> None:
    own = Finding(rule="a", severity=Severity.HIGH, suppressed_by="me")
    bound = guard("g", Allow(findings=(own,)), exceptions=weighed)
    assert (await decided(policy(bound))).code == "guard_bad_answer"


LOG, DENYING = {"a": RuleAction.LOG}, {"a": RuleAction.DENY}


@pytest.mark.parametrize("said", [deny, modify, pending])
async def test_a_finding_that_is_logged_counts_for_nothing(said: Any) -> None:
    decision = await decided(policy(guard("g", said("a"), actions=LOG)))
    assert (decision.verdict, suppressed(decision)) == ("allow", {"a": ""})
    assert (await decided(policy(guard("g", said("a", "b"), actions=LOG)))).verdict != "allow"


async def test_logged_and_excepted_findings_together() -> None:
    chain = policy(guard("g", deny("a", "b"), actions=LOG, exceptions=exceptions("b")))
    assert (await decided(chain)).verdict == "allow"


@pytest.mark.parametrize(
    "said", [Allow(findings=(finding("a"),)), modify("a"), pending("a"), deny("a"), modify("b", "a")]
)
async def test_a_finding_that_denies_denies_whatever_the_guard_makes_of_it(said: Verdict) -> None:
    decision = await decided(policy(guard("g", said, actions=DENYING)))
    code = "found" if isinstance(said, Deny) else "access_denied"
    assert (decision.verdict, decision.code, decision.guard) == ("deny", code, "g")
    assert [found.rule for found in decision.findings] == [found.rule for found in said.findings]


async def test_an_exception_counts_before_an_action() -> None:
    chain = policy(guard("g", Allow(findings=(finding("a"),)), actions=DENYING, exceptions=exceptions("a")))
    assert (await decided(chain)).verdict == "allow"


async def test_an_action_of_another_rule_changes_nothing() -> None:
    assert (await decided(policy(guard("g", Allow(findings=(finding("b"),)), actions=DENYING)))).verdict == "allow"
    assert (await decided(policy(guard("g", deny("b"), actions=LOG)))).verdict == "deny"


class Counting:
    """Denies from two findings on."""

    def __init__(self, *rules: str) -> None:
        self.findings = tuple(map(finding, rules))

    def evaluate(self, operation: Operation, facts: Any) -> Verdict:
        del facts
        return self.reconsider(operation, self.findings)

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        del operation
        return deny(*(found.rule for found in findings)) if len(findings) > 1 else Allow(findings=findings)


def counting(*rules: str, **more: Any) -> BoundGuard:
    return BoundGuard(**{**vars(guard("g", **more)), "guard": Counting(*rules)})


async def test_a_guard_that_counts_is_asked_again_with_what_is_left() -> None:
    left_one = await decided(policy(counting("a", "b", exceptions=exceptions("a"))))
    assert (left_one.verdict, suppressed(left_one)) == ("allow", {"a": "exceptions[0]", "b": ""})
    left_two = await decided(policy(counting("a", "b", "c", exceptions=exceptions("a"))))
    assert (left_two.verdict, suppressed(left_two)) == ("deny", {"a": "exceptions[0]", "b": "", "c": ""})
    logged = await decided(policy(counting("a", "b", actions=LOG)))
    assert logged.verdict == "allow"
    forced = await decided(policy(counting("a", "b", actions={"b": RuleAction.DENY}, exceptions=exceptions("a"))))
    assert (forced.verdict, forced.code) == ("deny", "access_denied")


async def test_what_is_no_verdict_then_fails_the_guard() -> None:
    class Confused(Counting):
        def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Any:
            del operation
            return deny("a", "b") if len(findings) > 1 else None

    bound = replace(guard("g", exceptions=exceptions("a")), guard=Confused("a", "b"))
    assert (await decided(policy(bound))).code == "guard_bad_answer"
    failing = replace(bound, failure_mode=FailureMode.FAIL_OPEN)
    assert (await decided(policy(failing))).verdict == "allow"


WORDED = DenialSettings(message="{reason}: {message} ({decision_id})", support_url="https://help.example/{decision_id}")


@pytest.mark.parametrize(
    ("answer", "reason", "message"),
    [
        (deny("a"), "found", "Found."),
        (Deny(code="found", message=""), "found", "Denied by policy."),
        (pending(), "approval_required", "A person must approve this first."),
        (raises(RuntimeError("secret")), "guard_error", "A check failed."),
    ],
)
async def test_a_policy_words_its_refusals(answer: Any, reason: str, message: str) -> None:
    decision = await decided(policy(guard("g", answer), denials=WORDED))
    assert decision.message == f"{reason}: {message} ({decision.id})"
    assert decision.details["support_url"] == f"https://help.example/{decision.id}"
    assert decision.outcomes[0].message != decision.message


async def test_the_engines_own_refusals_are_worded_too_and_nothing_else_is() -> None:
    nothing = await decided(policy(denials=WORDED))
    assert nothing.message == f"default_deny: Denied by policy. ({nothing.id})"
    allowed = await decided(policy(guard("g", ALLOW), denials=WORDED))
    assert (allowed.message, allowed.details) == ("", {})
    assert CALL.payload["name"] not in nothing.message


async def test_what_was_not_looked_at_is_never_set_aside() -> None:
    bound = guard("g", deny("a", "more"), exceptions=exceptions("*"))
    unexceptable = replace(bound.type, unexceptable=frozenset({"more"}))
    decision = await decided(policy(replace(bound, type=unexceptable)))
    assert (decision.verdict, suppressed(decision)) == ("deny", {"a": "exceptions[0]", "more": ""})
