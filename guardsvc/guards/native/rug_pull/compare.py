"""Compare: what became of a whole catalog, entry by entry; a name that moved is told as one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from guardsvc.state.pins import shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.guards.native.rug_pull.weighing import Risk, Scales
    from guardsvc.state.baseline import Key

__all__ = ["Became", "CatalogChange", "compare"]

Became = Literal["added", "removed", "renamed", "changed"]


class CatalogChange(msgspec.Struct, frozen=True):
    """What became of one entry.

    Attributes:
        key: whose it is, its kind and name; of what was renamed the new name.
        became: what became of it.
        old_name: of what was renamed.
        risk: of what has changed.
    """

    key: Key
    became: Became
    old_name: str = ""
    risk: Risk | None = None


def compare(before: Mapping[Key, Any], after: Mapping[Key, Any], scales: Scales) -> list[CatalogChange]:
    """Compare two catalogs, each the definitions by key, in the order of the keys."""
    gone = {(*key[:2], shape_of(definition)): key for key, definition in before.items() if key not in after}
    found: list[CatalogChange] = []
    moved: set[Key] = set()
    for key, definition in after.items():
        if key in before:
            if before[key] != definition:
                found.append(CatalogChange(key, "changed", risk=scales.weigh(before[key], definition)))
            continue
        old = gone.get((*key[:2], shape_of(definition)))
        if old is None or old in moved:
            found.append(CatalogChange(key, "added"))
        else:
            moved.add(old)
            found.append(CatalogChange(key, "renamed", old_name=old[2]))
    found += [CatalogChange(key, "removed") for key in before if key not in after and key not in moved]
    return sorted(found, key=lambda change: (change.key[0].tenant, change.key[0].server, change.key[1], change.key[2]))
