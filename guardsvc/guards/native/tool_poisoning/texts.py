"""Texts: the strings of a tool's definition that a model may read, and where each of them stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

__all__ = [
    "FIELDS",
    "NAMES_IN_JSON",
    "VALUES_IN_JSON",
    "Field",
    "Path",
    "Place",
    "Text",
    "pointer",
    "strings_of",
    "texts_of",
]

Path: TypeAlias = "tuple[Path, str | int] | None"
"""Where a text stands: the place around it and the key or index there; None for the tool itself.

Linked, so that a deeply nested text costs no more than another.
"""


class Field(StrEnum):
    """A part of a tool's definition, as settings name it."""

    NAME = "name"
    TITLE = "title"
    DESCRIPTION = "description"
    INPUT_SCHEMA = "input_schema"
    OUTPUT_SCHEMA = "output_schema"
    ANNOTATIONS = "annotations"
    META = "meta"


FIELDS = {
    "name": Field.NAME,
    "title": Field.TITLE,
    "description": Field.DESCRIPTION,
    "inputSchema": Field.INPUT_SCHEMA,
    "outputSchema": Field.OUTPUT_SCHEMA,
    "annotations": Field.ANNOTATIONS,
}
"""Members of a tool by field; every other member (``_meta``, ``icons``, a vendor's own) counts as ``meta``."""


class Place(StrEnum):
    """What a text is in its definition."""

    PROSE = "prose"
    NAME = "name"
    PARAMETER = "parameter"
    VALUE = "value"


class Text(msgspec.Struct, frozen=True):
    """One string.

    Attributes:
        path: where it stands.
        place: what it is.
        content: the string.
        decoded: whether it stood there in another encoding.
        subject: name of the parameter that the text is about or names, else empty.
    """

    path: Path
    place: Place
    content: str
    subject: str = ""
    decoded: bool = False


_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_VALUES = frozenset({"enum", "const", "default", "examples", "example"})
_SCHEMAS = frozenset({Field.INPUT_SCHEMA, Field.OUTPUT_SCHEMA})


def texts_of(tool: Any) -> Iterator[Text]:
    """Every string of a definition, names of members among them, in the order of the definition."""
    if not isinstance(tool, Mapping):
        yield from _plain(tool, None)
        return
    for member, value in tool.items():
        field = FIELDS.get(member)
        if field is Field.NAME and isinstance(value, str):
            yield _name((None, member), value)
        elif field in _SCHEMAS:
            yield from _schema(value, (None, member))
        else:
            if field is None:
                yield _name((None, member), str(member))
            yield from _plain(value, (None, member))


def _name(path: Path, name: str, subject: str = "") -> Text:
    """A name; one with blanks in it is prose, whatever it stands for."""
    return Text(path, Place.PROSE if any(map(str.isspace, name)) else Place.NAME, name, subject)


def _plain(value: Any, path: Path, place: Place = Place.PROSE) -> Iterator[Text]:
    stack: list[tuple[Any, Path]] = [(value, path)]
    while stack:
        item, at = stack.pop()
        if isinstance(item, str):
            yield Text(at, place, item)
        elif isinstance(item, Mapping):
            for key, inner in reversed(list(item.items())):
                stack.append((inner, (at, key)))
            for key in item:
                yield _name((at, key), str(key))
        elif isinstance(item, list | tuple):
            stack.extend((item[index], (at, index)) for index in range(len(item) - 1, -1, -1))


def _schema(value: Any, path: Path) -> Iterator[Text]:
    stack: list[tuple[Any, Path, str]] = [(value, path, "")]
    while stack:
        item, at, subject = stack.pop()
        if isinstance(item, str):
            yield Text(at, Place.PARAMETER if subject else Place.PROSE, item, subject)
        elif isinstance(item, list | tuple):
            stack.extend((item[index], (at, index), subject) for index in range(len(item) - 1, -1, -1))
        elif isinstance(item, Mapping):
            inner: list[tuple[Any, Path, str]] = []
            for key, child in item.items():
                if key in _NAMED and isinstance(child, Mapping):
                    for name in child:
                        yield _name(((at, key), name), str(name), str(name))
                    inner.extend((grandchild, ((at, key), name), str(name)) for name, grandchild in child.items())
                elif key in _VALUES:
                    yield from _plain(child, (at, key), Place.VALUE)
                else:
                    if key not in _KEYWORDS:
                        yield _name((at, key), str(key))
                    inner.append((child, (at, key), subject))
            stack.extend(reversed(inner))


NAMES_IN_JSON = r'"(?:[A-Za-z0-9]+[_.-]){2,}[A-Za-z0-9]+"|(?:[A-Za-z]+[_.-]){4}[A-Za-z]'
"""Names and chains of words, as they look in JSON, that are long enough to say something."""

VALUES_IN_JSON = (
    r'"(?:enum|const|default|examples?)":(?:\{|"(?:[^"\\ ]|\\.)*(?: |\\[nrt])'
    r'|\[(?:"(?:[^"\\]|\\.)*"|[^"\]\[{])*(?:[\[{]|"(?:[^"\\ ]|\\.)*(?: |\\[nrt])))'
)
"""Values of a schema, as they look in compact JSON, that may be more than a word."""

_SCHEMA_KEYWORDS = """
$id $schema $ref $anchor $dynamicRef $dynamicAnchor $vocabulary $comment title description type format required
items prefixItems contains additionalProperties unevaluatedProperties unevaluatedItems propertyNames allOf anyOf
oneOf not if then else dependentRequired minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength
maxLength pattern minItems maxItems uniqueItems minContains maxContains minProperties maxProperties deprecated
readOnly writeOnly contentEncoding contentMediaType contentSchema nullable
"""
_KEYWORDS = frozenset(_SCHEMA_KEYWORDS.split())


def strings_of(tool: Any) -> list[str]:
    """All strings of a definition without their places, several times faster than ``texts_of``."""
    found: list[str] = []
    level = [tool]
    while level:
        found += [item for item in level if type(item) is str]
        deeper: list[Any] = []
        for item in level:
            if type(item) is dict:
                found += item
                deeper += item.values()
            elif type(item) is list:
                deeper += item
        level = deeper
    return found


def pointer(path: Path) -> str:
    """The JSON pointer (RFC 6901) of a path."""
    parts: list[str] = []
    while path is not None:
        path, part = path
        parts.append(f"/{str(part).replace('~', '~0').replace('/', '~1')}")
    return "".join(reversed(parts))
