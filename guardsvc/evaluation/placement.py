"""Placement: the arguments of real tools into which a payload of some kind would be put."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from guardsvc.evaluation.toolbox import BUILT_IN, Field, Tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from guardsvc.evaluation.corpus import Row

__all__ = ["LINE_FIELDS", "Placement", "Places"]

MAX_FIELDS = 24
"""Fields that a role is spread over."""
MAX_SAME_NAME = 3
"""Of them, those of one name."""

LINE_FIELDS = ("query", "path", "name")
"""Fields that lines of harmless texts are put into."""

_ROLES = {
    "path": r"(.*_)?(file|dir|directory|folder|repo|project)?_?path|(.*_)?file_?name|file|directory|folder",
    "url": r"(.*_)?url|uri|link|webhook",
    "argument": r"(host|hostname|domain|ip|branch|ref|tag|package|container|image|service|vm|db|repo)(_?name)?"
    r"|file_?name|file_?path|path|(output|repo)_path",
    "parameter": r"id|(user|order|customer|account|group|task|item)_?id|user_?name|name|email|city|category|keywords?"
    r"|search|filter|title|location|region",
    "template": r"name|title|subject|message|body|description|text|content|template_name|reason",
    "text": r"content|text|message|body|description|query|q|prompt",
}
_ROLE_OF_KIND = {
    "path_traversal": "path",
    "sensitive_file": "path",
    "file_inclusion": "path",
    "ssrf": "url",
    "open_redirect": "url",
    "command_injection": "argument",
    "argument_injection": "argument",
    "sql_injection": "parameter",
    "nosql_injection": "parameter",
    "ldap_injection": "parameter",
    "xpath_injection": "parameter",
    "template_injection": "template",
    "ssti": "template",
}


class Placement:
    """One payload as the arguments of a call.

    Attributes:
        where: tool and property, for people.
    """

    __slots__ = ("arguments", "tool", "where")

    def __init__(self, tool: str, arguments: dict[str, Any], where: str) -> None:
        self.tool = tool
        self.arguments = arguments
        self.where = where


class Places:
    """The fields that payloads are put into, by role; the same for the same tools.

    Args:
        tools: real ones; where none of them fits a role, built-in ones do.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._by_role = {role: _fields(tools, pattern) for role, pattern in _ROLES.items()}
        self._by_name = {name: _fields(tools, re.escape(name)) for name in LINE_FIELDS}
        self._tools = {tool.name: tool for tool in (*tools, *BUILT_IN)}

    def of(self, row: Row, index: int) -> list[Placement]:
        """Where a payload can stand, the place that counts first.

        A row that says its arguments is a call already; one that says its tool stands in that. Others are
        spread over the fields of their role.

        Args:
            row: with ``value`` and, where known, ``kind``, ``tool`` and ``arguments``.
            index: of the row in its file.
        """
        value, name = row.text("value"), row.text("tool")
        arguments = row.data.get("arguments")
        if not isinstance(arguments, dict):
            arguments = None if row.text("kind") in _ROLE_OF_KIND else _object(value)
        if arguments is not None:
            return [Placement(name or self._tool_with(arguments), arguments, name or "as given")]
        fields = self._by_role[_role(row.text("kind"), value)]
        if name and (known := self._tools.get(name)) is not None:
            fields = [field for field in known.fields() if self._fits(field, row)] or fields
        first = index % len(fields)
        turned = [*fields[first:], *fields[:first]]
        return [Placement(name or field.tool.name, field.call(value), str(field)) for field in turned]

    def lines(self, name: str, text: str, index: int) -> Placement:
        """A line of harmless text in a field of that name."""
        fields = self._by_name[name]
        field = fields[index % len(fields)]
        return Placement(field.tool.name, field.call(text), str(field))

    def _fits(self, field: Field, row: Row) -> bool:
        return bool(re.fullmatch(_ROLES[_role(row.text("kind"), row.text("value"))], field.name.lower()))

    def _tool_with(self, arguments: dict[str, Any]) -> str:
        for tool in self._tools.values():
            if arguments.keys() <= {field.name for field in tool.fields()}:
                return tool.name
        return "run"


def _role(kind: str, value: str) -> str:
    role = _ROLE_OF_KIND.get(kind)
    if role is not None:
        return role
    return "url" if re.match(r"[a-z][a-z0-9+.-]{1,20}://", value) else "text"


def _fields(tools: Iterable[Tool], pattern: str) -> list[Field]:
    """Fields whose name fits, spread over names and servers, in the order of the tools."""
    fits = re.compile(pattern)
    found: list[Field] = []
    names: dict[str, int] = {}
    servers: set[tuple[str, str]] = set()
    for field in (field for tool in tools for field in tool.fields()):
        name = field.name.lower()
        key = (field.tool.server, name)
        if fits.fullmatch(name) and key not in servers and names.get(name, 0) < MAX_SAME_NAME:
            servers.add(key)
            names[name] = names.get(name, 0) + 1
            found.append(field)
    return found[:MAX_FIELDS] or [
        field for tool in BUILT_IN for field in tool.fields() if fits.fullmatch(field.name.lower())
    ]


def _object(value: str) -> dict[str, Any] | None:
    """A payload that is a JSON object with members is the arguments themselves."""
    if not value.lstrip().startswith("{"):
        return None
    try:
        parsed = json.loads(value)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and parsed else None
