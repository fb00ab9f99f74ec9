"""Changes: what became of a definition, by kinds that say what it means and not only which member differs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
import re2

from guardsvc.guards.native.rug_pull.schemas import schema_changes
from guardsvc.guards.native.rug_pull.sentences import added_sentences
from guardsvc.guards.native.tool_poisoning.texts import Place, texts_of

if TYPE_CHECKING:
    from guardsvc.guards.native.rug_pull.schemas import SchemaChange
    from guardsvc.guards.native.tool_poisoning.texts import Text

__all__ = ["Change", "Difference", "difference"]

_HINTS = {"readOnlyHint": (False, False), "destructiveHint": (True, True), "openWorldHint": (True, True)}
"""Of each hint: what it is where it is not given, and the value that says the tool does more harm."""
_SCHEMAS = ("inputSchema", "outputSchema")
_TEXTS = ("title", "description")
_SINK = re2.compile(r"(?i)https?://|wss?://|ftp://|[\w.+-]@[\w-]+\.[a-z]{2,16}\b")
_SINK_NAMES = frozenset(
    {"webhook", "callback", "url", "endpoint", "email", "recipient", "bcc", "cc", "upload", "forward"}
)
_WORDS = re.compile(r"[a-z]+|[A-Z][a-z]*|[A-Z]+")


class Change(StrEnum):
    """A kind of change of one definition."""

    TEXT_ADDED = "text_added"
    TEXT_REMOVED = "text_removed"
    PARAMETER_ADDED = "parameter_added"
    PARAMETER_REMOVED = "parameter_removed"
    SCHEMA_WIDENED = "schema_widened"
    SCHEMA_NARROWED = "schema_narrowed"
    OUTPUT_SCHEMA = "output_schema"
    ANNOTATIONS_RELAXED = "annotations_relaxed"
    ANNOTATIONS_TIGHTENED = "annotations_tightened"
    SINK_ADDED = "sink_added"
    META = "meta"


class Difference(msgspec.Struct, frozen=True):
    """What became of one definition.

    Attributes:
        changes: the kinds, in order of ``Change``.
        added: a definition that says only what the new one says beyond the old one.
    """

    changes: tuple[Change, ...]
    added: Mapping[str, Any]


def difference(before: Any, after: Any) -> Difference:
    """Compare two definitions, which are any JSON values."""
    old = before if isinstance(before, Mapping) else {"description": before}
    new = after if isinstance(after, Mapping) else {"description": after}
    found: set[Change] = set()
    old_texts, new_texts = _prose(old), _prose(new)
    added = added_sentences([text.content for text in old_texts], [text.content for text in new_texts])
    if added:
        found.add(Change.TEXT_ADDED)
    if added_sentences([text.content for text in new_texts], [text.content for text in old_texts]):
        found.add(Change.TEXT_REMOVED)
    of_input = schema_changes(old.get("inputSchema"), new.get("inputSchema"))
    found |= _schema(of_input)
    if old.get("outputSchema") != new.get("outputSchema"):
        found.add(Change.OUTPUT_SCHEMA)
    found |= _annotations(old.get("annotations"), new.get("annotations"))
    known = {"name", *_TEXTS, *_SCHEMAS, "annotations"}
    if {k: v for k, v in old.items() if k not in known} != {k: v for k, v in new.items() if k not in known}:
        found.add(Change.META)
    if any(map(_SINK.search, added)) or any(_is_sink(name) for name in of_input.added):
        found.add(Change.SINK_ADDED)
    return Difference(tuple(change for change in Change if change in found), _added(new, new_texts, added, of_input))


def _prose(definition: Mapping[str, Any]) -> list[Text]:
    return [text for text in texts_of(definition) if text.place is not Place.NAME]


def _schema(changes: SchemaChange) -> set[Change]:
    found: set[Change] = set()
    if changes.added:
        found.add(Change.PARAMETER_ADDED)
    if changes.removed:
        found.add(Change.PARAMETER_REMOVED)
    if changes.widened:
        found.add(Change.SCHEMA_WIDENED)
    if changes.narrowed:
        found.add(Change.SCHEMA_NARROWED)
    return found


def _annotations(before: Any, after: Any) -> set[Change]:
    old = before if isinstance(before, Mapping) else {}
    new = after if isinstance(after, Mapping) else {}
    found: set[Change] = set()
    for hint, (default, harmful) in _HINTS.items():
        was, now = old.get(hint, default), new.get(hint, default)
        if was != now:
            found.add(Change.ANNOTATIONS_TIGHTENED if now == harmful else Change.ANNOTATIONS_RELAXED)
    if not found and {**old, "title": ""} != {**new, "title": ""}:
        found.add(Change.META)
    return found


def _is_sink(name: str) -> bool:
    return any(word.lower() in _SINK_NAMES for word in _WORDS.findall(name))


def _added(new: Mapping[str, Any], texts: list[Text], added: list[str], of_input: SchemaChange) -> Mapping[str, Any]:
    """The added sentences, each where it stood as far as that counts: at its parameter, or at the tool."""
    wanted = set(added)
    of_tool: list[str] = []
    of_parameters: dict[str, list[str]] = {}
    for text in texts:
        mine = [sentence for sentence in added_sentences([], [text.content]) if sentence in wanted]
        if mine:
            (of_parameters.setdefault(text.subject, []) if text.subject else of_tool).extend(mine)
    for name in of_input.added:
        of_parameters.setdefault(name, [])
    definition: dict[str, Any] = {"name": new.get("name", ""), "description": "\n".join(of_tool)}
    if of_parameters:
        properties = {name: {"description": "\n".join(said)} for name, said in of_parameters.items()}
        definition["inputSchema"] = {"type": "object", "properties": properties}
    return definition
