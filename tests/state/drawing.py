"""Operations that draw on limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.model import FactRequest, FactUse
from guardsvc.state import Draw, Limit, RateNeed, Store, Strategy, parse_window
from tests.engine.scripted import CALL

if TYPE_CHECKING:
    from guardsvc.state import RateFact, RateLimits

__all__ = ["Clock", "draw", "drawn", "limit", "passes"]

MEMORY = Store()


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def limit(*windows: str, name: str = "calls", strategy: Strategy = Strategy.SLIDING) -> Limit:
    return Limit(name=name, strategy=strategy, windows=tuple(map(parse_window, windows)))


def draw(of: Limit, key: str = "ann", *, cost: int = 1, by_address: bool = False) -> Draw:
    return Draw(limit=of, key=key, cost=cost, by_address=by_address)


async def drawn(
    limits: RateLimits,
    *draws: Draw,
    store: Store = MEMORY,
    guard: str = "rate_limit",
    use: FactUse = FactUse.APPLY,
    seconds: float = 10.0,
) -> RateFact:
    """The fact of one operation."""
    need = RateNeed(store=store, draws=draws)
    return await limits.fetch(FactRequest(operation=CALL, guard=guard, need=need, use=use, seconds=seconds))


async def passes(
    limits: RateLimits, *draws: Draw, store: Store = MEMORY, guard: str = "rate_limit", use: FactUse = FactUse.APPLY
) -> bool:
    """Whether the operation has room everywhere."""
    return not (await drawn(limits, *draws, store=store, guard=guard, use=use)).exhausted
