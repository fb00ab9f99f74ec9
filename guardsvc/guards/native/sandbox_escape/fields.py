"""Fields: which role each value of a message has, by settings, schema and name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import re2

from guardsvc.guards.native.arguments import PROTOTYPE
from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.sandbox_escape.matcher import options
from guardsvc.guards.native.sandbox_escape.roles import (
    ROLE_NAMES,
    Role,
    calculates,
    is_statement,
    role_of_name,
    role_of_schema,
    takes_statements,
)
from guardsvc.model import Globs, SubjectKind

if TYPE_CHECKING:
    from guardsvc.guards.native.arguments import Sent
    from guardsvc.model import Operation

__all__ = ["KEYS", "MAX_DEPTH", "MAX_POINTER", "MAX_UNWRAPPED", "UNREAD", "Fields"]

KEYS = 0
"""Stands for the names of members that may be operators."""
UNREAD = -1
"""Stands for strings of JSON that were not looked into, since there are too many."""

MAX_UNWRAPPED = 2048
"""Strings in one message that are looked into since they begin and end as JSON does."""
MAX_DEPTH = 4
"""How often a string of JSON may be in a string of JSON; all are looked at as they stand, too."""
MAX_POINTER = 1024
"""Characters of a pointer up to which it is held against those of the settings."""
_MAX_NODES = 2000
_PLAIN, _TEXT = Role.PLAIN, Role.TEXT
_OPEN = (Role.PLAIN, Role.CODE)
_NESTING = Role.PLAIN | Role.ARGUMENT | Role.COMMAND | Role.URL | Role.PATH | Role.HOST
_INERT = re.compile(
    r"data:(?:(?:image|audio|video|font)/[A-Za-z0-9_.+-]*|application/(?:pdf|octet-stream|zip))"
    r";base64,[A-Za-z0-9+/=_-]*"
)
"""Data that no reader takes for anything else."""
_BLANK = " \t\r\n\x0b\x0c\xa0\ufeff"
_JSON = re.compile(rf"[{_BLANK}]*[{{\[]")
_JSON_ENDS = ("}", "]")
_MAX_EXPRESSION = 400
_EXPRESSION = re2.compile(
    rb"\s*(?:\{\{|[$#*%]\{|<%|\{\$|\{php|\{self|\{\d|@[\w({]|\[\[\$|\[%|#set|<#|<\?)[^\n]+[})\]>]\s*"
    rb"|[^\n]*(?:`|\$\()[^\n]*(?: -e /bin/|/dev/tcp/)[^\n]*"
    rb"|[^\n]*; ?(?:curl|wget) [^\n]*\| ?(?:ba)?sh\s*"
    rb"|\s*(?:/|~/|\.\.[/\\]|[A-Za-z]:\\|\\\\|\$\{?\w)\S+\s*",
    options(),
)
"""A text that is one expression or one path and nothing else, or runs what it fetches, is no prose."""
_EXPRESSIVE = frozenset("})]>/\\$|")
"""One of which every such expression has."""
_MAY_BE_EXPRESSION = re.compile(f"[{re.escape(''.join(sorted(_EXPRESSIVE)))}]")
_SHORT = 16
"""Characters below which a set is faster than a pattern."""
_TINY = 3
"""Characters up to which an expression has none of these but at its beginning."""
_OPENING = frozenset("/~\\$")
"""With which an expression of so few characters begins."""
_OF_RESOURCES = ("resources/", "completion/complete")
"""Methods whose ``uri`` is that of a resource, or a template of some."""
_TELLING = frozenset("$_")
_REMARKABLE = frozenset("{[d" + _BLANK)
_COMBINATORS = ("anyOf", "oneOf", "allOf")
_DECODER = msgspec.json.Decoder()

Tool = tuple[str, str]


class Fields:
    """Roles of fields.

    Args:
        given: roles by name or pointer, from the settings.
        schemas: of the tools that are configured.
    """

    def __init__(self, given: Mapping[str, str], schemas: Mapping[Tool, Mapping[str, Any]]) -> None:
        self._names = {name.lower(): ROLE_NAMES[role] for name, role in given.items() if not name.startswith("/")}
        self._pointers = [(Globs([name]), ROLE_NAMES[role]) for name, role in given.items() if name.startswith("/")]
        self._told = {tool: _told(schema) for tool, schema in schemas.items()}

    def by_role(self, operation: Operation, tool: Tool | None, values: Iterable[Sent]) -> dict[int, list[Sent]]:
        """Texts of two characters or more by the role of their field, with where they stand.

        Under ``KEYS`` are names that may be operators, under ``UNREAD`` a string of JSON that is one too many.
        """
        told = self._told.get(tool, {}) if tool else {}
        called = (operation.subject or None) if operation.subject_kind is SubjectKind.TOOL else None
        resource = operation.method.startswith(_OF_RESOURCES)
        found: dict[int, list[Sent]] = {}
        name, role, query, plain, short = None, _PLAIN, False, True, 0
        json: list[Sent] = []
        held: list[Sent] = []
        hold, remarkable, opening, is_prose = held.append, _REMARKABLE, _OPENING, _EXPRESSIVE.isdisjoint
        each = bool(self._pointers) or resource
        alike = not self._names and not told
        for sent in values:
            value: str = sent.value  # type: ignore[assignment]
            if sent.is_key:
                if value[0] in _TELLING or value == PROTOTYPE:
                    found.setdefault(KEYS, []).append(sent)
                continue
            if sent.name is not name or each:
                name = sent.name
                if alike and not each:
                    role = role_of_name(name)
                else:
                    role = _of_resource(value) if resource and name == "uri" else self._role(sent, told)
                if role in _OPEN and called is not None and calculates(called, name) and self._is_free(name, told):
                    role = Role.FORMULA
                hold = found.setdefault(role, []).append
                query = role is _PLAIN and called is not None and takes_statements(called, name)
                plain, short = role is not _TEXT and not query, _SHORT if role is _TEXT else 0
            first = value[0]
            if first not in remarkable and (
                plain or ((size := len(value)) < short and (is_prose(value) if size > _TINY else first not in opening))
            ):
                hold(sent)
            elif query and is_statement(value):
                found.setdefault(Role.STATEMENT, []).append(sent)
            else:
                _add_remarkable(value, sent, role, found, json)
        if json:
            self._unwrap(json, told, found)
        found.pop(Role.IGNORED, None)
        return found

    def _unwrap(self, json: list[Sent], told: Mapping[str, Role], found: dict[int, list[Sent]]) -> None:
        """Add the strings inside of strings of JSON, each in the role of its own name."""
        unwrapped = 0
        for _ in range(MAX_DEPTH):
            inside: list[Sent] = []
            for sent in json:
                written = str(sent.value).strip(_BLANK)
                if not written.endswith(_JSON_ENDS):
                    continue
                if unwrapped == MAX_UNWRAPPED:
                    found[UNREAD] = [sent]
                    return
                unwrapped += 1
                for name, text in _texts(_decoded(written), sent.name):
                    role = self._named(name, told)
                    nested = msgspec.structs.replace(sent, value=text, name=name)
                    found.setdefault(role, []).append(nested)
                    if role & _NESTING and _JSON.match(text) is not None:
                        inside.append(nested)
            json = inside
        if json:
            found[UNREAD] = json[:1]

    def _role(self, sent: Sent, told: Mapping[str, Role]) -> Role:
        if self._pointers and sent.where_size <= MAX_POINTER:
            where = sent.where
            for globs, role in self._pointers:
                if globs.match(where):
                    return role
        return self._named(sent.name, told)

    def _is_free(self, name: str, told: Mapping[str, Role]) -> bool:
        """Whether neither settings nor schema say what a field is for."""
        return not self._pointers and name.lower() not in self._names and name not in told

    def _named(self, name: str, told: Mapping[str, Role]) -> Role:
        if self._names and (given := self._names.get(name.lower())) is not None:
            return given
        return told.get(name) or role_of_name(name)


def _told(schema: Mapping[str, Any]) -> dict[str, Role]:
    """The roles of properties of which the schema says more than their names."""
    found: dict[str, Role] = {}
    pending: list[Any] = [schema]
    for node in pending:
        if len(pending) > _MAX_NODES:
            break
        if isinstance(node, list | tuple):
            pending += node
        if not isinstance(node, Mapping):
            continue
        properties = node.get("properties")
        if isinstance(properties, Mapping):
            for name, child in properties.items():
                if isinstance(child, Mapping) and name not in found:
                    role = _role_told(role_of_name(name), child)
                    if role is not role_of_name(name):
                        found[name] = role
        pending += [part for part in node.values() if isinstance(part, Mapping | list | tuple)]
    return found


def _role_told(role: Role, schema: Mapping[str, Any]) -> Role:
    parts = [schema]
    for name in ("items", *_COMBINATORS):
        part = schema.get(name)
        parts += [part] if isinstance(part, Mapping) else []
        parts += [each for each in part if isinstance(each, Mapping)] if isinstance(part, list | tuple) else []
    for part in parts:
        told = role_of_schema(role, part)
        if told is not role:
            return told
    return role


def _of_resource(uri: str) -> Role:
    """The role of a resource's URI: of a server of files, ``file:`` is a path like any other."""
    return Role.PATH if uri[:5].lower() == "file:" else Role.URL


def _add_remarkable(value: str, sent: Sent, role: Role, found: dict[int, list[Sent]], json: list[Sent]) -> None:
    """Add a value to those of its role, unless it is inert; to ``json`` if it may be that, too."""
    if value[:5] == "data:" and _INERT.fullmatch(value) is not None:
        return
    if role is _TEXT and len(value) <= _MAX_EXPRESSION and _is_expression(value):
        found.setdefault(Role.PLAIN, []).append(sent)
    if role & _NESTING and _JSON.match(value) is not None:
        json.append(sent)
    found[role].append(sent)


def _is_expression(value: str) -> bool:
    return _MAY_BE_EXPRESSION.search(value) is not None and _EXPRESSION.fullmatch(encode(value)) is not None


def _decoded(text: str) -> Any:
    """What a string of JSON says; None where it is none."""
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """The strings inside of decoded JSON, with the name of their property, or else of what holds it."""
    pending: list[tuple[str, Any]] = [(name, value)]
    while pending:
        name, value = pending.pop()
        if type(value) is dict:
            pending += value.items()
        elif type(value) is list:
            pending += [(name, item) for item in value]
        elif type(value) is str and len(value) > 1:
            yield name, value
