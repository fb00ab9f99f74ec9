"""The built-in rule pack: own signals and rules, with those signals of tool_poisoning that the rules name."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from guardsvc.config.shipped import read_shipped
from guardsvc.guards.native.tool_poisoning.pack import SHAPES as DISGUISES
from guardsvc.guards.native.tool_poisoning.pack import Pack, Rule, build_pack
from guardsvc.model import Severity

__all__ = ["SHAPES", "load_pack"]

_THREATS = ("SAF-T1402", "MCP06")
_ALWAYS = frozenset({"in_name", "in_param", "in_value", "context_name"})
_UNUSED = frozenset({"foreign_tool", "control_characters", "blank_run", "split_attack", "attack_wording"})
_NAME = re.compile(r"[a-z_]+")

SHAPES = (
    *(Rule(rule.id, _THREATS, rule.severity, rule.catches) for rule in DISGUISES if rule.id not in _UNUSED),
    Rule("misspelt_order", _THREATS, Severity.LOW, "misspells a word of an order by one letter"),
    Rule(
        "too_much_text",
        ("SAF-T2102", "MCP10"),
        Severity.HIGH,
        "has more text than is looked at, so that something may be in the rest",
    ),
)
"""Rules that code looks for."""


@cache
def load_pack() -> Pack:
    """The pack that is shipped with the package."""
    own = _document("guardsvc.guards.native.result_injection", "signals.yaml")
    lent = _document("guardsvc.guards.native.tool_poisoning", "signals.yaml")
    rules = _document("guardsvc.guards.native.result_injection", "rules.yaml")
    used = _ALWAYS | set(own["signals"])
    for terms in (*rules["groups"].values(), *(text for rule in rules["rules"] for text in _terms(rule))):
        used |= set(_NAME.findall(terms))
    signals = {**lent["signals"], **own["signals"]}
    wording = {
        "macros": {**lent["macros"], **own["macros"]},
        "signals": {name: given for name, given in signals.items() if name in used},
    }
    return build_pack(wording, rules, SHAPES)


def _document(package: str, name: str) -> dict[str, Any]:
    document: dict[str, Any] = read_shipped(package, name)
    return document


def _terms(rule: dict[str, Any]) -> list[str]:
    return [*rule.get("when", ()), *rule.get("review", ())]
