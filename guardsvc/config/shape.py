"""Shape: what the schema of a model says of one place of a document.

Validation errors tell where a value is wrong, not which keys would be right there nor whether the place
holds a secret; the schema does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from guardsvc.config.schema import json_schema

if TYPE_CHECKING:
    from pydantic import BaseModel

    from guardsvc.config.problems import Path

__all__ = ["Shape", "schema_of"]

_NOTES = frozenset({"title", "description", "default", "examples", "deprecated"})


class Shape:
    """The places of one value under one model.

    Args:
        model: the model.
        value: the plain value that is checked against it; it tells the branches of a union apart.
    """

    def __init__(self, model: type[BaseModel], value: Any) -> None:
        self._schema = schema_of(model)
        self._value = value

    def legal_keys(self, path: Path, unknown: str) -> list[str]:
        """The legal keys of the mapping at a place, in the order of the model, where one key is not legal."""
        known = [node.get("properties", {}) for node in self._at(path)]
        return list(dict.fromkeys(key for keys in known if unknown not in keys for key in keys))

    def tags(self, path: Path, discriminator: str) -> list[str]:
        """The legal values of the key that tells the branches of the union at a place apart."""
        found: list[str] = []
        for node in self._at(path):
            found += _fixed(node.get("properties", {}).get(discriminator, {}))
        return list(dict.fromkeys(found))

    def is_secret(self, path: Path) -> bool:
        """Whether the place may hold a secret."""
        return any(node.get("writeOnly") is True for node in self._at(path))

    def is_open(self, path: Path) -> bool:
        """Whether the schema leaves the place to somebody else: nothing is known of it, or anything goes."""
        return all(node.keys() <= _NOTES for node in self._at(path))

    def _at(self, path: Path) -> list[dict[str, Any]]:
        value = self._value
        nodes = self._branches(self._schema, value)
        for step in path:
            value = _inside(value, step)
            nodes = [found for node in nodes for below in _below(node, step) for found in self._branches(below, value)]
        return nodes

    def _branches(self, node: dict[str, Any], value: Any) -> list[dict[str, Any]]:
        if "$ref" in node:
            return self._branches(self._schema["$defs"][node["$ref"].rpartition("/")[2]], value)
        choices = node.get("anyOf") or node.get("oneOf")
        if choices is None:
            return [node]
        nodes = [found for choice in choices for found in self._branches(choice, value)]
        return [found for found in nodes if _fits(found, value)] or nodes


@lru_cache(maxsize=8)
def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a model, made once, as that takes longer than a check; treat it as read-only."""
    return json_schema(model)


def _fits(node: dict[str, Any], value: Any) -> bool:
    """Whether a list or mapping may be meant for a branch: its kind and fixed keys (``type: http``) agree."""
    if isinstance(value, list):
        return bool(node.get("type", "array") == "array")
    if not isinstance(value, dict):
        return True
    return bool(node.get("type", "object") == "object") and all(
        value[key] in legal
        for key, schema in node.get("properties", {}).items()
        if key in value and (legal := _fixed(schema))
    )


def _fixed(schema: dict[str, Any]) -> list[Any]:
    return schema.get("enum") or ([schema["const"]] if "const" in schema else [])


def _below(node: dict[str, Any], step: str | int) -> list[dict[str, Any]]:
    if node.keys() <= _NOTES:
        return [{}]
    if isinstance(step, int):
        items = node.get("prefixItems", ())
        found = items[step] if step < len(items) else node.get("items")
    else:
        found = node.get("properties", {}).get(step, node.get("additionalProperties"))
    if found is True:
        return [{}]
    return [found] if isinstance(found, dict) else []


def _inside(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None
