"""``catalog_anomaly``: lists that grow or change more than a server's lists do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from pydantic import Field

from guardsvc.guards.native.lists import (
    LIST_PHASES,
    MAX_REMEMBERED,
    Entry,
    Prefixes,
    digest_of_list,
    entries_of,
    listing_kind,
    member_of,
    refuse_entries,
)
from guardsvc.guards.native.storage import StoredSettings, store_of
from guardsvc.guards.native.tool_poisoning.cache import DigestCache
from guardsvc.model import (
    ALLOW,
    Allow,
    Direction,
    Facts,
    Finding,
    GuardContext,
    GuardType,
    Operation,
    Severity,
    Verdict,
)
from guardsvc.state.definitions import digest_of
from guardsvc.state.listed import LISTED, ListedFact, ListedNeed, NoteNeed
from guardsvc.state.pins import PinKind, Place, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardsvc.model import Decision
    from guardsvc.state.listed import Seen

__all__ = ["CATALOG_ANOMALY", "CatalogAnomaly", "CatalogAnomalySettings"]

CODE = "catalog_anomaly_detected"
SETTLING = 60.0
"""Seconds after the first sight of a catalog in which what is shown belongs to it: its pages come one by one."""
_CACHED = 64
_DIGITS = 16
_KINDS = (PinKind.TOOL, PinKind.PROMPT)
RULES: Mapping[str, tuple[Severity, tuple[str, ...]]] = {
    "too_many_entries": (Severity.MEDIUM, ("SAF-T2102", "MCP08")),
    "count_spike": (Severity.MEDIUM, ("SAF-T1201", "MCP03")),
    "churn": (Severity.MEDIUM, ("SAF-T1201", "MCP03")),
}
"""Severity and threat ids of the findings, by rule."""


class CatalogAnomalySettings(StoredSettings):
    """How much a catalog may grow and change."""

    action: Literal["report", "deny"] = Field(default="report", description="What a finding amounts to.")
    window_s: int = Field(
        default=86_400, ge=60, le=2_592_000, description="Seconds over which additions and changes are counted."
    )
    max_entries: int = Field(default=500, ge=1, le=100_000, description="Most entries of one list, or page of it.")
    spike_factor: float = Field(
        default=2.0, gt=1, le=1000, description="Times as many entries as before the window that are a spike."
    )
    spike_min: int = Field(
        default=10, ge=1, le=100_000, description="Entries that are new in the window, below which nothing is a spike."
    )
    churn_rate: float = Field(
        default=0.5, gt=0, le=1000, description="New and changed entries, as a part of those before the window."
    )
    churn_min: int = Field(
        default=10, ge=1, le=100_000, description="New and changed entries below which nothing is churn."
    )
    max_names: int = Field(
        default=2000, ge=1, le=100_000, description="Most names remembered of one tenant, server and kind."
    )


class CatalogAnomaly:
    """The guard; see ``CatalogAnomalySettings``."""

    def __init__(self, settings: CatalogAnomalySettings, context: GuardContext) -> None:
        self._settings = settings
        self._store = store_of(settings, context)
        self._prefixes = Prefixes(context)
        self._digests = DigestCache[tuple[tuple[str, str, str], ...]](_CACHED, b"catalog_anomaly")

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """The names that the servers of a list have shown before."""
        kind = _kind(operation)
        servers = {server for server, _, _ in self._shown(operation, kind)} if kind is not None else set()
        if kind is None or not servers:
            return {}
        places = tuple(place_of(operation.caller, server) for server in sorted(servers))
        return {LISTED: ListedNeed(store=self._store, places=places, kind=kind)}

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Notice lists that are too long, and catalogs that have grown or changed too much."""
        kind = listing_kind(operation) if operation.direction is Direction.RESPONSE else None
        if kind is None or kind is PinKind.SERVER:
            return ALLOW
        findings: list[Finding] = []
        listed = operation.payload[_member(kind)]
        if type(listed) is list and len(listed) > self._settings.max_entries:
            findings.append(_finding("too_many_entries", f"{len(listed)} entries"))
        fact = facts.get(LISTED)
        if isinstance(fact, ListedFact) and kind in _KINDS:
            for server, known in fact.names.items():
                findings += self._of_server(server, known, self._shown(operation, kind), fact.now)
        return self.reconsider(operation, tuple(findings)) if findings else ALLOW

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the guard says if these of its findings are all there is."""
        if not findings:
            return ALLOW
        if self._settings.action == "report":
            return Allow(findings=findings)
        return refuse_entries(operation, None, (), findings, on_finding="deny_list", code=CODE, details={})

    def learns(self, decision: Decision, facts: Facts) -> Mapping[str, Any]:
        """What the client is shown."""
        operation, fact = decision.operation, facts.get(LISTED)
        kind = _kind(operation)
        if not operation.learnable or not isinstance(fact, ListedFact) or kind is None:
            return {}
        if decision.verdict not in ("allow", "modify"):
            return {}
        if decision.verdict == "modify":
            operation = msgspec.structs.replace(operation, payload=decision.payload)
        news: dict[Place, dict[str, str]] = {}
        for server, name, digest in self._shown(operation, kind):
            seen = fact.names.get(server, {}).get(name)
            if seen is None or seen.digest != digest:
                news.setdefault(place_of(operation.caller, server), {})[name] = digest
        if not news:
            return {}
        return {LISTED: NoteNeed(store=self._store, kind=kind, names=news, most=self._settings.max_names)}

    def _shown(self, operation: Operation, kind: PinKind) -> tuple[tuple[str, str, str], ...]:
        """Server, name and digest of each entry."""
        listed = operation.payload[_member(kind)]
        if type(listed) is not list:
            return ()
        whole = digest_of_list(operation, kind)
        found = self._digests.get(whole)
        if found is None:
            found = tuple(_digested(entries_of(operation, kind, self._prefixes), kind))
            if len(found) <= MAX_REMEMBERED:
                self._digests.put(whole, found)
        return found

    def _of_server(
        self, server: str, known: Mapping[str, Seen], shown: Iterable[tuple[str, str, str]], now: float
    ) -> Iterable[Finding]:
        if not known:
            return
        settings = self._settings
        settled = min(seen.first for seen in known.values()) + SETTLING
        since = now - settings.window_s
        before = sum(seen.first <= max(settled, since) for seen in known.values())
        if now <= settled:
            return
        added = len(known) - before
        changed = sum(seen.changed > since and seen.first <= max(settled, since) for seen in known.values())
        for of_server, name, digest in shown:
            if of_server != server:
                continue
            seen = known.get(name)
            if seen is None:
                added += 1
            elif seen.digest != digest and not seen.changed > since and seen.first <= max(settled, since):
                changed += 1
        if added >= settings.spike_min and before + added > settings.spike_factor * before:
            yield _finding("count_spike", f"{added} new entries beside {before}")
        if added + changed >= settings.churn_min and added + changed >= settings.churn_rate * before:
            yield _finding("churn", f"{added} new and {changed} changed entries of {before}")


def _digested(entries: Iterable[Entry], kind: PinKind) -> Iterable[tuple[str, str, str]]:
    for entry in entries:
        if entry.server is not None and entry.name is not None:
            yield entry.server, entry.name, digest_of(entry.own(kind)).partition(":")[2][:_DIGITS]


def _kind(operation: Operation) -> PinKind | None:
    kind = listing_kind(operation) if operation.direction is Direction.RESPONSE else None
    return kind if kind in _KINDS else None


def _member(kind: PinKind) -> str:
    return member_of(kind)[0]


def _finding(rule: str, told: str) -> Finding:
    severity, threats = RULES[rule]
    return Finding(rule=rule, severity=severity, threats=threats, excerpt=told)


CATALOG_ANOMALY = GuardType(
    name="catalog_anomaly",
    settings=CatalogAnomalySettings,
    build=CatalogAnomaly,
    runs_on=LIST_PHASES,
    facts=(LISTED,),
    code=CODE,
    rules=lambda _: frozenset(RULES),
    summary="Notices lists that are too long, and catalogs that grow or change more than they did.",
)
