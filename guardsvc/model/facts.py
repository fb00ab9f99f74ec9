"""Facts: what guards need that is not in the operation. They say what; the engine fetches it from a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from guardsvc.model.operation import Operation
from guardsvc.model.word import Word

if TYPE_CHECKING:
    from guardsvc.model.decision import Decision

__all__ = ["FactNeeds", "FactRequest", "FactSource", "FactUse", "Facts", "Learns"]

Facts = Mapping[str, Any]
"""What the engine fetched for a guard, by the names the guard type declares."""


class FactUse(Word):
    """What becomes of the verdict that rests on a fact, and so what fetching it may change.

    ``apply``: it counts, and what is consumed is consumed. ``shadow``: it is recorded as what would have
    happened; nothing that an applied verdict rests on may change. ``dry``: somebody only looks (``check``,
    replay); nothing may change.
    """

    APPLY = "apply"
    SHADOW = "shadow"
    DRY = "dry"


class FactRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a source is asked for.

    Attributes:
        operation: the operation under decision.
        guard: id of the guard that needs it.
        need: what the guard said it needs for this operation, None where it says nothing of the kind.
        use: what may change.
        seconds: how long the guard may take as a whole.
    """

    operation: Operation
    guard: str
    need: Any = None
    use: FactUse = FactUse.APPLY
    seconds: float = 1.0


class FactSource(Protocol):
    """Where one fact comes from."""

    async def fetch(self, request: FactRequest) -> Any:
        """The fact.

        Raises:
            GuardFailure: with ``state_unavailable`` where the state cannot be reached.
        """


class AtHand(Protocol):
    """A source that has some facts without a way to its store, and gives them at once."""

    def at_hand(self, request: FactRequest) -> Any:
        """What ``fetch`` would give, where nothing has to be waited for and nothing changes by it; else None."""


class FactNeeds(Protocol):
    """A guard that says for each operation what it needs. One that does not gets every fact its type declares."""

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """The facts to fetch, each with what to ask its source for; pure, as ``evaluate`` is."""


class Learns(Protocol):
    """A guard whose sources remember something of a decision, such as what a server showed and nobody objected to.

    One with an attribute ``learns_of_refusals`` that is true is told of answers of servers that were refused before it
    was asked, too: its facts are fetched for that.
    """

    def learns(self, decision: Decision, facts: Facts) -> Mapping[str, Any]:
        """What to tell each source once the decision stands; pure, as ``evaluate`` is.

        Args:
            decision: about the operation, with every guard's outcome.
            facts: those that this guard was given for it.
        """
