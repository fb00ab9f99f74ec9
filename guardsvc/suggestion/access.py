"""Access: rules that allow what was seen, grouped by callers who may do the same."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from guardsvc.model import Globs, SubjectKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from guardsvc.suggestion.evidence import Caller, Evidence, Seen

__all__ = ["Rule", "access_rules", "pattern", "usable"]

CUT = "…"
"""How the audit ends a text that it has cut, and what stands in a URI for what it does not show."""
MAX_AUDITED = 256
"""Characters that the audit leaves of a text."""
MAX_NAME = 1000
"""Characters of a name that a rule has as it is; a longer one is cut and ends in ``*``."""
MANY_PRINCIPALS = 20
"""Principals of a tenant who all do the same, from which on they need not be named."""
_MIN_PREFIX = 3
_AT_SEPARATOR = re.compile(r"[_\-./:]")
_AT_SLASH = re.compile(r"/")
_REFERENCE = re.compile(r"\$(?=\{(?:env|file):)")
"""The sign of which a configuration would make another value."""
_LISTS = {SubjectKind.TOOL: "tools", SubjectKind.PROMPT: "prompts", SubjectKind.RESOURCE: "resources"}


class Rule(NamedTuple):
    """A rule of ``access_list``.

    Attributes:
        settings: as it is configured.
        requests: how many requests it was drawn from.
        callers: of how many callers.
    """

    settings: dict[str, Any]
    requests: int
    callers: int


class _Deed(NamedTuple):
    """What is done where: the methods of operations without a subject, or the subjects of one method."""

    servers: tuple[str, ...]
    kind: SubjectKind | None
    method: str


def usable(seen: Seen) -> bool:
    """Whether a rule can be about it alone: in names of rules ``*`` stands for any text."""
    names = (seen.operation.subject, seen.caller.tenant, seen.caller.principal, *seen.operation.servers)
    return not any(name is not None and ("*" in name or not name) for name in names)


def access_rules(evidence: Evidence, *, glob_from: int) -> list[Rule]:
    """Rules under which everything that was seen is allowed.

    Args:
        evidence: what was seen, all of it usable, and what was denied.
        glob_from: names with the same beginning from which on a glob stands for them; 0 for never. One that
            a denied name matches is never used.
    """
    by_caller: dict[Caller, dict[_Deed, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for seen in evidence.seen:
        kind = seen.kind
        deed = _Deed(seen.operation.servers, kind, "" if kind is None else seen.method)
        by_caller[seen.caller][deed][seen.method if kind is None else _subject(seen)] += 1
    grouped: dict[tuple[_Deed, frozenset[str]], list[Caller]] = defaultdict(list)
    for caller, deeds in by_caller.items():
        for deed, counts in deeds.items():
            grouped[deed, frozenset(counts)].append(caller)
    rules = []
    for (deed, names), callers in sorted(grouped.items(), key=_order):
        for group in _by_tenant(callers, by_caller.keys()):
            requests = sum(sum(by_caller[caller][deed].values()) for caller in group.callers)
            settings = {**group.settings, **_deed_settings(deed, names, evidence, glob_from)}
            rules.append(Rule({"action": "allow", **settings}, requests, len(group.callers)))
    return rules


def pattern(name: str) -> str:
    """A name as a rule can have it; of one that the audit has cut, whatever follows."""
    if len(name) > MAX_AUDITED and name.endswith(CUT):
        name = f"{name.removesuffix(CUT)}*"
    text = name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}*"
    return _REFERENCE.sub("*", text)


def _subject(seen: Seen) -> str:
    subject = seen.operation.subject or ""
    if not seen.audited or seen.kind is not SubjectKind.RESOURCE:
        return pattern(subject)
    shown = subject.replace(f"://{CUT}@", "://*@")
    return f"{shown.removesuffix(CUT)}*" if shown.endswith(CUT) else pattern(shown)


def _order(item: tuple[tuple[_Deed, frozenset[str]], list[Caller]]) -> tuple[Any, ...]:
    (deed, names), callers = item
    return (
        deed.kind is not None,
        deed.kind or "",
        deed.servers,
        deed.method,
        sorted(names),
        sorted(map(repr, callers)),
    )


class _Group(NamedTuple):
    settings: dict[str, Any]
    callers: list[Caller]


def _by_tenant(callers: list[Caller], everybody: Iterable[Caller]) -> Iterator[_Group]:
    """Callers of a rule each: of one tenant, all verified or none, so that no pair is allowed that was not seen."""
    groups: dict[tuple[str | None, bool, bool], list[Caller]] = defaultdict(list)
    for caller in callers:
        groups[caller.tenant, caller.verified, caller.principal is not None].append(caller)
    for (tenant, verified, named), group in sorted(groups.items(), key=repr):
        settings: dict[str, Any] = {} if tenant is None else {"tenants": [pattern(tenant)]}
        if named:
            fellows = [other for other in everybody if other.tenant == tenant and other.verified == verified]
            if tenant is None or len(group) < max(len(fellows), MANY_PRINCIPALS):
                settings["principals"] = sorted(pattern(caller.principal or "") for caller in group)
        if verified:
            settings["verified"] = True
        yield _Group(settings, group)


def _deed_settings(deed: _Deed, names: frozenset[str], evidence: Evidence, glob_from: int) -> dict[str, Any]:
    settings: dict[str, Any] = {"servers": list(map(pattern, deed.servers))} if deed.servers else {}
    if deed.kind is None:
        return {**settings, "methods": sorted(names)}
    if deed.kind is not SubjectKind.TOOL:
        settings["methods"] = [deed.method]
    denied = evidence.denied.get(deed.kind, set())
    return {**settings, _LISTS[deed.kind]: _globbed(names, denied, deed.kind, glob_from)}


def _globbed(names: frozenset[str], denied: set[str], kind: SubjectKind, glob_from: int) -> list[str]:
    """The names, those with a common beginning as one glob; the longest beginnings first."""
    left = set(names)
    globs: list[str] = []
    starts: dict[str, set[str]] = defaultdict(set)
    for name in names:
        for start in _starts(name, kind) if glob_from else ():
            starts[start].add(name)
    for start in sorted(starts, key=lambda start: (-len(start), start)):
        covered = starts[start] & left
        if len(covered) >= glob_from and not any(map(Globs((f"{start}*",)).match, denied)):
            globs.append(f"{start}*")
            left -= covered
    return sorted([*globs, *left])


def _starts(name: str, kind: SubjectKind) -> Iterator[str]:
    """Beginnings that end in a separator; of a URI behind its authority and a first folder."""
    if kind is SubjectKind.RESOURCE:
        scheme, mark, rest = name.partition("://")
        folders = [found.end() for found in _AT_SLASH.finditer(rest)][1:] if mark else []
        yield from (f"{scheme}://{rest[:end]}" for end in folders)
        return
    yield from (name[: found.end()] for found in _AT_SEPARATOR.finditer(name) if found.start() >= _MIN_PREFIX)
