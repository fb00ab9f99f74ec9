"""The guard: the tools of a list held against those of the tenant's other servers."""

from __future__ import annotations

from collections import OrderedDict
from itertools import starmap
from sys import getsizeof
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.digest_cache import DigestCache
from guardsvc.guards.native.excerpt import excerpt
from guardsvc.guards.native.list_digest import digest_of_list
from guardsvc.guards.native.lists import (
    Entry,
    Prefixes,
    entries_of,
    indexes_of,
    refuse_entries,
)
from guardsvc.guards.native.names import fold, is_disguised_as, is_near, skeleton_of
from guardsvc.guards.native.storage import store_of
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

__all__ = ["INDEX_BYTES", "TOOL_SHADOWING", "ToolShadowing"]

CODE = "tool_shadowing_detected"
MAX_FINDINGS = 256
MAX_LOOKED_AT = 512
"""Tools of one list that name tools of other servers and are looked at; more of them deny the list."""
MORE = "more_findings"
INDEX_BYTES = 16 << 20
"""Bytes of memory of the indexes that are kept; the last one is, however many names it has."""
_CACHED = 256
_FINDING = 512
"""Bytes of memory that a remembered finding takes."""
_PAIR = 128
"""The same of a server and a name, beside the text of the name."""
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


class _Judged(msgspec.Struct, frozen=True):
    """What there is to say of a list beside what was shown before.

    Attributes:
        findings: about it.
        settled: whether it has no name that was not shown before.
    """

    findings: tuple[Finding, ...]
    settled: bool


_NOTHING = ListedFact(names={}, version=b"", now=0.0)


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
        self._lists = DigestCache[_Judged](_CACHED)
        self._names = DigestCache[tuple[tuple[str, str], ...]](_CACHED)
        self._indexes: OrderedDict[bytes, Index] = OrderedDict()

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
        findings = self._judged(operation, fact if isinstance(fact, ListedFact) else _NOTHING).findings
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
        if decision.verdict == "modify":
            operation = msgspec.structs.replace(operation, payload=decision.payload)
        elif self._judged(operation, fact).settled:
            return {}
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
            self._names.put(digest, known, sum(_PAIR + getsizeof(name) for _, name in known))
        return known

    def _judged(self, operation: Operation, fact: ListedFact) -> _Judged:
        digest = digest_of_list(operation, PinKind.TOOL) + fact.version
        known = self._lists.get(digest)
        if known is None:
            names, index = fact.names, self._index(fact)
            entries = entries_of(operation, PinKind.TOOL, self._prefixes)
            if len({entry.server for entry in entries if entry.server is not None}) > 1:
                index = _with_the_list(names, entries)
            of_names = [noticed for entry in entries for noticed in self._of_names(entry, names, index)]
            findings = _limited([*of_names, *_of_texts(entries, index)])
            settled = all(
                entry.server is None or entry.name is None or entry.name in names.get(entry.server, ())
                for entry in entries
            )
            known = _Judged(findings, settled)
            self._lists.put(digest, known, len(findings) * _FINDING)
        return known

    def _index(self, fact: ListedFact) -> Index:
        """The index of these names, made once for all lists."""
        index = self._indexes.get(fact.version)
        if index is None:
            index = self._indexes[fact.version] = Index(fact.names)
            size = sum(kept.size for kept in self._indexes.values())
            while size > INDEX_BYTES and len(self._indexes) > 1:
                size -= self._indexes.popitem(last=False)[1].size
        else:
            self._indexes.move_to_end(fact.version)
        return index

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
        if alike and is_disguised_as(folded):
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
