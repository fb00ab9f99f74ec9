"""``guardsvc baseline diff``: what has changed since it was pinned, or beside a lockfile."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardsvc.cli.baseline.run import Selection, end, guard_of, told, with_baseline
from guardsvc.cli.exit_codes import ExitCode
from guardsvc.guards.native.rug_pull.compare import CatalogChange, compare
from guardsvc.guards.native.rug_pull.lockfile import LockfileError, read_lockfile
from guardsvc.guards.native.rug_pull.weighing import Scales

if TYPE_CHECKING:
    from guardsvc.state.baseline import Baseline, Key

__all__ = ["run_diff"]


def run_diff(selection: Selection, file: str | None, *, as_json: bool) -> None:
    """Print the changes; end with code 1 if there are any."""
    _, guard = guard_of(selection)
    before, after = with_baseline(selection, lambda baseline: _catalogs(baseline, selection))
    if file is not None:
        try:
            locked = read_lockfile(Path(file))
        except LockfileError as error:
            end(str(error))
        before = {key: pinned.definition for key, pinned in locked.items() if selection.has(key)}
    changes = compare(before, after, Scales(guard.settings))
    if as_json:
        print(json.dumps({"changes": [_described(change) for change in changes]}))
    else:
        for change in changes:
            print(_told(change))
        print(f"{len(changes)} change{'s' * (len(changes) != 1)}")
    if changes:
        sys.exit(ExitCode.REFUSED)


async def _catalogs(baseline: Baseline, selection: Selection) -> tuple[dict[Key, Any], dict[Key, Any]]:
    """What was trusted first, and what the servers show now."""
    before: dict[Key, Any] = {}
    after: dict[Key, Any] = {}
    for key, pin in (await baseline.pins()).items():
        if selection.has(key):
            before[key] = await baseline.definition(key[0], pin.first)
            after[key] = await baseline.definition(key[0], pin.changed or pin.digest)
    return before, after


def _described(change: CatalogChange) -> dict[str, Any]:
    place, kind, name = change.key
    members: dict[str, Any] = {
        "tenant": place.tenant,
        "server": place.server,
        "kind": str(kind),
        "name": name,
        "became": change.became,
    }
    if change.old_name:
        members["old_name"] = change.old_name
    if change.risk is not None:
        members |= {
            "risk": round(change.risk.sum, 2),
            "changes": [str(each) for each in change.risk.changes],
            "signs": list(change.risk.signs),
        }
    return members


def _told(change: CatalogChange) -> str:
    text = f"{change.became:<8} {told(change.key)}"
    if change.old_name:
        text += f", before {change.old_name}"
    return text if change.risk is None else f"{text}: {change.risk.told} (risk {change.risk.sum:.1f})"
