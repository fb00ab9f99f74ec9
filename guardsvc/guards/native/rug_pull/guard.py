"""The guard: holds lists and calls against what was trusted, and says what is to be learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.lists import Prefixes, indexes_of, listing_kind, refuse_entries
from guardsvc.guards.native.rug_pull.judging import MORE, REFUSED, RULES, Judgement, Judging, findings_of
from guardsvc.guards.native.rug_pull.learning import Learner
from guardsvc.guards.native.rug_pull.listing import (
    Listing,
    Part,
    asked_kind,
    called,
    cursor_of,
    turn_of,
)
from guardsvc.guards.native.rug_pull.lockfile import Locked, LockfileError, read_lockfile
from guardsvc.guards.native.rug_pull.settings import RugPullSettings
from guardsvc.guards.native.storage import store_of
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Direction,
    Facts,
    Finding,
    GuardContext,
    GuardType,
    Operation,
    Phase,
    SettingsError,
    Severity,
    Verdict,
    reason_for,
)
from guardsvc.state.catalog import CATALOG
from guardsvc.state.catalog_needs import (
    AskedNeed,
    CallFact,
    CallNeed,
    LearnNeed,
    ListFact,
    ListNeed,
    SeveralNeed,
)
from guardsvc.state.pins import Pin, PinKind, PinState, place_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from guardsvc.guards.native.rug_pull.listing import Item
    from guardsvc.model import Decision

__all__ = ["RUG_PULL", "RugPull"]

CHANGED = "rug_pull_detected"
NOT_APPROVED = "definition_not_approved"
_MEMO = "_judged_lists"


class RugPull:
    """The guard; see ``RugPullSettings``.

    Attributes:
        settings: its settings.
        store: where its pins are kept.
        locked: what its lockfile approves.
        learns_of_refusals: a list that another guard refused is doubted, whoever it is shown to next.
    """

    learns_of_refusals = True

    def __init__(self, settings: RugPullSettings, context: GuardContext) -> None:
        self.settings = settings
        self.store = store_of(settings, context)
        self.locked = _locked(settings)
        self._prefixes = Prefixes(context)
        self._listing = Listing(self._prefixes)
        self._judging = Judging(settings, self.locked)
        self._learner = Learner(settings, self.store, context.guard_id)

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """What is known of the entries of a list, of what is called, or which page is asked for."""
        if operation.direction is Direction.RESPONSE:
            return self._needs_of_list(operation)
        if (kind := called(operation)) is not None and operation.subject is not None and operation.servers:
            places = tuple(place_of(operation.caller, server) for server in operation.servers)
            return {CATALOG: CallNeed(store=self.store, places=places, kind=kind, name=operation.subject)}
        if (kind := asked_kind(operation)) is not None and (operation.server is not None or not self._prefixes.void):
            return {CATALOG: AskedNeed(store=self.store, turn=turn_of(operation, kind), cursor=cursor_of(operation))}
        return {}

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Refuse what has changed, and what is not trusted where that is asked for."""
        fact = facts.get(CATALOG)
        kind = listing_kind(operation) if isinstance(fact, ListFact | tuple) else None
        if kind is not None:
            judgements = [judgement for judged in self._judged(operation, kind, fact) for judgement in judged.found]
            refused = {judgement.item.index for judgement in judgements if judgement.rule in REFUSED}
            return self._conclude(operation, kind, findings_of(judgements), refused)
        of_call = called(operation)
        if of_call is None:
            return ALLOW
        return self._call(operation, of_call, fact if isinstance(fact, CallFact) else CallFact())

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the guard says if these of its findings are all there is."""
        kind = listing_kind(operation) if operation.direction is Direction.RESPONSE else None
        if kind is None:
            return Deny(code=CHANGED, message=reason_for(CHANGED).text, findings=findings) if findings else ALLOW
        refusing = [finding for finding in findings if finding.rule in REFUSED]
        if MORE in {finding.rule for finding in findings}:
            return _denial(len(refusing), findings)
        refused = {0} if kind is PinKind.SERVER and refusing else indexes_of(refusing, kind) if refusing else set()
        return self._conclude(operation, kind, findings, refused)

    def learns(self, decision: Decision, facts: Facts) -> Mapping[str, Any]:
        """What to pin and to mark; nothing of what a listener shows that does not say so."""
        fact, operation = facts.get(CATALOG), decision.operation
        kind = listing_kind(operation) if operation.learnable and isinstance(fact, ListFact | tuple) else None
        if kind is None:
            return {}
        shown: dict[str, frozenset[tuple[str, str]]] = {}
        refused = decision.verdict not in ("allow", "modify")
        lessons: list[LearnNeed] = []
        for judged in self._judged(operation, kind, fact):
            if not judged.found and not judged.beside and _settled(operation, judged):
                continue
            shown = shown or self._forwarded(decision, kind)
            lesson = self._learner.learn(
                decision,
                judged.fact,
                kind,
                judged.part.items,
                {judgement.item.index: judgement for judgement in judged.found},
                forwarded=None if refused else shown.get(judged.part.server, frozenset()),
                beside=judged.beside,
            )
            if lesson is not None:
                lessons.append(lesson)
        if len(lessons) == 1:
            return {CATALOG: lessons[0]}
        return {CATALOG: SeveralNeed(store=self.store, needs=tuple(lessons))} if lessons else {}

    def _needs_of_list(self, operation: Operation) -> Mapping[str, Any]:
        kind = listing_kind(operation)
        if kind is None:
            return {}
        pages = operation.learnable and kind is not PinKind.SERVER
        needs = tuple(
            ListNeed(
                store=self.store,
                place=place_of(operation.caller, part.server),
                kind=kind,
                entries=part.entries,
                turn=turn_of(operation, kind, part.server) if pages else None,
            )
            for part in self._listing.parts(kind, operation, operation.payload)
        )
        if operation.server is not None and len(needs) == 1:
            return {CATALOG: needs[0]}
        return {CATALOG: SeveralNeed(store=self.store, needs=needs)} if needs else {}

    def _forwarded(self, decision: Decision, kind: PinKind) -> dict[str, frozenset[tuple[str, str]]]:
        """Names and digests of what the client is shown, by server; nothing where it is refused."""
        if decision.verdict not in ("allow", "modify"):
            return {}
        payload = decision.payload if decision.verdict == "modify" else decision.operation.payload
        return {
            part.server: frozenset((item.entry.name, item.entry.digest) for item in part.items)
            for part in self._listing.parts(kind, decision.operation, payload)
        }

    def _judged(self, operation: Operation, kind: PinKind, fact: Any) -> list[_Judged]:
        """Each server's part of a list with what is noticed about it."""
        memo: dict[RugPull, tuple[Any, list[_Judged]]] = operation.__dict__.setdefault(_MEMO, {})
        last = memo.get(self)
        if last is not None and last[0] is fact:
            return last[1]
        judged: list[_Judged] = []
        parts = {part.server: part for part in self._listing.parts(kind, operation, operation.payload)}
        for of_part in fact if isinstance(fact, tuple) else (fact,):
            part, beside = _asked(parts.get(of_part.server) or Part(of_part.server, ()), of_part)
            if of_part.settled and not self.locked:
                judged.append(_Judged(part, of_part, [], beside))
                continue
            place = place_of(operation.caller, part.server)
            found = self._judging.list(part.items, of_part, place, kind, operation.payload)
            judged.append(_Judged(part, of_part, found, beside))
        memo[self] = fact, judged
        return judged

    def _conclude(
        self, operation: Operation, kind: PinKind, findings: tuple[Finding, ...], refused: Collection[int]
    ) -> Verdict:
        if not refused:
            return Allow(findings=findings) if findings else ALLOW
        return refuse_entries(
            operation,
            kind,
            refused,
            findings,
            on_finding=self.settings.on_change,
            code=CHANGED,
            details={"changed": len(refused)},
        )

    def _call(self, operation: Operation, kind: PinKind, fact: CallFact) -> Verdict:
        """Every server that the call may reach counts: one at which it has changed, and none that nobody trusts."""
        pins: list[Pin | None] = []
        for server in operation.servers:
            place = place_of(operation.caller, server)
            locked = self.locked.get((place, kind, operation.subject or ""))
            stored = fact.pins.get(server)
            pin = stored if locked is None else locked.pin
            if stored is not None and stored.changed and (pin is stored or stored.changed != locked_digest(locked)):
                finding = Finding(rule="changed", severity=Severity.HIGH, threats=RULES["changed"])
                return Deny(code=CHANGED, message=reason_for(CHANGED).text, findings=(finding,))
            pins.append(pin)
        if kind is PinKind.RESOURCE or (any(pins) and all(pin is None or self._trusts(pin) for pin in pins)):
            return ALLOW
        rule = "not_approved" if any(pins) else "unknown"
        finding = Finding(rule=rule, severity=Severity.LOW, threats=RULES[rule])
        if not self.settings.denies_unknown:
            return Allow(findings=(finding,))
        return Deny(code=NOT_APPROVED, message=reason_for(NOT_APPROVED).text, findings=(finding,))

    def _trusts(self, pin: Pin) -> bool:
        return pin.state is PinState.APPROVED or self.settings.trust == "first_use"


class _Judged(msgspec.Struct, frozen=True):
    """A server's part of a list, what is known of it, and what is noticed about it.

    Attributes:
        beside: entries that another guard had taken out before this one was asked.
    """

    part: Part
    fact: ListFact
    found: list[Judgement]
    beside: tuple[Item, ...] = ()


def _asked(part: Part, fact: ListFact) -> tuple[Part, tuple[Item, ...]]:
    """The entries of a part that the fact was asked for, and the others."""
    if part.entries == fact.asked:
        return part, ()
    asked = set(fact.asked)
    beside = tuple(item for item in part.items if item.entry not in asked)
    return Part.of(part.server, (item for item in part.items if item.entry in asked)), beside


def _settled(operation: Operation, judged: _Judged) -> bool:
    """Whether everything listed is pinned, and nothing is marked or waits for another page."""
    if judged.fact.before:
        return False
    pins = judged.fact.pins
    return judged.fact.settled or (
        "nextCursor" not in operation.payload
        and all((pin := pins.get(item.entry.name)) is not None and not pin.changed for item in judged.part.items)
    )


def _denial(count: int, findings: tuple[Finding, ...]) -> Deny:
    return Deny(code=CHANGED, message=reason_for(CHANGED).text, details={"changed": count}, findings=findings)


def locked_digest(locked: Any) -> str:
    """The digest that a lockfile approves, empty where it approves none."""
    return "" if locked is None else locked.pin.digest


def _locked(settings: RugPullSettings) -> Locked:
    if settings.lockfile is None:
        return {}
    try:
        return read_lockfile(Path(settings.lockfile))
    except LockfileError as error:
        raise SettingsError(("lockfile",), str(error)) from None


RUG_PULL = GuardType(
    name="rug_pull",
    settings=RugPullSettings,
    build=RugPull,
    runs_on=frozenset(
        {
            Phase.TOOLS_LIST,
            Phase.PROMPTS_LIST,
            Phase.RESOURCES_LIST,
            Phase.TOOL_INVOKE,
            Phase.PROMPT_GET,
            Phase.RESOURCE_READ,
            Phase.CONNECTION,
        }
    ),
    facts=(CATALOG,),
    code=CHANGED,
    rules=lambda _: frozenset(RULES),
    summary="Refuses tools, prompts, resources and instructions that have changed since they were trusted.",
)
