"""Words by which a form asks for a credential, in the languages that forms are written in."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import re2

from guardsvc.config.shipped import read_shipped
from guardsvc.guards.native.matcher import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["asks_for_secret", "is_for_other_thing", "is_secret_field", "names_secret"]

_KNOWN: dict[str, Any] = read_shipped(__package__, "words.yaml")
_ENGLISH = "|".join(_KNOWN["english"])
_OTHERS = "|".join(word for words in _KNOWN["others"].values() for word in words)
_YOURS = "|".join(_KNOWN["yours"])
_ALONE = frozenset(_KNOWN["alone"].split())
_AROUND = frozenset(_KNOWN["around"].split())
_HARMLESS = frozenset(_KNOWN["harmless"].split())
_PLACES = frozenset(_KNOWN["places"].split())
_ACCOUNTS = frozenset(_KNOWN["accounts"].split())
_TICKETS = frozenset(_KNOWN["tickets"].split())

_MAX_BESIDE, _MAX_NAME = 32, 64
"""Fields beside one that are looked at, and how much of their names."""

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
    words = _words(name)
    if not words or _HARMLESS.intersection(words):
        return False
    core = [word for word in words if word not in _AROUND]
    if len(core) == 1 and core[0] in _ALONE:
        return True
    said = f"{' '.join(words)}\n{name}"
    return "".join(core) in _ALONE or _ANY.search(encode(said)) is not None


def is_for_other_thing(name: str, said: str, beside: Iterable[str], *, is_number: bool) -> bool:
    """Whether a field that is named as for a credential is for something else of that name.

    The seed of a random number, the PIN code of an Indian address, a pass to board or to enter with.

    Args:
        name: of the field.
        said: its title and description, and the message of the form.
        beside: names of all fields of the form.
        is_number: whether only a number fits.
    """
    core = "".join(word for word in _words(name) if word not in _AROUND)
    if core == "seed":
        return is_number and _ANY.search(encode(said)) is None
    if core == "pincode":
        rest = said.lower().replace("pincode", "").replace("pin code", "")
        near = (other[:_MAX_NAME] for other in islice(beside, _MAX_BESIDE))
        words = {word for text in (*near, rest) for word in _words(text)}
        return not words.isdisjoint(_PLACES) and words.isdisjoint(_ACCOUNTS) and _ANY.search(encode(rest)) is None
    words = set(_words(said))
    return (
        core == "pass"
        and not words.isdisjoint(_TICKETS)
        and words.isdisjoint(_ACCOUNTS)
        and _ANY.search(encode(said)) is None
    )


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(text)]


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
