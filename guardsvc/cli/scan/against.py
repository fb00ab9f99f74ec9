"""Against: what a scan found beside a lockfile of ``guardsvc baseline export``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.cli.scan.catalog import LISTS, ScanError
from guardsvc.cli.scan.judge import Found
from guardsvc.guards.native.lists import member_of
from guardsvc.guards.native.rug_pull import RUG_PULL
from guardsvc.guards.native.rug_pull.compare import CatalogChange, compare
from guardsvc.guards.native.rug_pull.judging import RULES
from guardsvc.guards.native.rug_pull.lockfile import LockfileError, read_lockfile
from guardsvc.guards.native.rug_pull.settings import RugPullSettings
from guardsvc.guards.native.rug_pull.weighing import Scales
from guardsvc.model import Severity
from guardsvc.state.pins import INSTRUCTIONS, PinKind, Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from guardsvc.cli.scan.catalog import Catalog
    from guardsvc.cli.scan.judge import Scanned
    from guardsvc.policy import Policy
    from guardsvc.state.baseline import Key

__all__ = ["BASELINE", "changes_since"]

BASELINE = "baseline"
"""Stands for the guard where something differs from the lockfile."""
_READ = frozenset({"ambiguous_message", "beyond_limits"})
"""What was read all the same."""
_KINDS = {
    "tools": PinKind.TOOL,
    "prompts": PinKind.PROMPT,
    "resources": PinKind.RESOURCE,
    "resourceTemplates": PinKind.TEMPLATE,
}


def changes_since(lockfile: Path, policy: Policy, scanned: list[Scanned], tenant: str | None) -> list[Found]:
    """What was added, removed, renamed and changed, each a finding.

    Args:
        lockfile: what is approved.
        policy: has the weights of changes, where it has a ``rug_pull``.
        scanned: what the servers show.
        tenant: whose pins count; where none is given, those of the only tenant that the server has any of.

    Raises:
        ScanError: the file is no lockfile, has nothing of a server, or of several tenants of it.
    """
    try:
        locked = {key: pinned.definition for key, pinned in read_lockfile(lockfile).items()}
    except LockfileError as error:
        raise ScanError(str(error)) from None
    settings = next((e.settings for e in policy.settings.guards if e.type == RUG_PULL.name), None) or RugPullSettings()
    scales = Scales(settings)  # type: ignore[arg-type]  # those of a rug_pull
    found: list[Found] = []
    for each in scanned:
        place = _place(locked, each, tenant, lockfile)
        before = {key: definition for key, definition in locked.items() if key[0] == place}
        unread = _unread(each.catalog)
        after = _definitions(each.catalog, place)
        found += [
            _found(each, change, settings.risk_threshold)  # type: ignore[attr-defined]
            for change in compare(before, after, scales)
            if change.became != "removed" or change.key[1] not in unread
        ]
    return found


def _place(locked: Mapping[Key, Any], scanned: Scanned, tenant: str | None, lockfile: Path) -> Place:
    places = {place for place, _, _ in locked if tenant in (None, place.tenant)}
    of_server = {place for place in places if place.server == scanned.server}
    candidates = of_server or (places if len(places) == 1 else set())
    if len(candidates) == 1:
        return next(iter(candidates))
    if candidates:
        raise ScanError(f"{lockfile} has pins of several tenants of {scanned.server}; name one with --tenant")
    servers = ", ".join(sorted({place.server for place in places})) or "none"
    raise ScanError(f"{lockfile} has no pins of server {scanned.server}; it has: {servers}; name one with --server")


def _unread(catalog: Catalog) -> frozenset[PinKind]:
    """Kinds of which not everything was read: what is missing of them need not be gone."""
    broken = {remark.method for remark in catalog.remarks if remark.rule not in _READ}
    if "" in broken:
        return frozenset(PinKind)
    unread = {_KINDS[LISTS[method]] for method in broken if method in LISTS}
    if catalog.file:
        unread |= {_KINDS[member] for method, member in LISTS.items() if method not in catalog.lists}
        if catalog.greeting is None:
            unread.add(PinKind.SERVER)
    return frozenset(unread)


def _definitions(catalog: Catalog, place: Place) -> dict[Key, Any]:
    found: dict[Key, Any] = {}
    instructions = (catalog.greeting or {}).get("instructions")
    if isinstance(instructions, str):
        found[place, PinKind.SERVER, INSTRUCTIONS] = instructions
    for method, member in LISTS.items():
        kind = _KINDS[member]
        field = member_of(kind)[1]
        for entry in catalog.lists.get(method, {}).get(member, ()):
            if isinstance(entry, dict) and isinstance(entry.get(field), str):
                found[place, kind, entry[field]] = entry
    return found


def _found(scanned: Scanned, change: CatalogChange, threshold: float) -> Found:
    _, kind, name = change.key
    severity = {"added": Severity.MEDIUM, "removed": Severity.LOW, "renamed": Severity.HIGH}.get(change.became)
    text = f"before {change.old_name}" if change.old_name else ""
    if change.risk is not None:
        severity = Severity.HIGH if change.risk.sum >= threshold else Severity.MEDIUM
        text = f"{change.risk.told} (risk {change.risk.sum:.1f})"
    return Found(
        target=scanned.catalog.target,
        server=scanned.server,
        guard=BASELINE,
        type=RUG_PULL.name,
        rule=change.became,
        severity=severity or Severity.MEDIUM,
        threats=RULES["changed"],
        kind=str(kind),
        name=name,
        text=text,
    )
