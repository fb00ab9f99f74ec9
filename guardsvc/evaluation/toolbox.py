"""Toolbox: real tools with their schemas, and calls of them in which one argument is given and the rest made up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from guardsvc.evaluation.corpus import Row

__all__ = ["BUILT_IN", "Field", "Tool", "definition", "tools_of"]

MAX_DEPTH = 4

_MEMBERS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations", "icons", "execution", "_meta")
_CONSTRAINED = ("enum", "const", "format", "pattern")
_SAMPLES = {"integer": 1, "number": 1.5, "boolean": True}
_WORDS = (
    ("url", "https://example.com/"),
    ("uri", "https://example.com/"),
    ("path", "notes.txt"),
    ("file", "notes.txt"),
    ("date", "2026-01-31"),
    ("time", "12:00:00"),
    ("email", "ada@example.com"),
)


@dataclass(frozen=True)
class Tool:
    """A tool that can be called.

    Attributes:
        server: its server, empty where nobody says.
        schema: its ``inputSchema``.
    """

    server: str
    name: str
    schema: dict[str, Any]

    def call(self, given: dict[str, Any]) -> dict[str, Any]:
        """Arguments of a call: those given, and the other required ones made up."""
        made = {name: _sample(name, schema) for name, schema in self._properties() if name in self._required()}
        return {**made, **given}

    def fields(self) -> Iterator[Field]:
        """The properties that take any text."""
        for name, schema in self._properties():
            if _is_text(schema):
                yield Field(self, name)

    def _properties(self) -> list[tuple[str, Any]]:
        properties = self.schema.get("properties")
        return list(properties.items()) if isinstance(properties, dict) else []

    def _required(self) -> list[Any]:
        required = self.schema.get("required")
        return required if isinstance(required, list) else []


@dataclass(frozen=True)
class Field:
    """A property of a tool that takes any text."""

    tool: Tool
    name: str

    def call(self, text: str) -> dict[str, Any]:
        """Arguments with the text in the property."""
        return self.tool.call({self.name: text})

    def __str__(self) -> str:
        return f"{self.tool.name}.{self.name}"


def definition(row: Row) -> dict[str, Any]:
    """A row as an entry of a tools list."""
    found = {member: row.data[member] for member in _MEMBERS if row.data.get(member) is not None}
    return {"name": "tool", "inputSchema": {"type": "object"}, **found}


def tools_of(rows: Iterable[Row]) -> list[Tool]:
    """The tools of rows that have a schema."""
    return [
        Tool(row.text("server"), row.text("name"), schema)
        for row in rows
        if row.text("name") and isinstance(schema := row.data.get("inputSchema"), dict)
    ]


def _is_text(schema: Any) -> bool:
    if not isinstance(schema, dict) or any(key in schema for key in _CONSTRAINED):
        return False
    kind = schema.get("type", "string" if "anyOf" not in schema and "oneOf" not in schema else None)
    return kind == "string" or (isinstance(kind, list) and "string" in kind)


def _sample(name: str, schema: Any, depth: int = 0) -> Any:
    """A plain value that fits a schema."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    if (fixed := _fixed(schema)) is not None:
        return fixed
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(branches := schema.get(key), list) and branches:
            return _sample(name, branches[0], depth + 1)
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "array":
        return [_sample(name, schema["items"], depth + 1)] if isinstance(schema.get("items"), dict) else []
    if kind == "object":
        return {}
    return _SAMPLES.get(kind) or _word(name) if isinstance(kind, str) else None


def _fixed(schema: dict[str, Any]) -> Any:
    """What the schema itself offers, None where it offers nothing."""
    for key in ("const", "default", "minimum"):
        if schema.get(key) is not None:
            return schema[key]
    for key in ("enum", "examples"):
        if isinstance(values := schema.get(key), list) and values:
            return values[0]
    return None


def _word(name: str) -> str:
    lower = name.lower()
    return next((value for word, value in _WORDS if word in lower), "example")


def _tool(name: str, /, *required: str, **properties: str) -> Tool:
    kinds = {key: {"type": kind} for key, kind in properties.items()}
    return Tool("", name, {"type": "object", "properties": kinds, "required": list(required)})


BUILT_IN = (
    _tool("read_file", "path", path="string", head="integer"),
    _tool("write_file", "path", "content", path="string", content="string"),
    _tool("list_directory", "directory", directory="string"),
    _tool("fetch", "url", url="string", max_length="integer"),
    _tool("take_screenshot", "url", url="string", width="integer"),
    _tool("search", "query", query="string", limit="integer"),
    _tool("get_user", "username", username="string"),
    _tool("find_customers", "name", name="string", city="string"),
    _tool("get_order", "id", id="string"),
    _tool("lookup_host", "hostname", hostname="string"),
    _tool("checkout", "repo", "branch", repo="string", branch="string"),
    _tool("convert_image", "filename", filename="string", format="string"),
    _tool("create_issue", "title", title="string", body="string"),
    _tool("send_message", "channel", "text", channel="string", text="string"),
)
"""Tools for a folder without any, and for roles that no tool of it has."""
