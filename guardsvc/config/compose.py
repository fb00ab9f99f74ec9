"""From YAML events to plain values with their lines.

Values are built straight from the parser's events: PyYAML's own composer recurses without a bound, which
crashes the interpreter on a megabyte of ``[``, and silently keeps the last of two equal keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from guardsvc.config.problems import ConfigError, Path, Problem, format_path
from guardsvc.config.scalars import SCALAR_TAGS, construct, resolve
from guardsvc.config.turns import give_way
from guardsvc.config.values import kind_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_DEPTH", "MAX_NODES", "Composer", "Lines"]

MAX_DEPTH = 64
"""Levels of lists and mappings inside each other."""

MAX_NODES = 100_000
"""Values in a document, counting every alias as all that it stands for."""

_COLLECTION_TAGS = {
    yaml.SequenceStartEvent: frozenset({"!", "tag:yaml.org,2002:seq"}),
    yaml.MappingStartEvent: frozenset({"!", "tag:yaml.org,2002:map"}),
}


@dataclass(frozen=True, slots=True)
class Lines:
    """The line of a value and the lines of what is inside it; the value of a key stands on the key's line."""

    line: int
    inside: dict[str | int, Lines] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Node:
    value: Any
    lines: Lines
    size: int = 1
    height: int = 0


class Composer:
    """Builds the one document of a stream.

    Args:
        events: what PyYAML's parser gives.
        source: name of the document in errors.
    """

    def __init__(self, events: Iterator[yaml.Event], source: str) -> None:
        self._events = events
        self._source = source
        self._problems: list[Problem] = []
        self._anchors: dict[str, _Node | None] = {}
        self._path: list[str | int] = []
        self._nodes = 0
        self._depth = 0

    def compose(self) -> tuple[dict[str, Any], Lines | None]:
        """The document's value and lines; no document at all is an empty mapping without lines.

        Raises:
            ConfigError: with every problem of form.
        """
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return {}, None
        event = next(self._events)
        empty = isinstance(event, yaml.ScalarEvent) and event.implicit[0] and not event.value
        root = self._node(event)
        next(self._events)
        if not isinstance(after := next(self._events), yaml.StreamEndEvent):
            self._stop("a second document starts here; a configuration is one document", _line(after))
        if empty:
            return {}, None
        if not isinstance(root.value, dict):
            self._problem(f"the top level is {kind_of(root.value)}; expected a mapping", root.lines.line)
        if self._problems:
            raise ConfigError(self._source, self._problems)
        return root.value, root.lines

    def _node(self, event: yaml.Event) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        give_way()
        self._count(1, event)
        anchor: str | None = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = _Node(self._scalar(event), Lines(_line(event)))
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(event)
        else:
            raise TypeError(f"{event} begins no value")
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent) -> _Node:
        name = str(event.anchor)
        node = self._anchors.get(name)
        if node is None:
            wrong = "stands inside what it names" if name in self._anchors else "names nothing"
            self._problem(f"the alias *{name} {wrong}", _line(event))
            return _Node(None, Lines(_line(event)))
        self._count(node.size, event)
        self._check_depth(node.height, event)
        return node

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        if not _is_unicode(event.value):
            self._problem("half of a surrogate pair is no character", _line(event))
        if event.tag is None:
            return resolve(event.value) if event.implicit[0] else event.value
        if event.tag not in SCALAR_TAGS:
            self._refuse_tag(event)
            return None
        try:
            return construct(event.tag, event.value)
        except ValueError as error:
            self._problem(str(error), _line(event))
            return None

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        self._check_depth(1, event)
        self._depth += 1
        if event.tag is not None and event.tag not in _COLLECTION_TAGS[type(event)]:
            self._refuse_tag(event)

    def _sequence(self, start: yaml.SequenceStartEvent) -> _Node:
        self._open(start)
        values: list[Any] = []
        lines: dict[str | int, Lines] = {}
        size, height = 1, 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            node = self._inside(len(values), event)
            lines[len(values)] = Lines(_line(event), node.lines.inside)
            values.append(node.value)
            size, height = size + node.size, max(height, node.height)
        self._depth -= 1
        return _Node(values, Lines(_line(start), lines), size, height + 1)

    def _mapping(self, start: yaml.MappingStartEvent) -> _Node:
        self._open(start)
        values: dict[str, Any] = {}
        lines: dict[str | int, Lines] = {}
        size, height = 1, 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            node = self._inside(key, next(self._events)) if key is not None else self._node(next(self._events))
            size, height = size + 1 + node.size, max(height, node.height)
            if key is None:
                continue
            if key in values:
                both = f"lines {lines[key].line} and {_line(event)}"
                self._problem(f"the key is given twice, on {both}", _line(event), key)
                continue
            lines[key] = Lines(_line(event), node.lines.inside)
            values[key] = node.value
        self._depth -= 1
        return _Node(values, Lines(_line(start), lines), size, height + 1)

    def _key(self, event: yaml.Event) -> str | None:
        """The key, or None where the problem with it has been noted."""
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]:
            message = "merge keys (<<) are not supported; write the keys out, or alias a whole value"
            self._problem(message, _line(event))
            self._node(event)
            return None
        before = len(self._problems)
        value = self._node(event).value
        if isinstance(value, str):
            return value
        if len(self._problems) == before:
            quoted = f"; quote it: {shown(event.value)}" if isinstance(event, yaml.ScalarEvent) else ""
            self._problem(f"a key is {kind_of(value)}; keys are strings{quoted}", _line(event))
        return None

    def _inside(self, step: str | int, event: yaml.Event) -> _Node:
        self._path.append(step)
        node = self._node(event)
        self._path.pop()
        return node

    def _count(self, nodes: int, event: yaml.Event) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._stop(f"the document has more than {MAX_NODES} values, aliases written out", _line(event))

    def _check_depth(self, height: int, event: yaml.Event) -> None:
        if self._depth + height > MAX_DEPTH:
            self._path.clear()
            self._stop(f"lists and mappings are nested more than {MAX_DEPTH} levels deep", _line(event))

    def _refuse_tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", "")
        self._problem(f"the tag {shown(tag)} is not allowed; values are plain YAML data", _line(event))

    def _problem(self, message: str, line: int, *below: str | int) -> None:
        path: Path = (*self._path, *below)
        self._problems.append(Problem(format_path(path), message, line))

    def _stop(self, message: str, line: int) -> NoReturn:
        self._problem(message, line)
        raise ConfigError(self._source, self._problems)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _line(event: yaml.Event) -> int:
    return 1 if event.start_mark is None else event.start_mark.line + 1
