"""Lists: the entries of what a server lists, whose they are, and the list without some of them.

For guards that look into lists. A gateway may have merged the lists of several servers and put a prefix in front of
each name; a guard sees the server's own names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from guardsvc.model import Deny, Finding, Kind, Modify, Phase, reason_for
from guardsvc.state.pins import PinKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from guardsvc.model import GuardContext, Operation, ServerNames, Verdict

__all__ = [
    "LIST_PHASES",
    "MAX_TTL_MS",
    "Entry",
    "Prefixes",
    "entries_of",
    "indexes_of",
    "listing_kind",
    "listing_kinds",
    "member_of",
    "private",
    "refuse_entries",
    "without",
]

LIST_PHASES = frozenset({Phase.TOOLS_LIST, Phase.PROMPTS_LIST, Phase.RESOURCES_LIST})
MAX_TTL_MS = 300_000
"""For how long a client may keep a list of which something was taken out, in milliseconds."""

_LISTS = {
    Phase.TOOLS_LIST: (("tools", "name", PinKind.TOOL),),
    Phase.PROMPTS_LIST: (("prompts", "name", PinKind.PROMPT),),
    Phase.RESOURCES_LIST: (
        ("resources", "uri", PinKind.RESOURCE),
        ("resourceTemplates", "uriTemplate", PinKind.TEMPLATE),
    ),
}
_MEMBERS = {kind: (member, field) for rows in _LISTS.values() for member, field, kind in rows}
_BY_URI = frozenset({PinKind.RESOURCE, PinKind.TEMPLATE})


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a list.

    Attributes:
        index: in the list.
        servers: canonical names of those it may be of; one, unless a merged list does not tell.
        name: name or URI as the server itself has it; None where it has none.
        shown: the same as the list has it.
        definition: the entry.
    """

    index: int
    servers: tuple[str, ...]
    name: str | None
    shown: str | None
    definition: Any

    def own(self, kind: PinKind) -> Any:
        """The definition as its server has it, without a gateway's prefix."""
        return self.definition if self.name == self.shown else {**self.definition, _MEMBERS[kind][1]: self.name}

    @property
    def server(self) -> str | None:
        """The server it is of, None where that is not a single one."""
        return self.servers[0] if len(self.servers) == 1 else None


class Prefixes:
    """Whose a name is, as gateways show it.

    Args:
        context: of the guard.
    """

    def __init__(self, context: GuardContext) -> None:
        self._tools = _longest_first(context.names, uris=False)
        self._uris = _longest_first(context.names, uris=True)

    @property
    def void(self) -> bool:
        """Whether no server has a prefix, so that names are always the server's own."""
        return not self._tools and not self._uris

    def own(self, servers: tuple[str, ...], shown: str, kind: PinKind) -> tuple[tuple[str, ...], str]:
        """The servers that a name may be of, and the name without the prefix.

        Args:
            servers: those that the list may be of; where they are not known, the prefix alone tells.
            shown: name or URI as the list has it.
            kind: what it names.
        """
        for server, prefix in self._uris if kind in _BY_URI else self._tools:
            if (server in servers or not servers) and len(shown) > len(prefix) and shown.startswith(prefix):
                return (server,), shown[len(prefix) :]
        return servers, shown


def member_of(kind: PinKind) -> tuple[str, str]:
    """The member of a list's payload, and the member of an entry that names it."""
    return _MEMBERS[kind]


def listing_kind(operation: Operation) -> PinKind | None:
    """What a server's answer lists; None where it is no list."""
    payload = operation.payload
    if operation.kind is not Kind.RESULT or type(payload) is not dict:
        return None
    if operation.phase is Phase.CONNECTION:
        return PinKind.SERVER
    rows = _LISTS.get(operation.phase, ())
    return next((kind for member, _, kind in rows if member in payload), None)


def listing_kinds(operation: Operation) -> tuple[PinKind, ...]:
    """Everything that an answer to a request for a list lists."""
    payload = operation.payload
    if operation.kind is not Kind.RESULT or type(payload) is not dict:
        return ()
    return tuple(kind for member, _, kind in _LISTS.get(operation.phase, ()) if member in payload)


def entries_of(operation: Operation, kind: PinKind, prefixes: Prefixes) -> list[Entry]:
    """The entries of a list.

    Args:
        operation: a server's answer.
        kind: what it lists, any but ``server``.
        prefixes: of the policy's servers.
    """
    member, field = _MEMBERS[kind]
    listed = operation.payload.get(member)
    found: list[Entry] = []
    for index, value in enumerate(listed if type(listed) is list else ()):
        shown = value.get(field) if type(value) is dict else None
        if type(shown) is not str:
            found.append(Entry(index, operation.servers, None, None, value))
            continue
        servers, name = prefixes.own(operation.servers, shown, kind)
        found.append(Entry(index, servers, name, shown, value))
    return found


def indexes_of(findings: Iterable[Finding], kind: PinKind) -> set[int]:
    """Indexes of the entries that findings lead into."""
    start = f"/{_MEMBERS[kind][0]}/"
    tokens = (finding.where.removeprefix(start).partition("/")[0] for finding in findings if _into(finding, start))
    return {int(token[:9]) for token in tokens if token.isdecimal()}


def _into(finding: Finding, start: str) -> bool:
    return finding.where.startswith(start)


def without(payload: Mapping[str, Any], member: str, dropped: Collection[int]) -> dict[str, Any]:
    """A list without some of its entries, in the order it had.

    What is left is for this caller under this policy: no shared cache may keep it, and none for long.
    """
    kept = [value for index, value in enumerate(payload[member]) if index not in dropped]
    return private({**payload, member: kept})


def private(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload as one that caches keep for a single caller, and not for long (``cacheScope``, ``ttlMs``)."""
    scope, ttl = payload.get("cacheScope"), payload.get("ttlMs")
    if scope is not None and scope != "private":
        payload = {**payload, "cacheScope": "private"}
    if ttl is not None and not (type(ttl) is int and 0 <= ttl <= MAX_TTL_MS):
        payload = {**payload, "ttlMs": MAX_TTL_MS}
    return payload


def refuse_entries(
    operation: Operation,
    kind: PinKind | None,
    refused: Collection[int],
    findings: tuple[Finding, ...],
    *,
    on_finding: Literal["drop_tool", "deny_list"] | None,
    code: str,
    details: Mapping[str, Any],
) -> Verdict:
    """The verdict on a list of which entries are refused.

    Args:
        operation: the list.
        kind: what it lists.
        refused: indexes of the entries; where there are none, the list as a whole is refused.
        findings: that tell why.
        on_finding: what becomes of the list; None drops entries of a list that several servers fill.
        code: reason code of the denial.
        details: of the denial.
    """
    drops = on_finding == "drop_tool" or (on_finding is None and len(operation.servers) > 1)
    if drops and refused and kind is not None and kind is not PinKind.SERVER:
        return Modify(payload=without(operation.payload, _MEMBERS[kind][0], refused), findings=findings)
    return Deny(code=code, message=reason_for(code).text, details=dict(details), findings=findings)


def _longest_first(names: Mapping[str, ServerNames], *, uris: bool) -> Sequence[tuple[str, str]]:
    found = [
        (server, prefix)
        for server, named in names.items()
        for prefix in (named.uri_prefixes if uris else named.tool_prefixes)
    ]
    return sorted(found, key=lambda row: -len(row[1]))
