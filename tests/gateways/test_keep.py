"""What becomes of an exchange whose records are required and missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from guardsvc.gateways.keep import keep
from guardsvc.model import Decision, Mode
from tests.engine.scripted import DENY, guard, policy
from tests.gateways.posted import judged, request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.observe import Recorder

POLICY = policy(guard("g"))


class Records:
    """A recorder that says so, and remembers what it was told."""

    def __init__(self, *, kept: bool) -> None:
        self._kept = kept
        self.refused: list[Decision] = []
        self.sizes: list[int] = []

    async def keep(
        self,
        decisions: Sequence[Decision],
        *,
        policy_name: str,
        size: int,
        weight: int | None,
        deadline: float,
    ) -> bool:
        assert weight is None
        assert (policy_name, deadline, len(decisions)) == (POLICY.settings.name, 1.0, 1)
        self.sizes.append(size)
        return self._kept

    def keep_refused(self, decisions: Sequence[Decision], *, policy_name: str, size: int) -> None:
        assert policy_name == POLICY.settings.name
        self.refused.extend(decisions)
        self.sizes.append(size)


async def test_an_exchange_with_its_records_is_as_it_was() -> None:
    records = Records(kept=True)
    exchange = await judged(POLICY, request())

    assert await keep(exchange, cast("Recorder", records), POLICY, size=9, deadline=1.0) is exchange
    assert (records.refused, records.sizes) == ([], [9])


async def test_an_exchange_without_them_is_refused_under_its_own_ids() -> None:
    records = Records(kept=False)
    exchange = await judged(POLICY, request())
    refused = await keep(exchange, cast("Recorder", records), POLICY, size=9, deadline=1.0)

    assert refused.refusal is not None
    assert (refused.leading.code, refused.leading.guard) == ("audit_unavailable", None)
    assert refused.leading.id == exchange.leading.id
    assert refused.leading.outcomes == exchange.leading.outcomes
    assert records.refused == list(refused.decisions)
    assert records.sizes == [9, 9]


@pytest.mark.parametrize("verdict", [None, DENY])
async def test_under_a_shadow_policy_it_passes_nevertheless(verdict: object) -> None:
    shadow = policy(guard("g", verdict) if verdict else guard("g"), mode=Mode.SHADOW)
    exchange = await judged(shadow, request())
    refused = await keep(exchange, cast("Recorder", Records(kept=False)), shadow, size=9, deadline=1.0)

    assert refused.refusal is None
    assert (refused.leading.verdict, refused.leading.applied) == ("deny", "allow")
