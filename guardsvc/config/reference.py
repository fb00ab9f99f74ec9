"""Reference: the settings as Markdown tables, written from their JSON Schema."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["reference"]

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "length at least {}",
    "maxLength": "length at most {}",
    "minItems": "length at least {}",
    "maxItems": "length at most {}",
    "minProperties": "length at least {}",
    "maxProperties": "length at most {}",
    "pattern": "matches `{}`",
}
_FORMATS = {"date-time": "date and time", "date": "date", "time": "time", "duration": "duration"}
_HIDDEN = "secret: text, `${env:NAME}` or `${file:/path}`"


def reference(schema: dict[str, Any]) -> str:
    """One section for each kind of mapping, the whole first and each other where it is first mentioned.

    Args:
        schema: what ``json_schema`` gives.

    Returns:
        Markdown with headings of the second level.
    """
    return _Writer(schema).write()


class _Writer:
    def __init__(self, schema: dict[str, Any]) -> None:
        self._root = schema
        self._definitions: dict[str, dict[str, Any]] = schema.get("$defs", {})
        self._mentioned: dict[str, str] = {}

    def write(self) -> str:
        root = self._root
        if "$ref" in root:
            self._type(root)
            sections = []
        else:
            sections = [self._section(root.get("title", "Settings"), root)]
        written = 0
        while written < len(self._mentioned):
            name, title = list(self._mentioned.items())[written]
            sections.append(self._section(title, self._definitions[name]))
            written += 1
        return "\n".join(sections)

    def _section(self, title: str, node: dict[str, Any]) -> str:
        lines = [f"## {title}", ""]
        if text := node.get("description"):
            lines += [text, ""]
        properties = node.get("properties", {})
        if not properties:
            return "\n".join([*lines, "No keys.", ""])
        lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
        for key, value in properties.items():
            default = "required" if key in node.get("required", ()) else self._default(value)
            cells = (f"`{key}`", self._type(value), default, self._meaning(value))
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        return "\n".join([*lines, ""])

    def _type(self, node: dict[str, Any]) -> str:
        if "$ref" in node:
            return self._link(node["$ref"].rpartition("/")[2])
        if choices := node.get("anyOf") or node.get("oneOf"):
            return self._union(node, choices)
        if node.get("writeOnly"):
            return _HIDDEN
        if fixed := node.get("enum", [node["const"]] if "const" in node else []):
            return " or ".join(_code(value) for value in fixed)
        return self._kind(node)

    def _kind(self, node: dict[str, Any]) -> str:
        match node.get("type"):
            case "array" if "prefixItems" in node:
                return "list of " + ", then ".join(self._type(item) for item in node["prefixItems"])
            case "array":
                return f"list{_bounds(node)} of {self._type(node.get('items', {}))}"
            case "object":
                inside = node.get("additionalProperties")
                value = self._type(inside if isinstance(inside, dict) else {})
                return f"mapping{_bounds(node)} of names to {value}"
            case "boolean":
                return "`true` or `false`"
            case "null":
                return "`null`"
            case "string":
                return _FORMATS.get(node.get("format", ""), "text") + _bounds(node)
            case None:
                return "any value"
            case other:
                return f"{other}{_bounds(node)}"

    def _union(self, node: dict[str, Any], choices: list[dict[str, Any]]) -> str:
        text = " or ".join(dict.fromkeys(self._type(choice) for choice in choices))
        key = node.get("discriminator", {}).get("propertyName")
        return f"{text}, by its `{key}`" if key else text

    def _meaning(self, node: dict[str, Any]) -> str:
        return str(node.get("description") or self._definition(node).get("description", ""))

    def _definition(self, node: dict[str, Any]) -> dict[str, Any]:
        return self._definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else {}

    def _default(self, node: dict[str, Any]) -> str:
        """The default; of a mapping with a section of its own only what differs from the defaults there."""
        if "default" not in node:
            return ""
        default = node["default"]
        if "$ref" in node and isinstance(default, dict):
            keys = self._definition(node).get("properties", {})
            default = {key: value for key, value in default.items() if value != keys.get(key, {}).get("default")}
            return _code(default) if default else "its defaults"
        return _code(default)

    def _link(self, name: str) -> str:
        definition = self._definitions[name]
        if definition.get("additionalProperties") is not False:
            return self._type(definition)
        if name not in self._mentioned:
            title = definition.get("title", name)
            taken = {self._root.get("title"), *self._mentioned.values()}
            self._mentioned[name] = name if title in taken else title
        title = self._mentioned[name]
        return f"[{title}](#{_anchor(title)})"


def _bounds(node: dict[str, Any]) -> str:
    bounds = ["without repeats"] if node.get("uniqueItems") else []
    bounds += [text.format(node[key]) for key, text in _BOUNDS.items() if key in node]
    return f" ({', '.join(bounds)})" if bounds else ""


def _code(value: Any) -> str:
    return f"`{value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)}`"


def _anchor(title: str) -> str:
    """The fragment that GitHub and MkDocs give a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
