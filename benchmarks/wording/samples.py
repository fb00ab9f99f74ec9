"""Texts of both kinds, as the model reads them."""  # noqa: INP001  a script

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from guardsvc.guards.native.tool_poisoning.texts import Place, texts_of
from guardsvc.guards.native.tool_poisoning.wording import sentences_of

__all__ = ["BOTH", "Sample", "Samples", "held_out", "own", "published", "real"]

HERE = Path(__file__).parent
CASES = HERE.parents[1] / "tests" / "cases" / "guards" / "tool_poisoning"
MEMBERS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations", "_meta")

Sample: TypeAlias = list[list[bytes]]
"""The sentences of each text of a definition."""
Samples: TypeAlias = list[Sample]
BOTH: TypeAlias = tuple[Samples, Samples]
"""Attacks and harmless texts."""


def own() -> list[BOTH]:
    """Texts of our own to learn from: those of this folder, file by file, and then parts of the suites' sets."""
    found = []
    for path in sorted((HERE / "texts").glob("*.yaml")):
        document = _read(path)
        found.append((_samples(document["attacks"]), _samples(document["harmless"])))
    fresh, outsiders = _read(CASES / "fresh.yaml"), _read(CASES / "outsiders.yaml")
    attacks = [outsiders["attacks"]["opened"], fresh["attacks"]["opened"], _read(CASES / "paraphrases.yaml")["tuned"]]
    harmless = [outsiders["harmless"]["opened"], fresh["benign"]["opened"], _read(CASES / "lookalikes.yaml")["tuned"]]
    return [*found, (_samples(attacks), _samples(harmless))]


def held_out() -> dict[str, BOTH]:
    """Texts of our own that nothing was learned from, by set."""
    fresh, outsiders = _read(CASES / "fresh.yaml"), _read(CASES / "outsiders.yaml")
    strangers, paraphrases = _read(CASES / "strangers.yaml"), _read(CASES / "paraphrases.yaml")
    return {
        "strangers": (_samples(strangers["attacks"]), _samples(strangers["harmless"])),
        "outsiders, kept": (_samples(outsiders["attacks"]["kept"]), _samples(outsiders["harmless"]["kept"])),
        "fresh, kept": (_samples(fresh["attacks"]["kept"]), _samples(fresh["benign"]["kept"])),
        "paraphrases, blind": (_samples(paraphrases["blind"]), _samples(_read(CASES / "lookalikes.yaml")["blind"])),
    }


def real(corpus: Path) -> tuple[Samples, list[str]]:
    """Real tools of a development corpus, and the server of each."""
    rows = _rows(corpus / "benign_tools.jsonl")
    return [_sample(row) for row in rows], [str(row.get("server")) for row in rows]


def published(corpus: Path) -> Samples:
    """Explicit attacks of a development corpus."""
    return [_sample(row) for row in _rows(corpus / "malicious_tools.jsonl") if row["level"] == "explicit"]


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _samples(document: Any) -> Samples:
    return [_sample(tool) for tool in _tools(document)]


def _tools(document: Any) -> Iterator[dict[str, Any]]:
    """The definitions of a set: a text is a description, an entry may have a further text elsewhere."""
    if isinstance(document, str):
        yield {"description": document}
    elif isinstance(document, list):
        for each in document:
            yield from _tools(each)
    elif "description" in document:
        yield {"description": document["description"], "title": document.get("text", "")}
    else:
        yield from _tools(list(document.values()))


def _sample(row: dict[str, Any]) -> Sample:
    tool = {member: row[member] for member in MEMBERS if row.get(member)}
    return [_sentences(text.content) for text in texts_of(tool) if text.place is not Place.NAME] or [[b""]]


def _sentences(text: str) -> Sequence[bytes]:
    return [sentence for sentence in sentences_of(text) if sentence.strip()] or [b""]
