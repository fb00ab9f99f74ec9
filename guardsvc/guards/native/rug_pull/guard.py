"""The guard: holds lists and calls against what was trusted, and says what is to be learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardsvc.guards.native.rug_pull.judging import MORE, REFUSED, RULES, Judgement, Judging, findings_of
from guardsvc.guards.native.rug_pull.learning import Learner
from guardsvc.guards.native.rug_pull.listing import (
    Listing,
    asked_kind,
    called,
    cursor_of,
    listing_kind,
    member_of,
    turn_of,
)
from guardsvc.guards.native.rug_pull.lockfile import Locked, LockfileError, read_lockfile
from guardsvc.guards.native.rug_pull.settings import RugPullSettings
from guardsvc.model import (
    ALLOW,
    Allow,
    Deny,
    Direction,
    Facts,
    Finding,
    GuardContext,
    GuardType,
    Modify,
    Operation,
    Phase,
    SettingsError,
    Severity,
    Verdict,
    reason_for,
)
from guardsvc.state import UrlError
from guardsvc.state.catalog import CATALOG
from guardsvc.state.catalog_needs import AskedNeed, CallFact, CallNeed, CatalogStore, ListFact, ListNeed
from guardsvc.state.open_tables import check_tables_url
from guardsvc.state.pins import Pin, PinKind, PinState, place_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from guardsvc.model import Decision

__all__ = ["RUG_PULL", "RugPull"]

CHANGED = "rug_pull_detected"
NOT_APPROVED = "definition_not_approved"


class RugPull:
    """The guard; see ``RugPullSettings``.

    Attributes:
        settings: its settings.
        store: where its pins are kept.
        locked: what its lockfile approves.
    """

    def __init__(self, settings: RugPullSettings, context: GuardContext) -> None:
        self.settings = settings
        self.store = _store(settings, context)
        self.locked = _locked(settings)
        self._listing = Listing()
        self._judging = Judging(settings, self.locked)
        self._last: tuple[ListFact | None, Any, list[Judgement]] = (None, None, [])
        self._learner = Learner(settings, self.store, context.guard_id)

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """What is known of the entries of a list, of what is called, or which page is asked for."""
        if operation.direction is Direction.RESPONSE:
            kind = listing_kind(operation)
            if kind is None or operation.server is None:
                return {}
            items = self._listing.items(kind, operation.payload)
            return {
                CATALOG: ListNeed(
                    store=self.store,
                    place=place_of(operation.caller, operation.server),
                    kind=kind,
                    entries=tuple(item.entry for item in items),
                    turn=turn_of(operation, kind) if operation.learnable and kind is not PinKind.SERVER else None,
                )
            }
        if (kind := called(operation)) is not None and operation.subject is not None and operation.servers:
            places = tuple(place_of(operation.caller, server) for server in operation.servers)
            return {CATALOG: CallNeed(store=self.store, places=places, kind=kind, name=operation.subject)}
        if (kind := asked_kind(operation)) is not None and operation.server is not None:
            return {CATALOG: AskedNeed(store=self.store, turn=turn_of(operation, kind), cursor=cursor_of(operation))}
        return {}

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Refuse what has changed, and what is not trusted where that is asked for."""
        fact = facts.get(CATALOG)
        if isinstance(fact, ListFact):
            kind, judgements = self._judged(operation, fact)
            refused = {judgement.item.where for judgement in judgements if judgement.rule in REFUSED}
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
        refused = {finding.where for finding in findings if finding.rule in REFUSED}
        if MORE in {finding.rule for finding in findings}:
            return _denial(len(refused), findings)
        return self._conclude(operation, kind, findings, refused)

    def learns(self, decision: Decision, facts: Facts) -> Mapping[str, Any]:
        """What to pin and to mark; nothing of what a listener shows that does not say so."""
        fact, operation = facts.get(CATALOG), decision.operation
        if not operation.learnable or not isinstance(fact, ListFact):
            return {}
        kind, judgements = self._judged(operation, fact)
        if not judgements and self._settled(operation, fact, kind):
            return {}
        need = self._learner.learn(
            decision,
            fact,
            kind,
            self._listing.items(kind, operation.payload),
            {judgement.item.index: judgement for judgement in judgements},
            self._forwarded(decision, kind),
        )
        return {} if need is None else {CATALOG: need}

    def _settled(self, operation: Operation, fact: ListFact, kind: PinKind) -> bool:
        """Whether everything listed is pinned, and nothing is marked or waits for another page."""
        pins = fact.pins
        return "nextCursor" not in operation.payload and all(
            (pin := pins.get(item.entry.name)) is not None and not pin.changed
            for item in self._listing.items(kind, operation.payload)
        )

    def _forwarded(self, decision: Decision, kind: PinKind) -> frozenset[tuple[str, str]]:
        """Names and digests of what the client is shown; nothing where it is refused."""
        if decision.verdict not in ("allow", "modify"):
            return frozenset()
        payload = decision.payload if decision.verdict == "modify" else decision.operation.payload
        return frozenset((item.entry.name, item.entry.digest) for item in self._listing.items(kind, payload))

    def _judged(self, operation: Operation, fact: ListFact) -> tuple[PinKind, list[Judgement]]:
        kind = listing_kind(operation)
        if kind is None or operation.server is None:
            return PinKind.TOOL, []
        last_fact, last_payload, judgements = self._last
        if last_fact is fact and last_payload is operation.payload:
            return kind, judgements
        items = self._listing.items(kind, operation.payload)
        judgements = self._judging.list(
            items, fact, place_of(operation.caller, operation.server), kind, operation.payload
        )
        self._last = (fact, operation.payload, judgements)
        return kind, judgements

    def _conclude(
        self, operation: Operation, kind: PinKind, findings: tuple[Finding, ...], refused: Collection[str]
    ) -> Verdict:
        if not refused:
            return Allow(findings=findings) if findings else ALLOW
        if self.settings.on_change == "drop_tool" and kind is not PinKind.SERVER:
            member = member_of(kind)[0]
            kept = [
                value for index, value in enumerate(operation.payload[member]) if f"/{member}/{index}" not in refused
            ]
            return Modify(payload={**operation.payload, member: kept}, findings=findings)
        return _denial(len(refused), findings)

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


def _denial(count: int, findings: tuple[Finding, ...]) -> Deny:
    return Deny(code=CHANGED, message=reason_for(CHANGED).text, details={"changed": count}, findings=findings)


def locked_digest(locked: Any) -> str:
    """The digest that a lockfile approves, empty where it approves none."""
    return "" if locked is None else locked.pin.digest


def _store(settings: RugPullSettings, context: GuardContext) -> CatalogStore:
    if isinstance(settings.storage, str):
        if context.workers > 1 and not settings.per_worker:
            raise SettingsError(
                ("per_worker",),
                f"each of the {context.workers} workers would have pins of its own: set per_worker: true, or storage "
                "to sqlite:/path or the URL of a Redis that they share",
            )
        return CatalogStore()
    url = settings.storage.reveal()
    try:
        check_tables_url(url)
    except UrlError as error:
        raise SettingsError(("storage",), str(error)) from None
    return CatalogStore(url)


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
