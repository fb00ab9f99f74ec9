"""The fail matrix: every kind of failure, provoked, in every phase, against what ``explain`` prints."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from guardsvc.engine import FAILURE_CODES, fail_matrix
from guardsvc.model import (
    PHASES,
    ErrorKind,
    FactRequest,
    FailureMode,
    GuardFailure,
    Mode,
    Phase,
    Tier,
    reason_for,
)
from guardsvc.policy import BoundGuard
from tests.engine.scripted import CALL, busy, decided, guard, policy, raises

SECRET = "no one but operators may read this"
TIMEOUT = 0.002


class Unreachable:
    async def fetch(self, request: FactRequest) -> Any:  # noqa: ARG002  the protocol's
        raise GuardFailure(ErrorKind.STATE_UNAVAILABLE, SECRET)


async def _forever() -> None:
    await asyncio.Event().wait()


def failing(kind: ErrorKind, tier: Tier, **more: Any) -> BoundGuard:
    """A guard that fails in one way: itself, or because its time or its facts fail it."""
    facts: tuple[str, ...] = ()
    answer: Any
    match kind:
        case ErrorKind.TIMEOUT:
            answer = busy(TIMEOUT * 2) if tier is Tier.NATIVE else lambda _operation: _forever()
            more["timeout"] = TIMEOUT
        case ErrorKind.EXCEPTION:
            answer = raises(ValueError(SECRET))
        case ErrorKind.BAD_ANSWER:
            answer = "allow"
        case ErrorKind.STATE_UNAVAILABLE:
            answer, facts = None, ("counter",)
        case _:
            answer = raises(GuardFailure(kind, SECRET))
    return guard("g", answer, tier=tier, facts=facts, **more)


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("failure_mode", FailureMode)
@pytest.mark.parametrize("kind", ErrorKind)
async def test_the_matrix_says_what_happens(kind: ErrorKind, failure_mode: FailureMode, mode: Mode, tier: Tier) -> None:
    for phase in sorted(PHASES):
        await _the_matrix_says_what_happens(kind, failure_mode, mode, tier, phase)


async def _the_matrix_says_what_happens(
    kind: ErrorKind, failure_mode: FailureMode, mode: Mode, tier: Tier, phase: Phase
) -> None:
    failing_guard = failing(kind, tier, failure_mode=failure_mode, mode=mode)
    chain = policy(failing_guard, guard("last"), default="deny")
    operation = msgspec.structs.replace(CALL, phase=phase)

    decision = await decided(chain, operation, sources={"counter": Unreachable()})

    denied = mode is Mode.ENFORCE and failure_mode is FailureMode.FAIL_CLOSED
    code = FAILURE_CODES[kind] if denied else None
    assert (decision.verdict, decision.code) == ("deny" if denied else "allow", code), phase
    assert decision.guard == ("g" if denied else None)
    cell = fail_matrix(chain.guards)["g"][kind]
    assert cell == ("recorded only" if mode is Mode.SHADOW else f"deny {code}" if denied else "allow")
    outcome = next(outcome for outcome in decision.outcomes if outcome.guard == "g")
    assert (outcome.error, outcome.mode) == (kind, mode), phase
    assert outcome.verdict == ("deny" if failure_mode is FailureMode.FAIL_CLOSED else "allow")


@pytest.mark.parametrize("kind", [ErrorKind.EXCEPTION, ErrorKind.TRAP, ErrorKind.STATE_UNAVAILABLE])
async def test_the_client_is_told_the_kind_and_operators_the_reason(kind: ErrorKind) -> None:
    decision = await decided(policy(failing(kind, Tier.HTTP)), sources={"counter": Unreachable()})
    assert decision.code is not None
    assert decision.message == reason_for(decision.code).text
    assert decision.details == {}
    assert SECRET in decision.outcomes[0].message


async def test_a_fail_open_guard_that_fails_counts_as_having_judged() -> None:
    chain = policy(failing(ErrorKind.EXCEPTION, Tier.NATIVE, failure_mode=FailureMode.FAIL_OPEN))
    assert (await decided(chain)).verdict == "allow"


async def test_a_shadow_guard_that_fails_has_not_judged() -> None:
    decision = await decided(policy(failing(ErrorKind.EXCEPTION, Tier.NATIVE, mode=Mode.SHADOW)))
    assert (decision.verdict, decision.code) == ("deny", "default_deny")
