"""Load: how much work a schema can make of one value, so that none makes more than its share.

Validation is linear in the arguments for a given schema; a schema can make the factor exponential by applying
itself many times to the same value. The factor is estimated from above before anything is compiled.
"""

from __future__ import annotations

from typing import Any

import msgspec

from guardsvc.guards.native.schema_validation.keywords import ASSERTIONS, BRANCHES, CHILDREN, subschemas
from guardsvc.guards.native.schema_validation.references import References

__all__ = ["MAX_LOAD", "MAX_STEPS", "is_larger", "load_of", "size_of"]

MAX_LOAD = 50_000
"""Most steps that a schema may take for one value. A real tool's takes 5 to 50."""
MAX_STEPS = 2_000_000
"""Most steps of one validation, about 20 ms."""

_MAX_CHAIN = 256
_UNKNOWN = 256
_CHARACTERS_PER_STEP = 8
_EACH = 10
_REPEATING = frozenset({"contains", "uniqueItems"})
_UNEVALUATED = frozenset({"unevaluatedProperties", "unevaluatedItems"})


class _Load:
    def __init__(self, references: References) -> None:
        self._references = references
        self._known: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()
        self.recursive: dict[int, dict[str, Any]] = {}

    def of(self, schema: Any, chain: int = 0) -> tuple[int, int]:
        """Steps for the value itself, and the most for any one value below it."""
        if type(schema) is not dict:
            return 1, 0
        key = id(schema)
        if key in self._known:
            return self._known[key]
        if key in self._open:
            self.recursive[key] = schema  # what is recursive is judged once for each value
            return 1, 0
        if chain > _MAX_CHAIN:
            return MAX_LOAD + 1, MAX_LOAD + 1
        self._open.add(key)
        self._known[key] = found = self._add_up(schema, chain + 1)
        self._open.discard(key)
        return found

    def _add_up(self, schema: dict[str, Any], chain: int) -> tuple[int, int]:
        here = sum(_own(keyword, schema[keyword]) for keyword in schema.keys() & _ASSERTIONS) + 1
        below = named = 0
        again = 3 if schema.keys() & _UNEVALUATED else 1
        for keyword, _, inner in subschemas(schema):
            if keyword in BRANCHES:
                steps, deeper = self.of(inner, chain)
                here, below = here + again * steps, below + again * deeper
            elif keyword == "properties":
                named = max(named, *self.of(inner, chain))
            elif keyword in CHILDREN:
                here += _EACH if keyword in _REPEATING else 1
                below += max(self.of(inner, chain)) * (_EACH if keyword in _REPEATING else 1)
        for _, target in self._references.targets(schema):
            steps, deeper = (_UNKNOWN, _UNKNOWN) if target is None else self.of(target, chain)
            here, below = here + again * steps, below + again * deeper
        most = MAX_LOAD + 1
        return min(here, most), min(below + named, most)


_ASSERTIONS = frozenset(ASSERTIONS)


def load_of(schema: dict[str, Any], references: References) -> int:
    """Steps that the schema takes at most for one value; above ``MAX_LOAD`` where it takes too many to count."""
    load = _Load(references)
    most = max(load.of(schema))
    for recursive in load.recursive.values():
        most += max(load.of(recursive))
    return most


def is_larger(value: Any, most: int) -> bool:
    """Whether the size of a value, see ``size_of``, is above ``most``."""
    try:
        text = msgspec.json.encode(value)
    except ValueError:
        return size_of(value, most) > most
    # Texts make this more than it is, never less, and it is told at a fraction of the cost.
    bound = 1 + text.count(b",") + text.count(b"[") + text.count(b"{") + len(text) // _CHARACTERS_PER_STEP
    return bound > most and size_of(value, most) > most


def size_of(value: Any, most: int) -> int:
    """How many values there are in one, long texts counting for several; counting ends above ``most``."""
    size = 1
    pending: list[Any] = [[value]]
    while pending and size <= most:
        inside = pending.pop()
        if type(inside) is dict:
            size += sum(map(len, inside)) // _CHARACTERS_PER_STEP
            inside = list(inside.values())
        for item in inside:
            kind = type(item)
            if kind is str:
                size += len(item) // _CHARACTERS_PER_STEP
            elif (kind is dict or kind is list) and item:
                size += len(item)
                pending.append(item)
    return size


def _own(keyword: str, value: Any) -> int:
    if keyword in {"enum", "const"}:
        options = value if keyword == "enum" and type(value) is list else [value]
        if all(type(option) is str for option in options):
            return 1
        return sum(_EACH * size_of(option, MAX_LOAD) for option in options)
    if keyword in _REPEATING:
        return _EACH
    return 1
