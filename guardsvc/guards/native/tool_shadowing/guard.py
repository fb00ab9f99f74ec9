"""The guard: the tools of a list held against those of the tenant's other servers."""

from __future__ import annotations

from collections import OrderedDict
from itertools import starmap
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.excerpt import excerpt
from guardsvc.guards.native.lists import (
    MAX_REMEMBERED,
    Entry,
    Prefixes,
    digest_of_list,
    entries_of,
    indexes_of,
    refuse_entries,
)
from guardsvc.guards.native.names import fold, is_disguised, is_near, skeleton_of
from guardsvc.guards.native.storage import store_of
from guardsvc.guards.native.tool_poisoning.cache import DigestCache
from guardsvc.guards.native.tool_shadowing.index import Index, Known
from guardsvc.guards.native.tool_shadowing.settings import ToolShadowingSettings
from guardsvc.guards.native.tool_shadowing.steering import Names, shown_by
from guardsvc.model import (
    ALLOW,
    Allow,
    Direction,
    Facts,
    Finding,
    Globs,
    GuardContext,
    GuardType,
    Kind,
    Operation,
    Phase,
    Severity,
    Verdict,
)
from guardsvc.state.listed import LISTED, ListedFact, ListedNeed, NoteNeed
from guardsvc.state.pins import PinKind, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from guardsvc.model import Decision
    from guardsvc.state.listed import Seen

__all__ = ["TOOL_SHADOWING", "ToolShadowing"]

CODE = "tool_shadowing_detected"
MAX_FINDINGS = 256
MAX_LOOKED_AT = 512
"""Tools of one list that name tools of other servers and are looked at; more of them deny the list."""
MORE = "more_findings"
_CACHED = 256
_INDEXES = 64
_IN_LIST = 1e12
"""Later than any time at which a name was first shown; within a list, who comes first was first."""
_SHADOWING = ("SAF-T1008", "SAF-T1301", "MCP03")
_IMPERSONATION = ("SAF-T1004", "MCP09")
RULES: Mapping[str, tuple[Severity, tuple[str, ...]]] = {
    "confusable_name": (Severity.HIGH, _IMPERSONATION),
    "protected_name": (Severity.HIGH, _IMPERSONATION),
    "claims_prefix": (Severity.MEDIUM, _IMPERSONATION),
    "same_name": (Severity.LOW, _IMPERSONATION),
    "similar_name": (Severity.LOW, _IMPERSONATION),
    "steers_tool": (Severity.HIGH, _SHADOWING),
    "names_tool": (Severity.LOW, _SHADOWING),
    MORE: (Severity.HIGH, _SHADOWING),
}
"""Severity and threat ids of the findings, by rule."""

_Noticed = tuple[str, str, str]
"""Rule, JSON pointer, and the name it is about or what is to be told."""


class ToolShadowing:
    """The guard; see ``ToolShadowingSettings``."""

    def __init__(self, settings: ToolShadowingSettings, context: GuardContext) -> None:
        self._settings = settings
        self._store = store_of(settings, context)
        self._prefixes = Prefixes(context)
        self._servers = tuple(sorted(context.servers))
        self._claimed = tuple(
            (server, prefix)
            for server, named in context.names.items()
            for prefix in named.tool_prefixes
            if any(map(str.isalnum, prefix))
        )
        self._protected = tuple(
            (Globs(entry.names), tuple(name for name in entry.names if "*" not in name), Globs(entry.servers))
            for entry in settings.protected_names
        )
        denying = {"confusable_name", "protected_name", "steers_tool", MORE}
        denying |= {"same_name", "similar_name", "claims_prefix"} if settings.same_names == "deny" else set()
        self._denying = frozenset(denying | ({"names_tool"} if settings.mentions == "deny" else set()))
        self._seen = DigestCache[tuple[Finding, ...]](_CACHED, b"tool_shadowing")
        self._names = DigestCache[tuple[tuple[str, str], ...]](_INDEXES, b"names")
        self._indexes: OrderedDict[tuple[int, ...], tuple[tuple[Mapping[str, Seen], ...], Index]] = OrderedDict()

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """The names that the tenant's servers have shown."""
        if not _is_tools_list(operation):
            return {}
        servers = dict.fromkeys((*self._servers, *operation.servers))
        places = tuple(place_of(operation.caller, server) for server in servers)
        return {LISTED: ListedNeed(store=self._store, places=places, kind=PinKind.TOOL)}

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Refuse tools that pass for another server's, or that say how another server's is to be used."""
        if not _is_tools_list(operation):
            return ALLOW
        fact = facts.get(LISTED)
        names = fact.names if isinstance(fact, ListedFact) else {}
        findings = self._findings(operation, names)
        return self.reconsider(operation, findings) if findings else ALLOW

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the guard says if these of its findings are all there is."""
        denying = [finding for finding in findings if self._denies(finding)]
        if not denying:
            return Allow(findings=findings) if findings else ALLOW
        refused = set() if any(finding.rule == MORE for finding in denying) else indexes_of(denying, PinKind.TOOL)
        return refuse_entries(
            operation,
            PinKind.TOOL,
            refused,
            findings,
            on_finding=self._settings.on_finding,
            code=CODE,
            details={"shadowing": len(denying)},
        )

    def _denies(self, finding: Finding) -> bool:
        return finding.rule in self._denying and (finding.rule != MORE or finding.severity is Severity.HIGH)

    def learns(self, decision: Decision, facts: Facts) -> Mapping[str, Any]:
        """The names that the client is shown."""
        operation, fact = decision.operation, facts.get(LISTED)
        if not operation.learnable or not isinstance(fact, ListedFact) or decision.verdict not in ("allow", "modify"):
            return {}
        payload = decision.payload if decision.verdict == "modify" else operation.payload
        if payload is not operation.payload:
            operation = msgspec.structs.replace(operation, payload=payload)
        shown: dict[Any, dict[str, str]] = {}
        for server, name in self._named(operation):
            if name not in fact.names.get(server, ()):
                shown.setdefault(place_of(operation.caller, server), {})[name] = ""
        if not shown:
            return {}
        need = NoteNeed(store=self._store, kind=PinKind.TOOL, names=shown, most=self._settings.max_names)
        return {LISTED: need}

    def _named(self, operation: Operation) -> tuple[tuple[str, str], ...]:
        """Server and name of each tool that has one of each."""
        digest = digest_of_list(operation, PinKind.TOOL)
        known = self._names.get(digest)
        if known is None:
            known = tuple(
                (entry.server, entry.name)
                for entry in entries_of(operation, PinKind.TOOL, self._prefixes)
                if entry.server is not None and entry.name is not None
            )
            if len(known) <= MAX_REMEMBERED:
                self._names.put(digest, known)
        return known

    def _findings(self, operation: Operation, names: Mapping[str, Mapping[str, Seen]]) -> tuple[Finding, ...]:
        index = self._index(names)
        digest = digest_of_list(operation, PinKind.TOOL) + index.serial.to_bytes(8)
        known = self._seen.get(digest)
        if known is None:
            entries = entries_of(operation, PinKind.TOOL, self._prefixes)
            if len({entry.server for entry in entries if entry.server is not None}) > 1:
                index = _with_the_list(names, entries)
            of_names = [noticed for entry in entries for noticed in self._of_names(entry, names, index)]
            known = _limited([*of_names, *_of_texts(entries, index)])
            self._seen.put(digest, known)
        return known

    def _index(self, names: Mapping[str, Mapping[str, Seen]]) -> Index:
        """The index of these names, made once for the same mappings, which it keeps alive so that none is mistaken."""
        held = tuple(names.values())
        key = tuple(map(id, held))
        kept = self._indexes.get(key)
        if kept is None:
            kept = self._indexes[key] = (held, Index(names))
            if len(self._indexes) > _INDEXES:
                self._indexes.popitem(last=False)
        else:
            self._indexes.move_to_end(key)
        return kept[1]

    def _of_names(self, entry: Entry, names: Mapping[str, Mapping[str, Seen]], index: Index) -> Iterator[_Noticed]:
        name, server = entry.name, entry.server
        if name is None:
            return
        where = f"/tools/{entry.index}/name"
        if server is not None:
            if (rule := self._name_rule(entry.index, name, server, names, index)) is not None:
                yield rule, where, name
            if (owner := self._owner_of_prefix(name, server)) is not None:
                yield "claims_prefix", where, f"of {owner}"
        if self._protected and any(self._is_protected(name, each) for each in entry.servers or ("",)):
            yield "protected_name", where, name

    def _name_rule(
        self, position: int, name: str, server: str, names: Mapping[str, Mapping[str, Seen]], index: Index
    ) -> str | None:
        own = names.get(server, {}).get(name)
        since = own.first if own is not None else _IN_LIST + position
        folded = fold(name)
        alike = index.looks.get(skeleton_of(name, folded))
        if alike and is_disguised(name):
            for other, looks in alike.items():
                if other != server and any(
                    each.folded != folded and (not each.disguised or each.first < since) for each in looks
                ):
                    return "confusable_name"
        if _before(index.exact.get(name), server, since):
            return "same_name"
        return "similar_name" if _before(index.folded.get(folded), server, since) else None

    def _owner_of_prefix(self, name: str, server: str) -> str | None:
        if not self._claimed:
            return None
        return next(
            (
                owner
                for owner, prefix in self._claimed
                if owner != server and len(name) > len(prefix) and name.startswith(prefix)
            ),
            None,
        )

    def _is_protected(self, name: str, server: str) -> bool:
        return any(
            not servers.match(server) and (globs.match(name) or any(is_near(name, literal) for literal in literals))
            for globs, literals, servers in self._protected
        )


def _of_texts(entries: list[Entry], index: Index) -> Iterator[_Noticed]:
    """What texts say of tools that only other servers have."""
    if not index.distinctive:
        return
    own: dict[str, set[str]] = {}
    for entry in entries:
        if entry.server is not None and entry.name is not None:
            own.setdefault(entry.server, set()).add(entry.name.casefold())
    others = {
        server: Names(
            name for name, servers in index.distinctive.items() if name not in listed and server not in servers
        )
        for server, listed in own.items()
    }
    looked_at = 0
    for entry, shown in zip(entries, shown_by([entry.definition for entry in entries]), strict=True):
        names = others.get(entry.server or "")
        if not names or entry.name is None or not names.among(shown):
            continue
        looked_at += 1
        if looked_at > MAX_LOOKED_AT:
            yield MORE, "", "too many tools name tools of other servers"
            return
        for place, name, demands in names.mentions(entry.definition):
            rule = "steers_tool" if demands else "names_tool"
            yield rule, f"/tools/{entry.index}{place}", name


def _before(known: Mapping[str, float] | None, server: str, since: float) -> bool:
    return known is not None and any(other != server and first < since for other, first in known.items())


def _with_the_list(names: Mapping[str, Mapping[str, Seen]], entries: list[Entry]) -> Index:
    """The index with the entries of a merged list, each after those in front of it and after all that was shown."""
    index = Index(names)
    fresh: list[Known] = [
        (entry.server, entry.name, _IN_LIST + entry.index)
        for entry in entries
        if entry.server is not None and entry.name is not None and entry.name not in names.get(entry.server, ())
    ]
    index.add(fresh)
    return index


def _limited(noticed: list[_Noticed]) -> tuple[Finding, ...]:
    left = len(noticed) - MAX_FINDINGS
    if left > 0:
        noticed.sort(key=lambda each: RULES[each[0]][0] is not Severity.HIGH)
    findings = tuple(starmap(_finding, noticed[:MAX_FINDINGS]))
    if left <= 0:
        return findings
    more = _finding(MORE, "", f"{left} more findings are not reported")
    return (*findings, msgspec.structs.replace(more, severity=RULES[noticed[MAX_FINDINGS][0]][0]))


def _finding(rule: str, where: str, told: str) -> Finding:
    severity, threats = RULES[rule]
    return Finding(rule=rule, severity=severity, where=where, threats=threats, excerpt=excerpt(told))


def _is_tools_list(operation: Operation) -> bool:
    payload = operation.payload
    return (
        operation.direction is Direction.RESPONSE
        and operation.kind is Kind.RESULT
        and operation.phase is Phase.TOOLS_LIST
        and type(payload) is dict
        and type(payload.get("tools")) is list
        and bool(payload["tools"])
    )


TOOL_SHADOWING = GuardType(
    name="tool_shadowing",
    settings=ToolShadowingSettings,
    build=ToolShadowing,
    runs_on=frozenset({Phase.TOOLS_LIST}),
    facts=(LISTED,),
    code=CODE,
    rules=lambda _: frozenset(RULES),
    unexceptable=frozenset({MORE}),
    summary="Refuses tools that pass for those of another server, or say how another server's tools are to be used.",
)
