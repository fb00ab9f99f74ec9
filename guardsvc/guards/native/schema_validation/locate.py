"""Locate: where arguments that were refused break their schema, and by which keyword.

The library can tell too, but its account of alternatives inside each other grows exponentially. This walk asks
only whether a part is valid, goes down where it is not, and ends when its share of work is used up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.guards.native.schema_validation.check import ArgumentCheck, SchemaError
from guardsvc.guards.native.schema_validation.keywords import ASSERTIONS, DRAFT_4, OLD_DIALECTS
from guardsvc.guards.native.schema_validation.load import MAX_STEPS, size_of
from guardsvc.guards.native.schema_validation.references import Path

if TYPE_CHECKING:
    from jsonschema_rs import Validator

__all__ = ["Fault", "locate"]

_MAX_QUESTIONS = 2_000
_MAX_DEPTH = 128
_NO_SCHEMA: dict[str, Any] = {}


class Fault(msgspec.Struct, frozen=True):
    """One place where arguments break their schema.

    Attributes:
        pointer: JSON pointer into the arguments. Names that the schema does not have are never in it: it then
            ends at the object that they stand in. A property that is missing counts as a place.
        keyword: the keyword of JSON Schema that is broken.
    """

    pointer: str
    keyword: str


def locate(check: ArgumentCheck, arguments: Any, most: int) -> tuple[list[Fault], bool]:
    """The faults of arguments that are not valid, and whether these are all.

    Args:
        check: that refused them.
        arguments: of the call.
        most: how many faults to name.
    """
    walk = _Walk(check)
    found: dict[Fault, None] = {}
    try:
        for fault in walk.faults(_Part((), check.schema, ""), arguments, ""):
            found[fault] = None
            if len(found) > most:
                break
    except (_Spent, SchemaError):  # of a part that cannot be asked about by itself
        walk.complete = False
    return list(found)[:most], walk.complete and 0 < len(found) <= most


class _Spent(Exception):
    """The work that one call may cause is used up."""


class _Part(msgspec.Struct, frozen=True):
    """A schema inside the schema, and the keyword that leads to it."""

    path: Path
    schema: Any
    via: str

    def inner(self, keyword: str, token: str | int | None = None) -> _Part:
        below = self.schema[keyword]
        if token is None:
            return _Part((*self.path, keyword), below, keyword)
        return _Part((*self.path, keyword, token), below[token], keyword)


class _Walk:
    """Goes through arguments and schema; ``complete`` is whether nothing was left out."""

    def __init__(self, check: ArgumentCheck) -> None:
        self._check = check
        self._left = MAX_STEPS
        self._questions = _MAX_QUESTIONS
        self._seen: set[tuple[int, str]] = set()
        self._sizes: dict[int, int] = {}
        self._depth = 0
        self.complete = True

    def faults(self, part: _Part, value: Any, at: str) -> Iterator[Fault]:
        """Those of a value that is not valid under a part of the schema."""
        schema = part.schema
        if type(schema) is not dict:
            yield Fault(at, part.via)
            return
        if (id(schema), at) in self._seen:
            return
        self._seen.add((id(schema), at))
        if self._depth == _MAX_DEPTH:
            raise _Spent
        self._depth += 1
        found, visited = False, len(self._seen)
        for look in (self._referred, self._asserted, self._branched, self._in_object, self._in_array):
            if look != self._referred and "$ref" in schema and self._check.dialect in OLD_DIALECTS:
                break
            for fault in look(part, value, at):
                found = True
                yield fault
        yield from self._unevaluated(schema, value, at, found=found or len(self._seen) > visited)
        self._depth -= 1

    def _below(self, part: _Part, value: Any, at: str) -> Iterator[Fault]:
        if not self._fits(part, value):
            yield from self.faults(part, value, at)

    def _fits(self, part: _Part, value: Any) -> bool:
        return self._ask(self._check.part(part.path), value)

    def _ask(self, validator: Validator, value: Any) -> bool:
        self._questions -= 1
        size = self._sizes.get(id(value))
        if size is None:
            size = size_of(value, self._left)
            if type(value) is dict or type(value) is list:
                self._sizes[id(value)] = size
        self._left -= self._check.load * size
        if self._questions < 0 or self._left < 0:
            raise _Spent
        return validator.is_valid(value)

    def _referred(self, part: _Part, value: Any, at: str) -> Iterator[Fault]:
        references = self._check.references
        for keyword, target in references.targets(part.schema):
            if target is False:
                yield Fault(at, keyword)
                continue
            path = references.paths.get(id(target))
            self.complete = self.complete and keyword == "$ref" and path is not None
            if path is not None:
                yield from self._below(_Part(path, target, keyword), value, at)

    def _asserted(self, part: _Part, value: Any, at: str) -> Iterator[Fault]:
        schema = part.schema
        for keyword in ASSERTIONS:
            if keyword not in schema:
                continue
            if keyword == "required" and type(value) is dict:
                yield from (Fault(_pointer(at, name), keyword) for name in schema[keyword] if name not in value)
                continue
            alone = {keyword: schema[keyword]}
            if self._check.dialect == DRAFT_4 and keyword.startswith("exclusive"):
                limit = keyword.removeprefix("exclusive").lower()
                alone |= {limit: schema[limit]}
            if not self._ask(self._check.alone(alone), value):
                yield Fault(at, keyword)

    def _branched(self, part: _Part, value: Any, at: str) -> Iterator[Fault]:
        schema = part.schema
        for index in range(len(schema.get("allOf", ()))):
            yield from self._below(part.inner("allOf", index), value, at)
        for keyword, legal in (("anyOf", range(1, 1_000_000)), ("oneOf", range(1, 2))):
            if keyword in schema:
                fitting = sum(self._fits(part.inner(keyword, index), value) for index in range(len(schema[keyword])))
                if fitting not in legal:
                    yield Fault(at, keyword)
        if "not" in schema and self._fits(part.inner("not"), value):
            yield Fault(at, "not")
        if "if" in schema:
            branch = "then" if self._fits(part.inner("if"), value) else "else"
            if branch in schema:
                yield from self._below(part.inner(branch), value, at)

    def _in_object(self, part: _Part, value: Any, at: str) -> Iterator[Fault]:
        if type(value) is not dict:
            return
        schema = part.schema
        named = schema.get("properties", _NO_SCHEMA)
        for name in (name for name in value if name in named):
            yield from self._below(part.inner("properties", name), value[name], _pointer(at, name))
        yield from self._by_other_names(part, value, at)
        for keyword in ("dependentSchemas", "dependencies"):
            for name in (name for name in schema.get(keyword, _NO_SCHEMA) if name in value):
                if type(schema[keyword][name]) is not list:
                    yield from self._below(part.inner(keyword, name), value, at)
                elif any(other not in value for other in schema[keyword][name]):
                    yield Fault(at, keyword)
        if "propertyNames" in schema and not all(self._fits(part.inner("propertyNames"), name) for name in value):
            yield Fault(at, "propertyNames")

    def _by_other_names(self, part: _Part, value: dict[str, Any], at: str) -> Iterator[Fault]:
        """Faults of members that the client named; the pointer ends at the object."""
        schema = part.schema
        others = value.keys() - schema.get("properties", _NO_SCHEMA).keys()
        for pattern in schema.get("patternProperties", _NO_SCHEMA):
            matches = self._check.alone({"pattern": pattern})
            named = {name for name in value if self._ask(matches, name)}
            others -= named
            if not all(self._fits(part.inner("patternProperties", pattern), value[name]) for name in named):
                yield Fault(at, "patternProperties")
        if "additionalProperties" in schema and not all(
            self._fits(part.inner("additionalProperties"), value[name]) for name in others
        ):
            yield Fault(at, "additionalProperties")

    def _in_array(self, part: _Part, value: Any, at: str) -> Iterator[Fault]:
        if type(value) is not list:
            return
        schema = part.schema
        first, rest = ("items", "additionalItems") if type(schema.get("items")) is list else ("prefixItems", "items")
        firsts = schema.get(first, ())
        for index, item in enumerate(value):
            if index < len(firsts):
                yield from self._below(part.inner(first, index), item, f"{at}/{index}")
            elif rest in schema:
                yield from self._below(part.inner(rest), item, f"{at}/{index}")
        if "contains" in schema:
            count = sum(self._fits(part.inner("contains"), item) for item in value)
            if not schema.get("minContains", 1) <= count <= schema.get("maxContains", count):
                yield Fault(at, "contains")

    def _unevaluated(self, schema: dict[str, Any], value: Any, at: str, *, found: bool) -> Iterator[Fault]:
        """What is left over for unevaluated members, which only a whole account of all branches could tell."""
        keyword = "unevaluatedProperties" if type(value) is dict else "unevaluatedItems"
        if keyword in schema and (not found or type(value) is list or value.keys() - self._names(schema)):
            yield Fault(at, keyword)
        elif not found:
            self.complete = False

    def _names(self, schema: dict[str, Any]) -> set[str]:
        """Names of properties that a schema has whatever the value is."""
        names: set[str] = set()
        pending, seen = [schema], set()
        while pending:
            part = pending.pop()
            if type(part) is dict and id(part) not in seen:
                seen.add(id(part))
                names |= part.get("properties", _NO_SCHEMA).keys()
                pending += part.get("allOf", ())
                pending += [target for _, target in self._check.references.targets(part)]
        return names


def _pointer(at: str, name: str) -> str:
    return f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
