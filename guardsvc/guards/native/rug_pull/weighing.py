"""Weighing: how much risk a change carries, by what it says more than by which member differs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.rug_pull.changes import Change, difference
from guardsvc.guards.native.tool_poisoning.custom import CustomRules
from guardsvc.guards.native.tool_poisoning.guard import WEIGHTS
from guardsvc.guards.native.tool_poisoning.judge import Judge
from guardsvc.guards.native.tool_poisoning.pack import load_pack

if TYPE_CHECKING:
    from guardsvc.guards.native.rug_pull.settings import RugPullSettings

__all__ = ["Risk", "Scales", "signs_of"]


class Risk(msgspec.Struct, frozen=True):
    """What a change amounts to.

    Attributes:
        sum: of the weights.
        changes: its kinds.
        signs: ids of the rules of ``tool_poisoning`` that find something in the added text.
    """

    sum: float
    changes: tuple[Change, ...]
    signs: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """In words that repeat no text of the server."""
        return ", ".join((*self.changes, *self.signs)) or "members in another form"


class Scales:
    """Weighs changes by the settings.

    Args:
        settings: of the guard.
    """

    def __init__(self, settings: RugPullSettings) -> None:
        if settings.trust == "first_use":
            _judge()
        self._poisoning = settings.poisoning_weight
        self._weights = {
            Change.TEXT_ADDED: settings.description_change_weight,
            Change.PARAMETER_ADDED: settings.new_parameter_weight,
            Change.PARAMETER_REMOVED: settings.removal_weight,
            Change.SCHEMA_WIDENED: settings.schema_change_weight,
            Change.SCHEMA_NARROWED: settings.removal_weight,
            Change.ANNOTATIONS_RELAXED: settings.relaxed_annotation_weight,
            Change.SINK_ADDED: settings.sink_weight,
        }

    def weigh(self, before: Any, after: Any) -> Risk:
        """The risk of a change.

        What the old definition carries already is not held against the new one.

        Args:
            before: what was trusted.
            after: what the server shows now.
        """
        found = difference(before, after)
        total = sum(self._weights.get(change, 0) for change in found.changes)
        old = signs_of(before)
        new = signs_of(found.added)
        whole = signs_of(after)
        signs = {
            rule: weight
            for rule, weight in {**whole, **new}.items()
            if weight > old.get(rule, 0) and rule != "foreign_tool"
        }
        innocent = 1.0
        for weight in signs.values():
            innocent *= 1 - weight
        return Risk(total + self._poisoning * (1 - innocent), found.changes, tuple(sorted(signs)))


def signs_of(definition: Any) -> dict[str, float]:
    """What the built-in rules of ``tool_poisoning`` find in a definition or a text: weights by rule."""
    if isinstance(definition, str):
        definition = {"description": definition}
    judge = _judge()
    try:
        (look,) = judge.look([definition], [msgspec.json.encode(definition)])
    except (TypeError, ValueError, RecursionError, OverflowError):
        (look,) = judge.look([definition], [None])
    if not look:
        return {}
    findings = judge.findings(definition, look, None, custom=False)
    return {finding.rule: WEIGHTS[finding.severity] for finding in findings}


@cache
def _judge() -> Judge:
    """The built-in rules, made once for all guards, which takes longer than a decision may."""
    pack = load_pack()
    return Judge(pack, CustomRules((), {rule.id for rule in pack.rules}))
