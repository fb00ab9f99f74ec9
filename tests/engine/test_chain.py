"""The order of the chain: who is asked, whose verdict counts, what the record names."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from time import perf_counter
from typing import Any

import msgspec
import pytest

from guardsvc.engine import refuse
from guardsvc.mcp.transport import TransportKind
from guardsvc.model import (
    ALLOW,
    Allow,
    Decision,
    Deny,
    Direction,
    FailureMode,
    Globs,
    Kind,
    Mode,
    Modify,
    Operation,
    Pending,
    Phase,
)
from guardsvc.policy import BoundGuard
from guardsvc.policy.scope import Scope, Window
from tests.engine.scripted import (
    CALL,
    DENY,
    asked,
    decided,
    finding,
    guard,
    hook,
    policy,
    raises,
    stubborn,
)


def names(decision: Decision) -> list[str]:
    return [outcome.guard for outcome in decision.outcomes]


async def test_lower_priority_first_then_configuration_order() -> None:
    chain = policy(guard("c", priority=20), guard("a", priority=10), guard("d", priority=20), guard("b", priority=10))
    decision = await decided(chain)
    assert (decision.verdict, names(decision)) == ("allow", ["a", "b", "c", "d"])


async def test_native_guards_of_a_priority_run_before_the_others() -> None:
    chain = policy(hook("b", priority=10), guard("a", priority=10), guard("d", priority=20), hook("c", priority=10))
    assert names(await decided(chain)) == ["a", "b", "c", "d"]


async def test_a_hook_of_an_earlier_priority_runs_before_native_guards_of_a_later_one() -> None:
    native = guard("native", priority=20)
    decision = await decided(policy(native, hook("hook", DENY, priority=10)))
    assert (decision.guard, names(decision), asked(native)) == ("hook", ["hook"], [])


@pytest.mark.parametrize("last", [guard, hook])
@pytest.mark.parametrize("ending", [DENY, Pending(approval="ticket", message="Wait.")])
async def test_after_the_first_ending_nobody_is_asked(last: Any, ending: Any) -> None:
    later = last("later", Deny(code="other", message=""), priority=100)
    decision = await decided(policy(guard("ending", ending), later))
    assert (decision.guard, names(decision), asked(later)) == ("ending", ["ending"], [])


async def test_hooks_of_a_priority_run_at_the_same_time() -> None:
    met = asyncio.Barrier(3)

    async def meet(_operation: Operation) -> Any:
        await met.wait()
        return ALLOW

    decision = await decided(policy(*(hook(name, meet) for name in "abc")), seconds=5)
    assert (decision.verdict, names(decision)) == ("allow", ["a", "b", "c"])


async def test_the_first_denial_cancels_the_other_hooks() -> None:
    cancelled: list[str] = []

    async def wait(_operation: Operation) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("slow")
            raise

    slow = hook("slow", wait)
    decision = await decided(policy(slow, hook("denies", DENY)))
    await asyncio.sleep(0)
    assert (decision.verdict, decision.guard, names(decision)) == ("deny", "denies", ["denies"])
    assert cancelled == ["slow"]


async def test_a_denial_does_not_wait_for_a_hook_that_ignores_its_cancellation() -> None:
    release, started = asyncio.Event(), perf_counter()
    decision = await decided(policy(hook("slow", stubborn(release)), hook("denies", DENY)))
    assert decision.guard == "denies"
    assert perf_counter() - started < 15
    release.set()
    await asyncio.sleep(0.01)


async def test_the_reported_denial_is_the_first_in_configuration_order_among_those_finished() -> None:
    met = asyncio.Barrier(3)

    def denying(guard_id: str) -> BoundGuard:
        async def evaluate(_operation: Operation) -> Any:
            await met.wait()
            return Deny(code=f"no_{guard_id}", message="")

        return hook(guard_id, evaluate)

    first = hook("slow", after=5)
    decision = await decided(policy(first, *map(denying, "cab")))
    assert (decision.guard, decision.code) == ("c", "no_c")
    assert names(decision) == ["c", "a", "b"]


async def test_hooks_that_allowed_before_the_denial_are_recorded() -> None:
    decision = await decided(policy(hook("a"), hook("denies", DENY, after=0.01), hook("b")))
    assert names(decision) == ["a", "denies", "b"]
    assert [outcome.verdict for outcome in decision.outcomes] == ["allow", "deny", "allow"]


async def test_a_shadow_denial_of_a_hook_neither_ends_nor_cancels() -> None:
    shadow = hook("shadow", DENY, mode=Mode.SHADOW)
    decision = await decided(policy(shadow, hook("slow", after=0.01)))
    assert (decision.verdict, names(decision)) == ("allow", ["shadow", "slow"])


@pytest.mark.parametrize(
    "answer", [DENY, Modify(payload={"name": "read"}), Pending(approval="x", message=""), "nonsense"]
)
@pytest.mark.parametrize("kind", [guard, hook])
async def test_a_shadow_guard_is_recorded_and_never_applied(kind: Any, answer: Any) -> None:
    later = guard("later", priority=200)
    decision = await decided(policy(kind("shadow", answer, mode=Mode.SHADOW), later))
    assert (decision.verdict, decision.payload, decision.code) == ("allow", None, None)
    assert asked(later)[0].payload == CALL.payload
    recorded = decision.outcomes[0]
    assert (recorded.guard, recorded.mode, recorded.verdict) == (
        "shadow",
        Mode.SHADOW,
        {Deny: "deny", Modify: "modify", Pending: "pending", str: "deny"}[type(answer)],
    )


@pytest.mark.parametrize(("default", "verdict", "code"), [("allow", "allow", None), ("deny", "deny", "default_deny")])
@pytest.mark.parametrize(
    "guards",
    [
        (),
        (guard("shadow", mode=Mode.SHADOW),),
        (hook("shadow", DENY, mode=Mode.SHADOW),),
        (guard("elsewhere", scope=Scope(tools=Globs(["write"]))),),
        (guard("over", DENY, window=Window(0, 1)), hook("later", DENY, window=Window(2**40, 2**41))),
        (guard("other_way", points=frozenset({(Direction.RESPONSE, Phase.TOOL_INVOKE)})),),
    ],
    ids=["empty", "shadow", "shadow_hook", "out_of_scope", "outside_window", "other_direction"],
)
async def test_without_an_enforcing_guard_the_default_decides(
    guards: tuple[BoundGuard, ...], default: str, verdict: str, code: str | None
) -> None:
    decision = await decided(policy(*guards, default=default))
    assert (decision.verdict, decision.code, decision.guard) == (verdict, code, None)


async def test_a_guard_out_of_scope_is_not_asked() -> None:
    elsewhere = guard("elsewhere", DENY, scope=Scope(tenants=Globs(["other"])))
    assert (await decided(policy(elsewhere, guard("here")))).verdict == "allow"
    assert asked(elsewhere) == []


async def test_pending_names_what_to_approve() -> None:
    decision = await decided(policy(guard("asks", Pending(approval="ticket-7", message="Ann must agree."))))
    assert (decision.verdict, decision.applied, decision.code) == ("pending", "pending", "approval_required")
    assert (decision.message, decision.details) == ("Ann must agree.", {"approval": "ticket-7"})


async def test_a_denial_is_told_as_the_guard_said_it() -> None:
    denial = Deny(code="secret_found", message="No secrets.", details={"n": 1}, findings=(finding("key"),))
    decision = await decided(policy(guard("a", Allow(findings=(finding("warn"),))), guard("b", denial)))
    assert (decision.code, decision.message, decision.details) == ("secret_found", "No secrets.", {"n": 1})
    assert [item.rule for item in decision.findings] == ["warn", "key"]


@pytest.mark.parametrize(
    ("answer", "default", "verdict"),
    [
        (DENY, "deny", "deny"),
        (Pending(approval="x", message=""), "deny", "pending"),
        (Modify(payload={"name": "read"}), "deny", "modify"),
        (raises(ValueError()), "deny", "deny"),
    ],
)
async def test_under_policy_mode_shadow_the_verdict_stands_and_nothing_is_applied(
    answer: Any, default: str, verdict: str
) -> None:
    decision = await decided(policy(guard("g", answer), mode=Mode.SHADOW, default=default))
    assert (decision.verdict, decision.applied, decision.mode) == (verdict, "allow", Mode.SHADOW)


async def test_under_policy_mode_shadow_refusals_of_the_engine_are_not_applied_either() -> None:
    assert (await decided(policy(mode=Mode.SHADOW))).applied == "allow"
    assert refuse(policy(mode=Mode.SHADOW), CALL, "invalid_json").applied == "allow"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (TransportKind.GET_STREAM, "stream_not_allowed"),
        (TransportKind.SESSION_END, "session_end_not_allowed"),
        (TransportKind.WELL_KNOWN, "well_known_not_allowed"),
        (TransportKind.PREFLIGHT, "preflight_not_allowed"),
        (TransportKind.OTHER, "not_mcp"),
    ],
)
async def test_requests_without_a_message_pass_where_the_policy_and_the_guards_let_them(
    kind: TransportKind, code: str
) -> None:
    request = msgspec.structs.replace(
        CALL, kind=Kind.TRANSPORT, method=kind.value, phase=Phase.CONNECTION, payload=None, id=None, subject=None
    )
    judging = guard("judging")
    refused = await decided(policy(judging, transport={kind: "deny"}, default="allow"), request)
    assert (refused.verdict, refused.code, asked(judging)) == ("deny", code, [])
    allowed = policy(judging, transport=dict.fromkeys(TransportKind, "deny") | {kind: "allow"})
    assert (await decided(allowed, request)).verdict == "allow"
    assert (await decided(policy(guard("denies", DENY)), request)).code == "access_denied"


async def test_decision_ids_are_unique_and_sort_by_time() -> None:
    chain = policy(guard("g", failure_mode=FailureMode.FAIL_OPEN))
    decisions = []
    for _ in range(5):
        decisions.append([(await decided(chain)).id for _ in range(50)])
        await asyncio.sleep(0.002)
    ids = [decision_id for group in decisions for decision_id in group]
    assert len(set(ids)) == len(ids)
    assert {len(decision_id) for decision_id in ids} == {32}
    for earlier, later in pairwise(decisions):
        assert max(earlier) < min(later)


async def test_a_decision_says_what_was_asked_and_by_which_policy() -> None:
    decision = await decided(policy(guard("g")))
    assert decision.operation is CALL
    assert decision.policy_hash == "0123"
    assert 0 <= decision.outcomes[0].duration <= decision.duration


async def test_one_policy_judges_many_operations_at_once_without_mixing_them() -> None:
    async def verdict_by_subject(operation: Operation) -> Any:
        await asyncio.sleep(0)
        return DENY if operation.subject == "bad" else ALLOW

    by_subject = hook("by_subject", verdict_by_subject)
    chain = policy(guard("native"), by_subject, hook("other"))
    subjects = ["bad" if number % 3 == 0 else "good" for number in range(60)]
    decisions = await asyncio.gather(
        *(decided(chain, msgspec.structs.replace(CALL, subject=subject)) for subject in subjects)
    )
    assert [d.verdict for d in decisions] == ["deny" if s == "bad" else "allow" for s in subjects]
