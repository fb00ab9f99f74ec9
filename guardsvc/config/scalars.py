"""What an unquoted YAML scalar means here: a number, boolean or null only where YAML 1.1 and 1.2 agree.

So ``no``, ``on``, ``012``, ``0o14``, ``1:30``, ``1_000``, ``1e3`` and dates stay text, and a setting that
wants a number or a boolean says so instead of guessing.
"""

from __future__ import annotations

import math
import re

from guardsvc.config.values import shown

__all__ = ["SCALAR_TAGS", "construct", "resolve"]

Scalar = str | int | float | bool | None

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,99})")
_FLOAT = re.compile(r"(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")

_TAG_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "tag:yaml.org,2002:null": ((type(None),), "null"),
    "tag:yaml.org,2002:bool": ((bool,), "true or false"),
    "tag:yaml.org,2002:int": ((int,), "an integer"),
    "tag:yaml.org,2002:float": ((int, float), "a number"),
}
_STR_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
SCALAR_TAGS = _STR_TAGS | _TAG_KINDS.keys()
"""Tags a scalar may carry."""


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def construct(tag: str, text: str) -> Scalar:
    """The value of a scalar with one of ``SCALAR_TAGS``.

    Raises:
        ValueError: the text is no such value.
    """
    if tag in _STR_TAGS:
        return text
    types, name = _TAG_KINDS[tag]
    value = resolve(text)
    if type(value) not in types:
        raise ValueError(f"{shown(text)} is not {name}")
    return float(value) if tag.endswith(":float") and isinstance(value, int) else value
