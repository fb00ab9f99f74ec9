"""How guards get what is not in the operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from guardsvc.model import ALLOW, FactRequest, FactUse, GatewayProtocol, Mode, Modify, Operation, Tier
from guardsvc.policy import BoundGuard
from tests.engine.scripted import CALL, Scripted, asked, decided, facts_given, guard, hook, policy, raises


class Source:
    """Gives how often it was asked, and remembers for what."""

    def __init__(self) -> None:
        self.requests: list[FactRequest] = []

    async def fetch(self, request: FactRequest) -> int:
        self.requests.append(request)
        return len(self.requests)


class Particular(Scripted):
    """Needs what a function of the operation says."""

    def __init__(self, needs: Callable[[Operation], Mapping[str, Any]]) -> None:
        super().__init__(ALLOW)
        self.needs = needs


def particular(needs: Callable[[Operation], Mapping[str, Any]]) -> BoundGuard:
    return replace(guard("particular", facts=("counter",)), guard=Particular(needs))


async def test_facts_are_fetched_for_the_guard_that_declares_them() -> None:
    counter, other = Source(), Source()
    needs, plain = guard("needs", facts=("counter",), timeout=3.0), guard("plain")
    decision = await decided(policy(needs, plain), sources={"counter": counter, "other": other})
    assert decision.verdict == "allow"
    assert (facts_given(needs), facts_given(plain)) == ([{"counter": 1}], [{}])
    assert counter.requests == [FactRequest(operation=CALL, guard="needs", seconds=3.0)]
    assert other.requests == []


async def test_a_fact_without_a_source_is_state_that_cannot_be_reached() -> None:
    needs = guard("needs", facts=("counter",))
    assert (await decided(policy(needs))).code == "state_unavailable"
    assert asked(needs) == []


async def test_a_guard_may_say_what_it_needs_for_each_operation() -> None:
    source = Source()
    needs = particular(lambda operation: {"counter": operation.subject})
    assert (await decided(policy(needs), sources={"counter": source})).verdict == "allow"
    assert [request.need for request in source.requests] == ["read"]


async def test_a_guard_that_needs_nothing_for_an_operation_is_asked_without_facts() -> None:
    needs = particular(lambda _operation: {})
    assert (await decided(policy(needs))).verdict == "allow"
    assert facts_given(needs) == [{}]


async def test_a_guard_that_cannot_say_what_it_needs_fails() -> None:
    needs = particular(raises(KeyError("no")))
    assert (await decided(policy(needs), sources={"counter": Source()})).code == "guard_error"


@pytest.mark.parametrize("tier", [Tier.NATIVE, Tier.HTTP])
@pytest.mark.parametrize(
    ("mode", "policy_mode", "protocol", "use"),
    [
        (Mode.ENFORCE, Mode.ENFORCE, GatewayProtocol.EXT_AUTHZ, FactUse.APPLY),
        (Mode.ENFORCE, Mode.ENFORCE, GatewayProtocol.GUARD_SERVICE, FactUse.APPLY),
        (Mode.SHADOW, Mode.ENFORCE, GatewayProtocol.EXT_AUTHZ, FactUse.SHADOW),
        (Mode.ENFORCE, Mode.SHADOW, GatewayProtocol.EXT_AUTHZ, FactUse.SHADOW),
        (Mode.ENFORCE, Mode.ENFORCE, GatewayProtocol.CLI, FactUse.DRY),
        (Mode.SHADOW, Mode.SHADOW, GatewayProtocol.CLI, FactUse.DRY),
    ],
)
async def test_a_source_is_told_what_it_may_change(
    mode: Mode, policy_mode: Mode, protocol: GatewayProtocol, use: FactUse, tier: Tier
) -> None:
    source = Source()
    answer = ALLOW if tier is Tier.NATIVE else (lambda _operation: _answered())
    bound = guard("g", answer, facts=("counter",), mode=mode, tier=tier)
    operation = msgspec.structs.replace(CALL, protocol=protocol)
    await decided(policy(bound, mode=policy_mode), operation, sources={"counter": source})
    assert [request.use for request in source.requests] == [use]


async def _answered() -> Any:
    return ALLOW


async def test_facts_are_fetched_once_although_the_guard_is_asked_again_of_a_modified_payload() -> None:
    source = Source()
    payload = {"name": "read", "arguments": {"path": "/b"}}
    modifies = hook("modifies", Modify(payload=payload))
    counts = hook("counts", facts=("counter",))
    decision = await decided(policy(modifies, counts), sources={"counter": source})
    assert decision.verdict == "modify"
    assert [operation.payload for operation in asked(counts)] == [CALL.payload, payload]
    assert facts_given(counts) == [{"counter": 1}, {"counter": 1}]
    assert len(source.requests) == 1


class Ready(Source):
    """Has what it is asked for at hand, or not."""

    def __init__(self, fact: Callable[[FactRequest], Any]) -> None:
        super().__init__()
        self.at_hand = fact


async def test_a_fact_that_is_at_hand_is_not_fetched() -> None:
    source = Ready(lambda request: f"{request.guard} {request.need} {request.use}")
    needs = particular(lambda operation: {"counter": operation.subject})
    assert (await decided(policy(needs), sources={"counter": source})).verdict == "allow"
    assert facts_given(needs) == [{"counter": f"particular read {FactUse.APPLY}"}]
    assert source.requests == []


@pytest.mark.parametrize("fact", [lambda _request: None, raises(KeyError("no"))])
async def test_a_fact_that_is_not_at_hand_is_fetched(fact: Callable[[FactRequest], Any]) -> None:
    source = Ready(fact)
    needs = particular(lambda _operation: {"counter": "it"})
    assert (await decided(policy(needs), sources={"counter": source})).verdict == "allow"
    assert facts_given(needs) == [{"counter": 1}]


async def test_facts_of_which_one_is_not_at_hand_are_all_fetched() -> None:
    ready, waiting = Ready(lambda _request: "at hand"), Source()
    needs = particular(lambda _operation: {"ready": 1, "counter": 2})
    assert (await decided(policy(needs), sources={"ready": ready, "counter": waiting})).verdict == "allow"
    assert facts_given(needs) == [{"ready": 1, "counter": 1}]
