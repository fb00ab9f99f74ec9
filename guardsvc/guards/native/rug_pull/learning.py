"""Learning: what of a list is pinned once the decision about it stands. Learning is not trusting what was doubted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.lists import member_of
from guardsvc.guards.native.rug_pull.judging import REFUSED
from guardsvc.guards.native.rug_pull.listing import definition_of, turn_of
from guardsvc.model import Severity
from guardsvc.state.catalog_needs import CatalogStore, LearnNeed, Listed, ListFact
from guardsvc.state.definitions import canonical
from guardsvc.state.pins import Pin, PinKind, PinState, place_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from guardsvc.guards.native.rug_pull.judging import Judgement
    from guardsvc.guards.native.rug_pull.listing import Item
    from guardsvc.guards.native.rug_pull.settings import RugPullSettings
    from guardsvc.model import Decision

__all__ = ["Learner"]

MAX_DEFINITION = 262_144
"""Bytes of a definition; a longer one is not learned, and not kept for approval."""
_MILD = frozenset({Severity.INFO, Severity.LOW})


class Learner:
    """Learns what one guard holds lists against.

    Args:
        settings: of the guard.
        store: where pins are kept.
        guard: id of the guard, whose own findings are no doubts.
    """

    def __init__(self, settings: RugPullSettings, store: CatalogStore, guard: str) -> None:
        self._settings = settings
        self._store = store
        self._guard = guard

    def learn(
        self,
        decision: Decision,
        fact: ListFact,
        kind: PinKind,
        items: Sequence[Item],
        judgements: Mapping[int, Judgement],
        *,
        forwarded: frozenset[tuple[str, str]] | None,
        beside: Sequence[Item] = (),
    ) -> LearnNeed | None:
        """What to remember of a list; None where nothing is new.

        Args:
            decision: about the list.
            fact: what was known of it, which says whose entries they are.
            kind: what it lists.
            items: the entries.
            judgements: by index, of those that the guard noticed something about.
            forwarded: names and digests of what the client is shown, None where the list is refused.
            beside: entries that another guard had taken out of the list.
        """
        operation = decision.operation
        doubtful = _doubtful(decision, kind, self._guard)
        refused = doubtful is not None and forwarded is None
        accepts = self._settings.update_baseline_on_allow
        lesson = _Lesson(kind, operation.payload, accepts=accepts, refused=refused)
        for item in items:
            doubted = doubtful is None or _shown_name(item, kind, operation.payload) in doubtful
            shown = forwarded is not None and (item.entry.name, item.entry.digest) in forwarded
            judgement = judgements.get(item.index)
            lesson.take(item, judgement, fact.pins.get(item.entry.name), shown=shown, doubted=doubted)
        for item in beside:
            pin = fact.pins.get(item.entry.name)
            if pin is not None and doubtful and _shown_name(item, kind, operation.payload) in doubtful:
                lesson.take_beside(item, pin)
        turn = turn_of(operation, kind, fact.server)
        complete = (fact.complete or kind is PinKind.SERVER) and forwarded is not None
        goes_on = complete and turn.next is not None
        if complete and not goes_on:
            lesson.pin(fact.before, self._settings.max_entries - len(fact.pins))
        if not (lesson.new or lesson.replaced or goes_on):
            return None
        return LearnNeed(
            store=self._store,
            place=place_of(operation.caller, fact.server),
            kind=kind,
            new=lesson.new,
            replaced=lesson.replaced,
            definitions=lesson.definitions,
            dropped=lesson.dropped,
            turn=turn if goes_on else None,
            pages=_pages(fact, lesson.fresh, items) if goes_on else (),
        )


class _Lesson:
    """What is gathered of one list.

    Attributes:
        fresh: entries without a pin, which are pinned once the list is complete.
        new: pins of what had none.
        replaced: pins that change.
        definitions: canonical JSON of what they stand for, by digest.
    """

    def __init__(self, kind: PinKind, payload: object, *, accepts: bool, refused: bool) -> None:
        self._kind = kind
        self._refused = refused
        self._payload = payload
        self._accepts = accepts
        self._left: set[str] = set()
        self.fresh: list[Listed] = []
        self.new: dict[str, Pin] = {}
        self.replaced: dict[str, Pin] = {}
        self.definitions: dict[str, bytes] = {}

    @property
    def dropped(self) -> tuple[str, ...]:
        """Digests of definitions that no pin stands for any more."""
        kept = {digest for pin in self.replaced.values() for digest in (pin.digest, pin.first, pin.changed)}
        return tuple(self._left - kept)

    def take(self, item: Item, judgement: Judgement | None, pin: Pin | None, *, shown: bool, doubted: bool) -> None:
        """Take one entry; ``shown`` to the client, ``doubted`` by a guard."""
        held = judgement.pin if judgement is not None else pin
        if held is None:
            if shown:
                twice = judgement is not None and judgement.rule == "duplicate_name"
                self._take_new(item, doubted=doubted or twice)
        elif judgement is None:
            if held.changed and shown:
                self.replaced[item.entry.name] = msgspec.structs.replace(held, changed="")
                self._left.add(held.changed)
        elif judgement.rule in REFUSED or (doubted and not shown and self._refused):
            self._mark(item, held)
        elif shown and not doubted and self._accepts:
            self._accept(item, held)

    def take_beside(self, item: Item, pin: Pin) -> None:
        """Mark what another guard took out for what it found in it, where it is not what was trusted."""
        if pin.digest != item.entry.digest:
            self._mark(item, pin)

    def pin(self, before: Iterable[Listed], room: int) -> None:
        """Pin what is new on this page and those before, unless a name stands for two things."""
        listed = (*before, *self.fresh)
        digests: dict[str, set[str]] = {}
        for each in listed:
            digests.setdefault(each.entry.name, set()).add(each.entry.digest)
        for each in listed:
            if each.doubtful or len(digests[each.entry.name]) > 1 or len(self.new) >= room:
                continue
            entry = each.entry
            self.new[entry.name] = Pin(digest=entry.digest, shape=each.shape, state=PinState.LEARNING)
            self.definitions[entry.digest] = each.definition.encode()

    def _take_new(self, item: Item, *, doubted: bool) -> None:
        if doubted:
            self.fresh.append(Listed(item.entry, doubtful=True))
            return
        definition = definition_of(item, self._kind, self._payload)
        data = canonical(definition)[1]
        if len(data) > MAX_DEFINITION:
            self.fresh.append(Listed(item.entry, doubtful=True))
        else:
            self.fresh.append(Listed(item.entry, data.decode(), shape_of(definition)))

    def _mark(self, item: Item, pin: Pin) -> None:
        entry = item.entry
        if pin.changed == entry.digest:
            return
        self.replaced[entry.name] = msgspec.structs.replace(pin, changed=entry.digest)
        data = canonical(definition_of(item, self._kind, self._payload))[1]
        if len(data) <= MAX_DEFINITION:
            self.definitions[entry.digest] = data
        if pin.changed:
            self._left.add(pin.changed)

    def _accept(self, item: Item, pin: Pin) -> None:
        entry = item.entry
        definition = definition_of(item, self._kind, self._payload)
        anchor = "" if pin.first == entry.digest else pin.first
        self.replaced[entry.name] = Pin(
            digest=entry.digest,
            shape=shape_of(definition),
            state=PinState.LEARNING,
            since=pin.since,
            anchor=anchor,
        )
        self.definitions[entry.digest] = canonical(definition)[1]
        self._left |= {digest for digest in (pin.digest, pin.changed) if digest}


def _pages(fact: ListFact, fresh: Iterable[Listed], items: Iterable[Item]) -> tuple[Listed, ...]:
    """What this page and those before had: the new ones whole, of the others the names."""
    new = {listed.entry.name: listed for listed in fresh}
    return (*fact.before, *(new.get(item.entry.name) or Listed(item.entry, doubtful=True) for item in items))


def _doubtful(decision: Decision, kind: PinKind, guard: str) -> set[str] | None:
    """Names of entries that a guard found something about; None where it is about the whole list.

    Which payload a finding points into, before or after another guard's modification, is not told; both count.
    """
    names: set[str] = set()
    findings = [(finding, "") for finding in decision.earlier]
    findings += [(finding, outcome.guard) for outcome in decision.outcomes for finding in outcome.findings]
    for finding, by in findings:
        if finding.suppressed_by or finding.severity is Severity.INFO or by == guard:
            continue
        about = {
            name
            for payload in (decision.operation.payload, decision.payload)
            if (name := _name_at(payload, kind, finding.where)) is not None
        }
        if about:
            names |= about
        elif finding.severity not in _MILD:
            return None
    return names


def _shown_name(item: Item, kind: PinKind, payload: Any) -> Any:
    if kind is PinKind.SERVER:
        return item.entry.name
    member, field = member_of(kind)
    return payload[member][item.index][field]


def _name_at(payload: object, kind: PinKind, where: str) -> str | None:
    if kind is PinKind.SERVER or type(payload) is not dict:
        return None
    member, field = member_of(kind)
    tokens = where.split("/", 3)
    listed = payload.get(member)
    if len(tokens) < 3 or tokens[1] != member or not tokens[2].isdecimal() or type(listed) is not list:  # noqa: PLR2004
        return None
    index = int(tokens[2][:9])
    entry = listed[index] if index < len(listed) else None
    name = entry.get(field) if type(entry) is dict else None
    return name if type(name) is str else None
