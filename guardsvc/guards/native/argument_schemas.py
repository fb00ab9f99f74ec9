"""Argument schemas: what the ``inputSchema`` of a tool says of one value, looked up when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["MAX_NODES", "Scalar", "Schemas", "merged"]

Scalar = str | int | float | bool | None

MAX_NODES = 64
"""Schema nodes that are read for one value; what a schema says beyond is not known."""

_COMBINATORS = ("allOf", "anyOf", "oneOf")
_TYPES: dict[type, frozenset[str]] = {
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"integer", "number"}),
    type(None): frozenset({"null"}),
}


class Schemas:
    """The schema that the values of one message are looked up in.

    Args:
        root: the whole schema.
    """

    __slots__ = ("_known", "_root")

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[int, tuple[Mapping[str, Any], ...]] = {}

    def root(self) -> tuple[Mapping[str, Any], ...]:
        """What it says of the whole value."""
        return self._expand(self._root)

    def below(self, nodes: tuple[Mapping[str, Any], ...], token: str | int) -> tuple[Mapping[str, Any], ...]:
        """What the schemas of an object or array say of one of its members."""
        if isinstance(token, str):
            found = [child for node in nodes if (child := _property(node, token)) is not None]
            if not found:
                found = [extra for node in nodes if isinstance(extra := node.get("additionalProperties"), Mapping)]
        else:
            found = [child for node in nodes if (child := _item(node, token)) is not None]
        expanded = [node for child in found[:MAX_NODES] for node in self._expand(child)]
        return tuple(expanded[:MAX_NODES])

    def _expand(self, schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """A schema with those it refers to and combines, itself first."""
        known = self._known.get(id(schema))
        if known is not None:
            return known
        found: dict[int, Mapping[str, Any]] = {}
        pending: list[Any] = [schema]
        for node in pending:
            if not isinstance(node, Mapping) or id(node) in found:
                continue
            found[id(node)] = node
            if len(found) == MAX_NODES:
                break
            pending.append(self._target(node.get("$ref")))
            for name in _COMBINATORS:
                parts = node.get(name)
                if isinstance(parts, list | tuple):
                    pending += parts[:MAX_NODES]
        expanded = self._known[id(schema)] = tuple(found.values())
        return expanded

    def _target(self, reference: Any) -> Any:
        if type(reference) is not str or not (reference == "#" or reference.startswith("#/")):
            return None
        node: Any = self._root
        for token in reference.split("/", MAX_NODES)[1:]:
            if not isinstance(node, Mapping):
                return None
            node = node.get(token.replace("~1", "/").replace("~0", "~"))
        return node


def merged(nodes: tuple[Mapping[str, Any], ...], value: Scalar) -> Mapping[str, Any] | None:
    """One schema of those that apply to a value where they allow its type; None where there is none."""
    if len(nodes) <= 1:
        return nodes[0] if nodes else None
    fitting = [node for node in nodes if _fits(node.get("type"), value)] or list(nodes)
    found: dict[str, Any] = {}
    for node in reversed(fitting):
        found.update((key, part) for key, part in node.items() if key != "$ref" and key not in _COMBINATORS)
    return found


def _property(node: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    properties = node.get("properties")
    found = properties.get(name) if isinstance(properties, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _item(node: Mapping[str, Any], index: int) -> Mapping[str, Any] | None:
    """The schema of an array's item; ``items`` may be a list up to 2019-09."""
    items = node.get("items")
    for first in (node.get("prefixItems"), items):
        if isinstance(first, list | tuple) and index < len(first):
            return first[index] if isinstance(first[index], Mapping) else None
    return items if isinstance(items, Mapping) else None


def _fits(types: Any, value: Scalar) -> bool:
    """Whether the ``type`` of a schema allows a value, as far as it says."""
    allowed = _TYPES.get(type(value), frozenset())
    if type(types) is str:
        return types in allowed
    return not isinstance(types, list | tuple) or any(type(name) is str and name in allowed for name in types)
