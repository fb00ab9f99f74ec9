"""Words by which a form asks for a credential, in the languages that forms are written in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import re2
import yaml

from guardsvc.guards.native.matcher import encode

__all__ = ["asks_for_secret", "is_secret_field", "names_secret"]

_KNOWN: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text("utf-8"))
_ENGLISH = "|".join(_KNOWN["english"])
_OTHERS = "|".join(word for words in _KNOWN["others"].values() for word in words)
_YOURS = "|".join(_KNOWN["yours"])
_ALONE = frozenset(_KNOWN["alone"].split())
_AROUND = frozenset(_KNOWN["around"].split())
_HARMLESS = frozenset(_KNOWN["harmless"].split())

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+[a-z]*|[^\W\d_A-Za-z]+")
_ANY = re2.compile(rf"(?i)(?:^|[^\pL\pN])(?:{_ENGLISH})(?:[^\pL\pN]|$)|(?:{_OTHERS})")
_FOREIGN = re2.compile(rf"(?i)(?:{_OTHERS})")
_ASKS = re2.compile(
    r"(?i)\b(?:enter|re-?enter|provide|type|paste|input|give|supply|share|send|submit|fill in|confirm|need|requires?|"
    r"what(?: is|'s)|tell (?:me|us))\b[^.!?;\n]{0,80}[^\pL\pN]"
    rf"(?:{_ENGLISH}|(?:your|the) (?:{_YOURS}))(?:[^\pL\pN]|$)"
)
_DENIES = re2.compile(r"(?i)\b(?:do not|don't|never|no need to|without|must not|should not|will not ask)\b")


def is_secret_field(name: str) -> bool:
    """Whether a field with this name or title is for a credential."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or _HARMLESS.intersection(words):
        return False
    core = [word for word in words if word not in _AROUND]
    if len(core) == 1 and core[0] in _ALONE:
        return True
    said = f"{' '.join(words)}\n{name}"
    return "".join(core) in _ALONE or _ANY.search(encode(said)) is not None


def names_secret(text: str) -> bool:
    """Whether a text has a word for a credential in a language in which nobody looks for the verb."""
    return _FOREIGN.search(encode(text)) is not None and _DENIES.search(encode(text)) is None


def asks_for_secret(text: str) -> bool:
    """Whether a sentence of a text asks for a credential."""
    data = encode(text)
    if _ASKS.search(data) is None:
        return False
    return any(
        _ASKS.search(sentence) is not None and _DENIES.search(sentence) is None
        for sentence in data.replace(b"!", b".").replace(b"?", b".").replace(b"\n", b".").split(b".")
    )
