"""``catalog_anomaly``: lists that grow or change more than a server's lists do."""

from __future__ import annotations

import math
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from pydantic import Field

from guardsvc.guards.native.digest_cache import DigestCache
from guardsvc.guards.native.list_digest import digest_of_list
from guardsvc.guards.native.lists import (
    LIST_PHASES,
    Entry,
    Prefixes,
    entries_of,
    listing_kind,
    member_of,
    refuse_entries,
)
from guardsvc.guards.native.storage import StoredSettings, store_of
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
_SHOWN = 256
"""Bytes of memory that an entry takes beside its name."""
_DIGITS = 16
_MEMO = "_shown_entries"
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


_Entry = tuple[str, str, str]
"""Server, name and digest."""


class _Shown(msgspec.Struct, frozen=True):
    """The entries of a list that have a server and a name, and the servers that they are of."""

    entries: tuple[_Entry, ...]
    servers: tuple[str, ...]


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a list amounts to.

    Attributes:
        findings: about it.
        settled: whether all of it was shown before.
        since: from when on it amounts to that, seconds since 1970.
        until: when it may amount to something else.
    """

    findings: tuple[Finding, ...] = ()
    settled: bool = False
    since: float = -math.inf
    until: float = math.inf


class CatalogAnomaly:
    """The guard; see ``CatalogAnomalySettings``."""

    def __init__(self, settings: CatalogAnomalySettings, context: GuardContext) -> None:
        self._settings = settings
        self._store = store_of(settings, context)
        self._prefixes = Prefixes(context)
        self._digests = DigestCache[_Shown](_CACHED)
        self._held = DigestCache[_Held](_CACHED)

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """The names that the servers of a list have shown before."""
        kind = _kind(operation)
        servers = self._shown(operation, kind).servers if kind is not None else ()
        if kind is None or not servers:
            return {}
        places = tuple(place_of(operation.caller, server) for server in servers)
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
            findings += self._against(operation, kind, fact).findings
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
        elif self._against(operation, kind, fact).settled:
            return {}
        news: dict[Place, dict[str, str]] = {}
        for server, name, digest in self._shown(operation, kind).entries:
            seen = fact.names.get(server, {}).get(name)
            if seen is None or seen.digest != digest:
                news.setdefault(place_of(operation.caller, server), {})[name] = digest
        if not news:
            return {}
        return {LISTED: NoteNeed(store=self._store, kind=kind, names=news, most=self._settings.max_names)}

    def _shown(self, operation: Operation, kind: PinKind) -> _Shown:
        if type(operation.payload[_member(kind)]) is not list:
            return _Shown((), ())
        memo: dict[tuple[CatalogAnomaly, PinKind], _Shown] = operation.__dict__.setdefault(_MEMO, {})
        found = memo.get((self, kind))
        if found is None:
            found = memo[self, kind] = self._read(operation, kind)
        return found

    def _read(self, operation: Operation, kind: PinKind) -> _Shown:
        whole = digest_of_list(operation, kind)
        found = self._digests.get(whole)
        if found is None:
            entries = tuple(_digested(entries_of(operation, kind, self._prefixes), kind))
            found = _Shown(entries, tuple(sorted({server for server, _, _ in entries})))
            self._digests.put(whole, found, sum(_SHOWN + getsizeof(name) for _, name, _ in entries))
        return found

    def _against(self, operation: Operation, kind: PinKind, fact: ListedFact) -> _Held:
        """What a list amounts to beside what was shown before, which is the same for some time."""
        digest = digest_of_list(operation, kind) + fact.version
        held = self._held.get(digest)
        if held is None or not held.since <= fact.now < held.until:
            held = self._hold(self._shown(operation, kind).entries, fact)
            self._held.put(digest, held)
        return held

    def _hold(self, shown: Iterable[_Entry], fact: ListedFact) -> _Held:
        held = [self._of_server(server, known, shown, fact.now) for server, known in fact.names.items()]
        return _Held(
            findings=tuple(finding for each in held for finding in each.findings),
            settled=all(
                (seen := fact.names.get(server, {}).get(name)) is not None and seen.digest == digest
                for server, name, digest in shown
            ),
            since=max((each.since for each in held), default=-math.inf),
            until=min((each.until for each in held), default=math.inf),
        )

    def _of_server(self, server: str, known: Mapping[str, Seen], shown: Iterable[_Entry], now: float) -> _Held:
        if not known:
            return _Held()
        settings = self._settings
        settled = min(seen.first for seen in known.values()) + SETTLING
        if now <= settled:
            return _Held(until=settled)
        since = now - settings.window_s
        before = sum(seen.first <= max(settled, since) for seen in known.values())
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
        findings: list[Finding] = []
        if added >= settings.spike_min and before + added > settings.spike_factor * before:
            findings.append(_finding("count_spike", f"{added} new entries beside {before}"))
        if added + changed >= settings.churn_min and added + changed >= settings.churn_rate * before:
            findings.append(_finding("churn", f"{added} new and {changed} changed entries of {before}"))
        leaving = [time for seen in known.values() for time in (seen.first, seen.changed) if time > since]
        until = min(leaving, default=math.inf) + settings.window_s
        return _Held(findings=tuple(findings), since=now, until=until)


def _digested(entries: Iterable[Entry], kind: PinKind) -> Iterable[_Entry]:
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
