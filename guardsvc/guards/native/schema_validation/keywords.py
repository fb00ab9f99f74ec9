"""Keywords: where JSON Schema has schemas in schemas, and what its dialects are called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = [
    "ASSERTIONS",
    "BRANCHES",
    "CHILDREN",
    "DEFAULT_DIALECT",
    "DIALECTS",
    "DRAFT_4",
    "OLD_DIALECTS",
    "REFERENCES",
    "subschemas",
]

DEFAULT_DIALECT = "https://json-schema.org/draft/2020-12/schema"
DRAFT_4 = "http://json-schema.org/draft-04/schema"
OLD_DIALECTS = frozenset(f"http://json-schema.org/draft-0{number}/schema" for number in (4, 6, 7))
"""Dialects in which nothing beside ``$ref`` counts."""
DIALECTS = (*sorted(OLD_DIALECTS), "https://json-schema.org/draft/2019-09/schema", DEFAULT_DIALECT)

REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

BRANCHES = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"})
"""Keywords whose schemas are applied to the value itself."""

CHILDREN = frozenset(
    {
        "properties",
        "patternProperties",
        "additionalProperties",
        "unevaluatedProperties",
        "propertyNames",
        "prefixItems",
        "items",
        "additionalItems",
        "unevaluatedItems",
        "contains",
    }
)
"""Keywords whose schemas are applied to what is in the value."""

ASSERTIONS = (
    "type",
    "enum",
    "const",
    "required",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "contentEncoding",
    "contentMediaType",
)
"""Keywords that stand for themselves."""

_DEFINITIONS = frozenset({"$defs", "definitions"})
_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies"}) | _DEFINITIONS
_APPLICATORS = BRANCHES | CHILDREN | _DEFINITIONS


def subschemas(schema: dict[str, Any]) -> Iterator[tuple[str, tuple[str | int, ...], Any]]:
    """The schemas that stand directly in one: keyword, path below the schema, and the schema itself."""
    for keyword in schema.keys() & _APPLICATORS:
        value = schema[keyword]
        if keyword in _BY_NAME:
            if type(value) is dict:
                for name, inner in value.items():
                    if type(inner) is dict or type(inner) is bool:
                        yield keyword, (keyword, name), inner
        elif type(value) is list:
            for index, inner in enumerate(value):
                yield keyword, (keyword, index), inner
        else:
            yield keyword, (keyword,), value
