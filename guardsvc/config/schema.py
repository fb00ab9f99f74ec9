"""JSON Schema of settings: what ``guardsvc config schema`` prints and the reference is written from."""

from __future__ import annotations

import copy
import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

__all__ = ["DIALECT", "json_schema"]

DIALECT = GenerateJsonSchema.schema_dialect
"""JSON Schema 2020-12."""

_HEAD = ("$schema", "$id", "title", "description", "type")


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  a key's name is title enough
        return False


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema 2020-12 of a model, the same bytes on every run.

    Descriptions of models end where their ``Attributes:`` begin.

    Raises:
        TypeError: a model within accepts unknown keys, or gives a key no JSON Schema.
    """
    schema = copy.deepcopy(model.model_json_schema(schema_generator=_Generator))
    definitions = schema.pop("$defs", {})
    for name, definition in {model.__name__: schema, **definitions}.items():
        if "properties" in definition and definition.get("additionalProperties") is not False:
            raise TypeError(f"{name} accepts unknown keys")
        _settle(definition)
    schema |= {"$schema": DIALECT, "$id": f"urn:guardsvc:config:{model.__name__}"}
    ordered = {key: schema.pop(key) for key in _HEAD if key in schema} | schema
    return ordered | ({"$defs": dict(sorted(definitions.items()))} if definitions else {})


def _settle(node: Any) -> None:
    """Put into order what Python keeps in none, and cut docstrings to their meaning."""
    if isinstance(node, list):
        for item in node:
            _settle(item)
    if not isinstance(node, dict):
        return
    if isinstance(text := node.get("description"), str):
        node["description"] = text.partition("\n\nAttributes:")[0].strip()
    if node.get("uniqueItems") is True and isinstance(default := node.get("default"), list):
        default.sort(key=json.dumps)
    for key, item in node.items():
        if key not in {"default", "examples", "const", "enum"}:
            _settle(item)
