"""Faults: what guards raise or answer, and what the engine itself gets wrong, never passes as an allow."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Direction,
    ErrorKind,
    GuardFailure,
    Kind,
    Mode,
    Modify,
    Operation,
    Pending,
    Phase,
)
from guardsvc.policy import BoundGuard, Policy
from tests.engine.scripted import CALL, DENY, asked, decided, finding, guard, hook, policy, raises


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class PanicError(BaseException):
    """Like a panic of a Rust extension, it is no Exception."""


def recurse(operation: Operation) -> Any:
    return recurse(operation)


@pytest.mark.parametrize("default", ["allow", "deny"])
@pytest.mark.parametrize(
    "answer",
    [
        raises(ValueError("x" * 100_000)),
        raises(asyncio.CancelledError()),
        raises(PanicError()),
        raises(SystemExit(1)),
        raises(StopIteration()),
        raises(MemoryError()),
        raises(Unprintable()),
        raises(GuardFailure("no kind of error", "")),  # type: ignore[arg-type]  # what a careless guard does
        raises(ExceptionGroup("several", [ValueError()])),
        recurse,
    ],
    ids=[
        "long message",
        "CancelledError",
        "panic",
        "SystemExit",
        "StopIteration",
        "MemoryError",
        "unprintable",
        "failure without a kind",
        "group",
        "RecursionError",
    ],
)
@pytest.mark.parametrize("kind", [guard, hook])
async def test_whatever_a_guard_raises_is_its_failure(kind: Any, answer: Any, default: str) -> None:
    decision = await decided(policy(kind("g", answer), default=default))
    assert (decision.verdict, decision.code, decision.guard) == ("deny", "guard_error", "g")
    assert decision.outcomes[0].error is ErrorKind.EXCEPTION
    assert len(decision.outcomes[0].message) < 300


async def test_an_interrupt_from_the_keyboard_is_not_taken_for_a_guards() -> None:
    with pytest.raises(KeyboardInterrupt):
        await decided(policy(guard("g", raises(KeyboardInterrupt()))))


async def _answer() -> Any:
    return ALLOW


NO_VERDICTS: dict[str, Any] = {
    "none": None,
    "true": True,
    "text": "allow",
    "object": {"verdict": "allow"},
    "the class": Allow,
    "code of two words": Deny(code="Not Snake", message=""),
    "no code": Deny(code="", message=""),
    "code with a line end": Deny(code="a\n", message=""),
    "long code": Deny(code="a" * 65, message=""),
    "code of another type": Deny(code=7, message=""),  # type: ignore[arg-type]
    "no message": Deny(code="x", message=None),  # type: ignore[arg-type]
    "message with half a surrogate pair": Deny(code="x", message="\ud800"),
    "details in a list": Deny(code="x", message="", details=["x"]),  # type: ignore[arg-type]
    "details that are not JSON": Deny(code="x", message="", details={"x": object()}),
    "details with half a surrogate pair": Deny(code="x", message="", details={"x": "\udc00"}),
    "findings of a denial": Deny(code="x", message="", findings=("x",)),  # type: ignore[arg-type]
    "approval of another type": Pending(approval=object(), message=""),  # type: ignore[arg-type]
    "message of bytes": Pending(approval="x", message=b"x"),  # type: ignore[arg-type]
    "findings of an allow": Allow(findings=5),  # type: ignore[arg-type]
    "findings of other types": Allow(findings=({},)),  # type: ignore[arg-type]
    "findings of a modification": Modify(payload={"name": "read"}, findings=(None,)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("answer", NO_VERDICTS.values(), ids=NO_VERDICTS)
@pytest.mark.parametrize("kind", [guard, hook])
async def test_an_answer_that_is_no_verdict_is_a_bad_answer(kind: Any, answer: Any) -> None:
    given = (lambda _operation: answer) if inspect.isclass(answer) else answer
    decision = await decided(policy(kind("g", given), default="allow"))
    assert (decision.verdict, decision.code) == ("deny", "guard_bad_answer")


async def test_a_native_guard_that_returns_a_coroutine_has_given_a_bad_answer() -> None:
    """And no warning of a coroutine that was never awaited, which the tests would take for an error."""
    decision = await decided(policy(guard("g", lambda _operation: _answer())))
    assert decision.code == "guard_bad_answer"


async def test_a_hook_may_answer_at_once() -> None:
    at_once = hook("g")
    at_once.guard.answer = ALLOW  # type: ignore[attr-defined]
    assert (await decided(policy(at_once))).verdict == "allow"


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(("tier", "other"), [(guard, hook), (hook, guard)])
async def test_after_a_guard_of_its_own_cancelled_the_chain_goes_on(tier: Any, other: Any, mode: Mode) -> None:
    cancelling = tier("cancels", raises(asyncio.CancelledError()), mode=Mode.SHADOW, priority=1)
    denies = other("denies", DENY, priority=2, mode=mode)
    decision = await decided(policy(cancelling, denies, guard("last", priority=3)))
    assert decision.verdict == ("deny" if mode is Mode.ENFORCE else "allow")
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@dataclass(frozen=True)
class Undecided(BoundGuard):
    """A guard whose scope is broken: a fault of the engine, not of the guard."""

    def judges(self, operation: Operation, now: float) -> bool:  # noqa: ARG002
        raise RuntimeError


def undecided(priority: int = 200, *, of: Any = guard) -> BoundGuard:
    bound = of("undecided", priority=priority)
    return Undecided(**{name: getattr(bound, name) for name in BoundGuard.__dataclass_fields__})


class Chainless(Policy):
    def chain(self, direction: Any, phase: Any) -> Any:  # noqa: ARG002
        raise KeyError


@pytest.mark.parametrize(("default", "verdict", "code"), [("deny", "deny", "internal_error"), ("allow", "allow", None)])
@pytest.mark.parametrize("of", [guard, hook])
async def test_a_fault_of_the_engine_is_a_denial_unless_the_policy_allows_by_default(
    default: str, verdict: str, code: str | None, of: Any
) -> None:
    broken = policy(guard("first"), undecided(of=of), default=default)
    decision = await decided(broken)
    assert (decision.verdict, decision.code) == (verdict, code)
    assert [outcome.guard for outcome in decision.outcomes] == ["first"]
    fields = [name for name, field in Policy.__dataclass_fields__.items() if field.init and name[0] != "_"]
    chainless = Chainless(**{name: getattr(broken, name) for name in fields})
    assert (await decided(chainless)).code == code


async def test_what_a_server_sends_does_not_pass_over_a_fault_whatever_the_default() -> None:
    answer = msgspec.structs.replace(CALL, direction=Direction.RESPONSE, phase=Phase.TOOL_RESULT, kind=Kind.RESULT)
    decision = await decided(policy(guard("first"), undecided(), default="allow"), answer)
    assert (decision.verdict, decision.code) == ("deny", "internal_error")


async def test_a_request_without_a_message_that_nobody_knows_is_a_fault() -> None:
    unknown = msgspec.structs.replace(CALL, kind=Kind.TRANSPORT, method="http/unheard_of")
    judging = guard("judging")
    assert (await decided(policy(judging), unknown)).code == "internal_error"
    assert asked(judging) == []


async def test_what_a_guard_changed_does_not_pass_unchanged_over_a_fault() -> None:
    changes = guard("changes", Modify(payload={"name": "read"}), priority=1)
    decision = await decided(policy(changes, undecided(), default="allow"))
    assert (decision.verdict, decision.code) == ("deny", "internal_error")


async def test_findings_are_kept_over_a_fault() -> None:
    seen = guard("seen", Allow(findings=(finding("x"),)), priority=1)
    decision = await decided(policy(seen, undecided(), default="deny"))
    assert [item.rule for item in decision.findings] == ["x"]
