"""How problems speak of values: what kind of thing they are, and their text on one short line."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["MAX_SHOWN", "kind_of", "listed", "shown"]

MAX_SHOWN = 80
"""Characters of a value that a problem repeats at most."""

_KINDS = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a mapping",
    type(None): "null",
}


def kind_of(value: Any) -> str:
    """What a value is, with its article: ``a string``, ``a list``, ``null``."""
    return _KINDS.get(type(value), type(value).__name__)


def shown(value: Any) -> str:
    """A scalar as JSON, cut at ``MAX_SHOWN``; lists and mappings by kind only, as secrets may be inside."""
    if isinstance(value, list | dict):
        return kind_of(value)
    text = json.dumps(value, ensure_ascii=not str(value).isprintable())
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def listed(values: list[str]) -> str:
    """Names in one line; a single name stands for itself."""
    return ", ".join(values)
