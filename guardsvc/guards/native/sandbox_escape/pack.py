"""Pack: the signals of the YAML files beside this module.

A file has ``words``, names for parts of patterns, and ``topics``, lists of signals by what they are about. A pattern
takes a word in as ``@{NAME}``. Words and ``any`` that are lists are alternatives. A signal has

* ``rule``: the rule whose finding it is; with ``?`` in front, what has to be looked at in another way;
* ``roles``: the fields in which it counts: names of roles, or ``terse``, ``lines``, ``fields``, ``anywhere``;
* ``pattern`` or ``any``: RE2 syntax, matched on bytes without regard to case, with ``.`` for every character. A value
  stands between ``@{BEGIN}`` and ``@{END}``. Patterns have no counted gaps, which would make automata large;
* ``table``: whether it does not count in a row of a Markdown table, whose bars are no pipes;
* ``prose``: whether it does not count in a sentence that mentions it and that no interpreter could read;
* ``unless``: a pattern of values, from ``@{BEGIN}`` to ``@{END}``, in which it does not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from guardsvc.config.shipped import read_shipped
from guardsvc.guards.native.sandbox_escape.addresses import NAMES
from guardsvc.guards.native.sandbox_escape.roles import ROLE_NAMES
from guardsvc.guards.native.sandbox_escape.signal import ANYWHERE, FIELDS, LINES, TERSE, Signal

__all__ = ["Topics", "load_topics"]

Topics = tuple[tuple[Signal, ...], ...]

_FILES = ("shell.yaml", "interpreters.yaml", "places.yaml")
_GROUPS: dict[str, int] = {"terse": TERSE, "lines": LINES, "fields": FIELDS, "anywhere": ANYWHERE, **ROLE_NAMES}
_WORD = re.compile(r"@\{([A-Z0-9_]+)\}")
_GIVEN = {"BEGIN": r"\x02", "END": r"\x03", "NAMES": "|".join(map(re.escape, NAMES))}


@lru_cache(maxsize=1)
def load_topics() -> Topics:
    """The signals of all files by topic."""
    return tuple(topic for file in _FILES for topic in _read(file))


def _read(file: str) -> Iterable[tuple[Signal, ...]]:
    document = read_shipped(__package__, file)
    words = dict(_GIVEN)
    for name, given in document["words"].items():
        words[name] = _filled(_pattern(given), words)
    for topic in document["topics"].values():
        yield tuple(_signal(given, words) for given in topic)


def _signal(given: Mapping[str, Any], words: Mapping[str, str]) -> Signal:
    roles = [given["roles"]] if isinstance(given["roles"], str) else given["roles"]
    bits = 0
    for role in roles:
        bits |= _GROUPS[role]
    pattern = _filled(given["pattern"] if "pattern" in given else "|".join(given["any"]), words)
    unless = _filled(given.get("unless", ""), words)
    table, prose = given.get("table", False), given.get("prose", False)
    return Signal(given["rule"], bits, pattern, table=table, prose=prose, unless=unless)


def _pattern(given: str | list[str]) -> str:
    return given if isinstance(given, str) else f"(?:{'|'.join(given)})"


def _filled(pattern: str, words: Mapping[str, str]) -> str:
    return _WORD.sub(lambda found: words[found[1]], pattern)
