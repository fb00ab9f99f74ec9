"""Judging: each entry of a list held against its pin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.rug_pull.listing import Item, definition_of
from guardsvc.guards.native.rug_pull.weighing import Scales
from guardsvc.model import Finding, Severity
from guardsvc.state.definitions import canonical
from guardsvc.state.pins import Pin, PinKind, PinState, Place, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardsvc.guards.native.rug_pull.lockfile import Locked
    from guardsvc.guards.native.rug_pull.settings import RugPullSettings
    from guardsvc.state.catalog_needs import ListFact

__all__ = ["MORE", "REFUSED", "RULES", "Judgement", "Judging", "findings_of", "pin_of"]

MAX_FINDINGS = 256
"""Findings of one list that are reported; the verdict is made of all."""
MAX_WEIGHED = 65_536
"""Bytes of definitions, old and new ones, that are weighed in one list; what changes beyond is refused."""
MORE = "more_findings"
"""Rule of the finding that stands for those which are not reported."""
_CHANGED = ("SAF-T1201", "MCP03")
_NEW = ("SAF-T1201", "MCP09")
RULES: Mapping[str, tuple[str, ...]] = {
    "changed": _CHANGED,
    "risky_change": _CHANGED,
    "harmless_change": _CHANGED,
    "renamed": _CHANGED,
    "risky_rename": _CHANGED,
    "duplicate_name": ("SAF-T1004", "MCP09"),
    "added": _NEW,
    "risky_addition": _NEW,
    "unknown": _NEW,
    "not_approved": _NEW,
    MORE: _CHANGED,
}
"""Threat ids of the findings, by rule."""
REFUSED = frozenset({"changed", "risky_change", "risky_rename", "risky_addition"})
"""Rules that refuse an entry of a list."""
_SEVERITIES = {
    "harmless_change": Severity.LOW,
    "renamed": Severity.LOW,
    "added": Severity.INFO,
    "duplicate_name": Severity.MEDIUM,
}


class Judgement(msgspec.Struct, frozen=True):
    """What is noticed about one entry.

    Attributes:
        item: the entry.
        rule: what is noticed.
        pin: what it was held against, None where it is new.
        told: what has changed, in words that repeat no text.
    """

    item: Item
    rule: str
    pin: Pin | None = None
    told: str = ""


class Judging:
    """Holds lists against pins.

    Args:
        settings: of the guard.
        locked: what the lockfile approves.
    """

    def __init__(self, settings: RugPullSettings, locked: Locked) -> None:
        self._settings = settings
        self._locked = locked
        self._scales = Scales(settings)

    def list(self, items: Sequence[Item], fact: ListFact, place: Place, kind: PinKind, payload: Any) -> list[Judgement]:
        """Judge the entries of which there is anything to say."""
        seen: dict[str, str] = {}
        renamed = self._gone(items, fact) if fact.complete and "nextCursor" not in payload else {}
        judged: list[Judgement] = []
        room = MAX_WEIGHED
        for item in items:
            name, digest = item.entry.name, item.entry.digest
            pin = pin_of(self._locked, place, kind, name, fact.pins)
            if pin is not None and pin.digest == digest:
                continue
            if seen.setdefault(name, digest) != digest and pin is None:
                judged.append(Judgement(item, "duplicate_name"))
            elif pin is not None:
                judgement, cost = self._changed(item, pin, fact, definition_of(item, kind, payload), room)
                judged.append(judgement)
                room -= cost
            elif renamed and shape_of(definition_of(item, kind, payload)) in renamed:
                risky = self._settings.rename_weight >= self._settings.risk_threshold
                judged.append(Judgement(item, "risky_rename" if risky else "renamed"))
            elif fact.pins and kind is not PinKind.RESOURCE:
                risky = self._settings.addition_weight >= self._settings.risk_threshold
                judged.append(Judgement(item, "risky_addition" if risky else "added"))
        return judged

    def _gone(self, items: Sequence[Item], fact: ListFact) -> Mapping[str, str]:
        """Names by shape of pins that a complete list has no more."""
        listed = {item.entry.name for item in items} | {before.entry.name for before in fact.before}
        return {pin.shape: name for name, pin in fact.pins.items() if name not in listed}

    def _changed(self, item: Item, pin: Pin, fact: ListFact, definition: Any, room: int) -> tuple[Judgement, int]:
        """What a change amounts to, and how much of the room was used to weigh it."""
        if pin.state is PinState.APPROVED or self._settings.trust == "approval":
            return Judgement(item, "changed", pin), 0
        before = fact.definitions.get(pin.first)
        if before is None:
            return Judgement(item, "changed", pin, "what it was is not known any more"), 0
        cost = len(before) + len(canonical(definition)[1])
        if cost > room:
            return Judgement(item, "changed", pin, "too much has changed at once to be weighed"), 0
        risk = self._scales.weigh(json.loads(before), definition)
        risky = risk.sum >= self._settings.risk_threshold
        return Judgement(item, "risky_change" if risky else "harmless_change", pin, risk.told), cost


def pin_of(locked: Locked, place: Place, kind: PinKind, name: str, pins: Mapping[str, Pin]) -> Pin | None:
    """The pin of a name: the lockfile's where it has one, with the mark that the store keeps."""
    fixed, stored = locked.get((place, kind, name)), pins.get(name)
    if fixed is None:
        return stored
    changed = stored.changed if stored is not None else ""
    return msgspec.structs.replace(fixed.pin, changed=changed) if changed else fixed.pin


def findings_of(judgements: Sequence[Judgement]) -> tuple[Finding, ...]:
    """The findings that tell of judgements, those that refuse first; one more stands for those beyond the bound."""
    ordered = sorted(judgements, key=lambda judgement: judgement.rule not in REFUSED)
    findings = tuple(_finding(judgement) for judgement in ordered[:MAX_FINDINGS])
    left = ordered[MAX_FINDINGS:]
    if not left:
        return findings
    severity = Severity.HIGH if left[0].rule in REFUSED else Severity.LOW
    excerpt = f"{len(left)} more findings are not reported"
    return (*findings, Finding(rule=MORE, severity=severity, threats=RULES[MORE], excerpt=excerpt))


def _finding(judgement: Judgement) -> Finding:
    return Finding(
        rule=judgement.rule,
        severity=_SEVERITIES.get(judgement.rule, Severity.HIGH),
        where=judgement.item.where,
        threats=RULES[judgement.rule],
        excerpt=judgement.told,
    )
