"""Plausible: whether a value looks drawn at random, as credentials are, or stands for one."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter

__all__ = ["MIN_RANDOM", "Allowed", "is_placeholder", "is_random", "is_weak_password"]

MIN_RANDOM = 16
MAX_LOOKED_AT = 128
"""Characters of a value that are looked at."""
MIN_DISTINCT = 6

_WORDS = re.compile(
    rb"(?i)example|placeholder|change[-_ ]?me|redacted|replace|sample|dummy|insert|foobar|my[-_ ][a-z]{1,12}"
    rb"|your[-_ ]?[a-z]{0,12}|x{4,}|0{6,}|\*{3,}|\.{3,}|abcdef(?:gh)?|012345678?9?|12345678?9?0?"
    rb"|<[^<>]{0,32}>|\$?\{[^{}]{0,32}\}"
)
_WEAK = frozenset(
    b"admin changeme default dev guest hunter2 letmein pass passwd password postgres pwd qwerty redis root secret "
    b"test token user username xxx xxxx xxxxx".split()
)
_UUID = re.compile(rb"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOT_RANDOM = re.compile(rb"^https?:|::|\(|\)|[a-z]{10,}")
_PARTS = re.compile(rb"[/\\._:@-]+")
_WORD = re.compile(rb"[A-Za-z]?[a-z]*[0-9]{0,4}|[A-Z]+[0-9]{0,4}|[0-9]{1,10}")
_HEXADECIMAL = re.compile(rb"[0-9a-f]+|[0-9A-F]+")

# Digests of examples in vendors' documentation, which everybody may send: AWS key id and secret key, the token of
# the JWT debugger, the test key of Stripe's documentation.
_EXAMPLES = frozenset(
    bytes.fromhex(digest)
    for digest in (
        "86466df12d151ea168a81ec9",
        "66835ffc835affa265cc257b",
        "81681a846bcad68e494f9bcb",
        "7a404380fb3eb577d183b293",
    )
)


class Allowed:
    """Values that are no finding where they stand as they are.

    Args:
        values: of the operator.
    """

    def __init__(self, values: tuple[str, ...]) -> None:
        self._digests = _EXAMPLES | {_digest(value.encode()) for value in values}

    def __contains__(self, value: bytes) -> bool:
        return _digest(value) in self._digests


def is_placeholder(body: bytes) -> bool:
    """Whether a value stands for a credential: a word of documentation, and too little beside it."""
    looked_at = body[:MAX_LOOKED_AT]
    if len(set(looked_at)) < MIN_DISTINCT:
        return True
    rest = _WORDS.sub(b"", looked_at)
    return len(rest) < len(looked_at) and (len(rest) < MIN_RANDOM or len(set(rest)) < MIN_DISTINCT)


def is_random(value: bytes) -> bool:
    """Whether a value of 16 characters or more has letters and digits in no order, as keys have.

    Names, paths, addresses and text are not; nor are identifiers in the form of a UUID.
    """
    if len(value) < MIN_RANDOM or b" " in value:
        return False
    looked_at = value[:MAX_LOOKED_AT]
    digits = len(looked_at) - len(looked_at.translate(None, b"0123456789"))
    lowered = looked_at.lower()
    mixed = looked_at not in (lowered, looked_at.upper())
    if digits < (1 if mixed else 2) or lowered == lowered.upper():
        return False
    if _NOT_RANDOM.search(looked_at) or _UUID.fullmatch(looked_at) or _are_words(looked_at):
        return False
    least = 2.8 if _HEXADECIMAL.fullmatch(looked_at) else min(3.6, math.log2(len(looked_at)) - 0.7)
    return not is_placeholder(looked_at) and _entropy(looked_at) >= least


def _are_words(value: bytes) -> bool:
    """Whether it is a path, a host, or an identifier of several words."""
    parts = _PARTS.split(value)
    return len(parts) > 1 and all(map(_WORD.fullmatch, parts))


def is_weak_password(user: bytes, password: bytes) -> bool:
    """Whether a password is one of those that documentation has."""
    lowered = password.lower()
    return lowered == user.lower() or lowered in _WEAK or is_weak_placeholder(lowered)


def is_weak_placeholder(lowered: bytes) -> bool:
    """Whether nothing of a short value is left beside the words of documentation."""
    return len(set(lowered)) <= 2 or len(_WORDS.sub(b"", lowered)) < 3 or lowered.startswith((b"$", b"<", b"{", b"%"))  # noqa: PLR2004


def _entropy(value: bytes) -> float:
    """Shannon entropy in bits per character."""
    size = len(value)
    return -sum(count / size * math.log2(count / size) for count in Counter(value).values())


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=12).digest()
