"""Time: a decision stands at its deadline, whatever guards do."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.model import ALLOW, Deny, ErrorKind, FactRequest, FailureMode, GuardFailure, Mode, Operation, Pending
from tests.engine.scripted import CALL, DENY, asked, busy, decided, guard, hook, policy, stubborn

if TYPE_CHECKING:
    from collections.abc import Callable

    Late = Callable[[Any], Callable[[Operation], Any]]

LONG = 60.0
"""Seconds that nothing takes but what is late on purpose."""


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Late:
    """Makes what a guard does take longer than ``LONG``: the clock that the engine looks at goes on meanwhile."""
    passed = 0.0
    monkeypatch.setattr("guardsvc.engine.evaluation.perf_counter", lambda: perf_counter() + passed)

    def answering(answer: Any) -> Callable[[Operation], Any]:
        def evaluate(_operation: Operation) -> Any:
            nonlocal passed
            passed += 2 * LONG
            return answer

        return evaluate

    return answering


@pytest.mark.parametrize("seconds", [0.0, -1.0])
@pytest.mark.parametrize("kind", [guard, hook])
async def test_after_the_deadline_no_guard_is_asked_and_the_failure_modes_decide(kind: Any, seconds: float) -> None:
    opened = kind("opened", failure_mode=FailureMode.FAIL_OPEN, priority=1)
    closed = kind("closed", priority=2)
    decision = await decided(policy(opened, closed), seconds=seconds)
    assert (decision.verdict, decision.code, decision.guard) == ("deny", "deadline_exceeded", "closed")
    assert [(o.guard, o.verdict, o.error) for o in decision.outcomes] == [
        ("opened", "allow", ErrorKind.TIMEOUT),
        ("closed", "deny", ErrorKind.TIMEOUT),
    ]
    assert asked(opened) == asked(closed) == []


@pytest.mark.parametrize(
    ("answer", "verdict", "code"),
    [
        (ALLOW, "deny", "guard_timeout"),
        (DENY, "deny", "access_denied"),
        (Pending(approval="x", message=""), "pending", "approval_required"),
        ("nonsense", "deny", "guard_timeout"),
    ],
)
@pytest.mark.parametrize("facts", [(), ("counter",)])
async def test_a_late_refusal_of_a_native_guard_stands_and_any_other_late_answer_fails(
    late: Late, answer: Any, verdict: str, code: str, facts: tuple[str, ...]
) -> None:
    class Counter:
        async def fetch(self, request: FactRequest) -> Any:
            return request.operation.id

    bound = guard("late", late(answer), timeout=LONG, facts=facts)
    decision = await decided(policy(bound), sources={"counter": Counter()}, seconds=10 * LONG)
    assert (decision.verdict, decision.code) == (verdict, code)


@pytest.mark.parametrize("answer", [DENY, Pending(approval="x", message="")])
async def test_a_late_refusal_of_a_fail_open_guard_stands(late: Late, answer: Any) -> None:
    bound = guard("late", late(answer), timeout=LONG, failure_mode=FailureMode.FAIL_OPEN)
    assert (await decided(policy(bound), seconds=10 * LONG)).verdict in ("deny", "pending")


async def test_the_deadline_counts_where_it_is_nearer_than_the_guards_own_timeout() -> None:
    decision = await decided(policy(guard("late", busy(0.01))), seconds=0.005)
    assert (decision.code, decision.outcomes[0].error) == ("deadline_exceeded", ErrorKind.TIMEOUT)
    decision = await decided(policy(hook("late", after=5)), seconds=0.005)
    assert (decision.code, decision.outcomes[0].error) == ("deadline_exceeded", ErrorKind.TIMEOUT)


async def test_a_hook_is_cancelled_at_its_timeout() -> None:
    cancelled = asyncio.Event()

    async def wait(_operation: Operation) -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    started = perf_counter()
    decision = await decided(policy(hook("slow", wait, timeout=0.01), hook("quick")))
    assert decision.code == "guard_timeout"
    assert cancelled.is_set()
    assert perf_counter() - started < 5


async def test_a_hook_that_answers_its_cancellation_with_an_allow_has_failed() -> None:
    async def evade(_operation: Operation) -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return ALLOW

    decision = await decided(policy(hook("evades", evade, timeout=0.01)))
    assert decision.code == "guard_timeout"


async def test_a_hook_that_fails_while_it_is_stopped_has_timed_out() -> None:
    async def fail(_operation: Operation) -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError from None

    assert (await decided(policy(hook("fails", fail, timeout=0.01)))).code == "guard_timeout"


@pytest.mark.parametrize(
    ("error", "code"),
    [(TimeoutError("of its own"), "guard_error"), (GuardFailure(ErrorKind.TIMEOUT, "said so"), "guard_timeout")],
)
@pytest.mark.parametrize("kind", [guard, hook])
async def test_a_timeout_inside_a_guard_is_its_failure_not_the_chains(kind: Any, error: Exception, code: str) -> None:
    def fail(_operation: Operation) -> Any:
        raise error

    assert (await decided(policy(kind("g", fail)))).code == code


async def test_a_hook_that_ignores_every_cancellation_cannot_outlive_the_deadline() -> None:
    release, started = asyncio.Event(), perf_counter()
    chain = policy(hook("stubborn", stubborn(release), timeout=0.01), hook("quick"))
    decision = await decided(chain, seconds=0.05)
    assert perf_counter() - started < 15
    assert (decision.code, decision.guard) == ("deadline_exceeded", "stubborn")
    assert [outcome.guard for outcome in decision.outcomes] == ["stubborn", "quick"]
    release.set()
    await asyncio.sleep(0.01)


async def test_a_slow_fact_counts_against_the_guards_time() -> None:
    class Slow:
        async def fetch(self, request: FactRequest) -> Any:
            await asyncio.sleep(60)
            return request

    needs = guard("needs", facts=("slow",), timeout=0.01)
    assert (await decided(policy(needs), sources={"slow": Slow()})).code == "guard_timeout"
    assert asked(needs) == []


async def test_a_call_that_the_gateway_gives_up_is_given_up_and_its_hooks_with_it() -> None:
    cancelled = asyncio.Event()

    async def wait(_operation: Operation) -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    task = asyncio.ensure_future(decided(policy(hook("slow", wait), default="allow")))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(cancelled.wait(), 30)


async def test_a_call_given_up_while_a_fact_is_fetched_is_no_failure_of_the_guard() -> None:
    class Slow:
        async def fetch(self, request: FactRequest) -> Any:
            await asyncio.sleep(60)
            return request

    needs = guard("needs", facts=("slow",), failure_mode=FailureMode.FAIL_OPEN)
    task = asyncio.ensure_future(decided(policy(needs), sources={"slow": Slow()}))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("mode", Mode)
async def test_a_denial_within_time_is_not_lost_to_a_later_deadline(mode: Mode) -> None:
    quick = guard("quick", Deny(code="first", message=""), priority=1)
    slow = hook("slow", after=60, priority=2, mode=mode)
    assert (await decided(policy(quick, slow), CALL, seconds=5)).code == "first"
