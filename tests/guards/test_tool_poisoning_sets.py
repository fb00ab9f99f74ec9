"""How many attacks in other words ``tool_poisoning`` denies, and how few harmless texts that sound like attacks.

The sets are beside the suite in ``tests/cases/guards/tool_poisoning``.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.guards.test_tool_poisoning import CASES, STRICT, denies, judge

ATTACKS: dict[str, dict[str, list[str]]] = yaml.safe_load((CASES / "paraphrases.yaml").read_text())
LOOKALIKES: dict[str, list[str]] = yaml.safe_load((CASES / "lookalikes.yaml").read_text())

FRESH: dict[str, Any] = yaml.safe_load((CASES / "fresh.yaml").read_text())
OUTSIDERS: dict[str, Any] = yaml.safe_load((CASES / "outsiders.yaml").read_text())
STRANGERS: dict[str, Any] = yaml.safe_load((CASES / "strangers.yaml").read_text())

FLOORS = {"tuned": (48, 52), "blind": (32, 44), "opened": (58, 62), "kept": (28, 42)}
"""Attacks that must be denied by default, and in strict mode: what docs/guards/tool_poisoning.md tells, or less."""


@pytest.mark.parametrize("part", FLOORS)
def test_attacks_in_other_words(part: str) -> None:
    families = {**ATTACKS, **FRESH["attacks"]}[part]
    attacks = [text for family in families.values() for text in family]
    by_default, strictly = FLOORS[part]
    assert sum(denies(judge(text)) for text in attacks) >= by_default
    assert sum(denies(judge(text, STRICT)) for text in attacks) >= strictly


@pytest.mark.parametrize("text", LOOKALIKES["tuned"] + LOOKALIKES["blind"])
def test_harmless_texts_that_sound_like_attacks(text: str) -> None:
    assert not denies(judge(text))


@pytest.mark.parametrize(("part", "most"), [("opened", 1), ("kept", 2)])
def test_few_harmless_texts_of_the_fresh_set_are_denied(part: str, most: int) -> None:
    assert sum(denies(judge(text)) for text in FRESH["benign"][part]) <= most


def outsider(entry: dict[str, str]) -> dict[str, Any]:
    """The tool of an entry, whose text stands where the entry says."""
    value: dict[str, Any] = {"type": "string"}
    tool = {"name": entry["name"], "description": entry["description"], "inputSchema": {"properties": {"value": value}}}
    match entry.get("where", "description"):
        case "title":
            tool["title"] = entry["text"]
        case "property":
            value["description"] = entry["text"]
        case "enum":
            value["enum"] = [entry["text"], "other"]
        case "default":
            value["default"] = entry["text"]
        case "annotation":
            tool["annotations"] = {"title": entry["text"]}
    return tool


@pytest.mark.parametrize(("part", "by_default", "strictly", "harmless"), [("opened", 26, 34, 1), ("kept", 23, 31, 4)])
def test_set_of_outsiders(part: str, by_default: int, strictly: int, harmless: int) -> None:
    attacks = [outsider(entry) for family in OUTSIDERS["attacks"][part].values() for entry in family]
    assert sum(denies(judge(tool)) for tool in attacks) >= by_default
    assert sum(denies(judge(tool, STRICT)) for tool in attacks) >= strictly
    assert sum(denies(judge(outsider(entry))) for entry in OUTSIDERS["harmless"][part]) <= harmless


def test_set_of_strangers() -> None:
    attacks = [outsider(entry) for family in STRANGERS["attacks"].values() for entry in family]
    assert sum(denies(judge(tool)) for tool in attacks) >= 21
    assert sum(denies(judge(tool, STRICT)) for tool in attacks) >= 32
    assert sum(denies(judge(outsider(entry))) for entry in STRANGERS["harmless"]) <= 5
