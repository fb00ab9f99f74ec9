"""Orders: what a definition says, read under the sentences of other definitions that have the model use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from guardsvc.guards.native.tool_poisoning.filter import plain_of
from guardsvc.guards.native.tool_poisoning.links import Named
from guardsvc.guards.native.tool_poisoning.shapes import shapes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from guardsvc.guards.native.tool_poisoning.links import Definition, Fragment
    from guardsvc.guards.native.tool_poisoning.pack import Pack, Rule
    from guardsvc.guards.native.tool_poisoning.spread import Spread

__all__ = ["LINKED", "Orders"]

MAX_ORDERS = 8
"""Different orders to use one definition that are held against it one by one; further ones count as a single order."""
MAX_LOOKS = 4_096
"""Different pairs of an order and what it leads to that are looked at in one catalog; each one beyond is a hit."""

LINKED = frozenset(
    {
        "instruction_override",
        "persona_switch",
        "concealed_action",
        "secret_file_access",
        "data_exfiltration",
        "context_capture",
        "argument_rewrite",
        "shell_command",
        "network_beacon",
        "persistence",
    }
)
"""Rules that may hold of a definition together with the sentence of another one that has it used."""
_ORDER = ("sequence", "modal", "modal_strong", "regardless", "also", "lead", "addressee", "reason", "threat", "secrecy")
_PAYLOAD = (
    "context",
    "credential",
    "user_secret",
    "secret_file",
    "home_path",
    "private",
    "shell",
    "shell_pipe",
    "override",
    "persona",
    "hush_user",
    "hush",
    "sink_out",
    "persist",
)

_Order: TypeAlias = "tuple[Fragment, Definition, int]"
"""A sentence, the definition that it has used, and its signals."""


class Orders:
    """Attacks of which one definition says what is to be done, and another one that it must be.

    Args:
        pack: the rule pack.
        rules: ids of those in use.
        spread: what finds signals.
    """

    def __init__(self, pack: Pack, rules: frozenset[str], spread: Spread) -> None:
        self._spread = spread
        self._shapes = shapes()
        self._order = pack.bits(*_ORDER)
        self._payload = pack.bits(*_PAYLOAD)
        self._linked = self._order | self._payload
        for rule in pack.rules:
            if rule.id in LINKED & rules:
                for combination in rule.combinations:
                    self._linked |= combination.needed

    def hits(
        self, definitions: Sequence[Definition], suspects: Collection[int]
    ) -> Iterator[tuple[Rule | None, tuple[Fragment, Fragment]]]:
        """The sentence that gives the order and what it leads to, with the rule that they have together.

        The rule is None where something is for review in both, or nobody can look at all of them.

        Args:
            definitions: of one server.
            suspects: indexes of those that something was found in which is for review at least.
        """
        named = Named(definitions)
        links = list(named.links(definitions))
        ends = {definition.index: definition for link in links for definition in link}
        signals = dict(zip(ends, self._spread.signals([plain_of(each.data) for each in ends.values()]), strict=True))
        looks = _Looks(self._spread)
        givers: dict[int, Definition] = {}
        for giver, target in links:
            both = giver.index in suspects and target.index in suspects
            if both or self._may_lead(signals[giver.index], signals[target.index], looks):
                givers[giver.index] = giver
        hidden = self._hidden(ends.values()) if givers else {}
        orders: dict[int, dict[int, Fragment]] = {}
        for piece, target, mask in self._given(named, givers.values(), hidden, signals):
            if mask & self._order and piece.of.index in suspects and target.index in suspects:
                yield None, (piece, next(target.fragments(hidden=False), piece))
            if self._may_lead(mask, signals[target.index], looks):
                _add(orders.setdefault(target.index, {}), mask, piece)
        for index, of_target in orders.items():
            pieces = list(ends[index].fragments(hidden=hidden[index]))
            masks = self._masks_near_payload(pieces, signals[index])
            for order, giver_piece in of_target.items():
                yield from ((rule, (giver_piece, piece)) for rule, piece in self._under(order, pieces, masks, looks))

    def _given(
        self, named: Named, givers: Collection[Definition], hidden: dict[int, bool], signals: dict[int, int]
    ) -> Iterator[_Order]:
        """The sentences that name another definition."""
        found = [
            (piece, called)
            for giver in givers
            for piece in giver.fragments(hidden=hidden[giver.index], naming=named)
            if (called := named.called_by(giver, piece.content))
        ]
        upper = 0
        for giver in givers:
            upper |= signals[giver.index]
        masks = self._spread.masks([piece for piece, _ in found], upper & self._linked)
        for (piece, called), mask in zip(found, masks, strict=True):
            yield from ((piece, target, mask) for target in called)

    def _masks_near_payload(self, pieces: Sequence[Fragment], upper: int) -> list[int]:
        """The signals of pieces that say what is to be done and of those before and behind, 0 for the others."""
        said = self._spread.masks(pieces, upper & self._payload)
        near = [index for index in range(len(pieces)) if any(said[max(0, index - 1) : index + 2])]
        masks = [0] * len(pieces)
        found = self._spread.masks([pieces[index] for index in near], upper & self._linked)
        for index, mask in zip(near, found, strict=True):
            masks[index] = mask
        return masks

    def _under(
        self, order: int, pieces: Sequence[Fragment], masks: Sequence[int], looks: _Looks
    ) -> Iterator[tuple[Rule | None, Fragment]]:
        """What the pieces of a definition amount to under an order to use it; two neighbours count together."""
        for index, (piece, mask) in enumerate(zip(pieces, masks, strict=True)):
            said = mask
            if index and pieces[index - 1].path is piece.path:
                said |= masks[index - 1]
            if said & self._payload:
                yield from ((rule, piece) for rule in looks.held(order, said))

    def _may_lead(self, giver: int, target: int, looks: _Looks) -> bool:
        """Whether signals leave it open that one definition orders what another one says."""
        return bool(giver & self._order) and bool(target & self._payload) and looks.may_hold(giver, target)

    def _hidden(self, definitions: Iterable[Definition]) -> dict[int, bool]:
        """Which definitions may have characters that hide something."""
        given = list(definitions)
        flags = self._shapes.flags([each.data for each in given])
        return {each.index: hidden for each, (hidden, _) in zip(given, flags, strict=True)}


class _Looks:
    """What pairs of signals amount to, each looked at once."""

    def __init__(self, spread: Spread) -> None:
        self._spread = spread
        self._possible: dict[int, bool] = {}
        self._found: dict[tuple[int, int], tuple[Rule | None, ...]] = {}

    def may_hold(self, giver: int, target: int) -> bool:
        """Whether signals that an order and what it leads to may have leave a rule open."""
        both = giver | target
        possible = self._possible.get(both)
        if possible is None:
            possible = len(self._possible) >= MAX_LOOKS or any(
                rule.id in LINKED for _, rule in self._spread.candidates(both)
            )
            self._possible[both] = possible
        return possible

    def held(self, order: int, said: int) -> tuple[Rule | None, ...]:
        """The rules that hold of both and of neither alone."""
        rules = self._found.get((order, said))
        if rules is None:
            if len(self._found) >= MAX_LOOKS:
                return (None,)
            held = self._spread.held(order | said, (order, said))
            rules = self._found[order, said] = tuple(rule for rule in held if rule.id in LINKED)
        return rules


def _add(orders: dict[int, Fragment], mask: int, piece: Fragment) -> None:
    if mask in orders or len(orders) < MAX_ORDERS:
        orders.setdefault(mask, piece)
    else:
        last, first = orders.popitem()
        orders[last | mask] = first
