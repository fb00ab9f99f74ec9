"""Patterns: where something in a text may be a credential, found in one pass."""

from __future__ import annotations

import base64
import random
import re
from functools import cache
from typing import Any

import msgspec
import re2

from guardsvc.guards.native.matcher import Matcher
from guardsvc.guards.native.secrets.formats import BASIC, DISCORD, FORMATS, Format
from guardsvc.guards.native.secrets.keys import KEY_BEGINNINGS
from guardsvc.guards.native.secrets.logins import LOGIN
from guardsvc.guards.native.secrets.plausible import MIN_RANDOM

__all__ = ["ASSIGNED", "ENCODED", "PLAIN", "VALUE", "Needle", "Patterns", "patterns"]

PLAIN, ENCODED, ASSIGNED = 1, 2, 4
"""Bits of what a text has: beginnings of credentials, encoded ones, values assigned to names."""
VALUE = rb"[A-Za-z0-9+/=_.~!@#$%^&*-]"
"""Characters of a value that is assigned."""

MAX_ENCODED = 1_024
"""Bytes of an encoded credential that are decoded."""
MIN_BEGINNING = 4
"""Bytes of a beginning that must be known, so that few things but it are encoded like it."""
MAX_MEMORY = 64 << 20
WARMING = 300_000
"""Bytes from which the automata are grown."""

_URL = rb"://[^\s/@:\x00]*:[^\s/@\x00]+@"
_AZURE = rb"[0-9]Q~"
_BASIC = rb"\b[Bb]asic [A-Za-z0-9+/]{16}"
_BOT = rb"[0-9]:AA[A-Za-z0-9_-]"
_DISCORD = rb"\b(?:[MNO][DTjz][AEIMQUYcgk][w-z0-5]){5}"
_ASSIGNMENT = (
    rb"(?i)(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
    rb"[\"'`]?[ \t]{0,3}(?::=|=>|=|:)[ \t]{0,3}[\"'`]?" + VALUE
)
_PASSWORD = rb"(?i)(?:passw(?:or)?d|passphrase|pwd|private[_-]?key)[\"'`]?[ \t]{0,3}:?=%s{6}" % VALUE
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]*")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})*")
_URL_ALPHABET = bytes.maketrans(b"-_", b"+/")


class Needle(msgspec.Struct, frozen=True):
    """What the beginning of a credential becomes in an encoding.

    Attributes:
        lead: bytes that stand before the beginning in its group of three; none in hexadecimal.
        before: characters of base64 that stand before the needle in its group of four, None in hexadecimal.
    """

    lead: int
    before: int | None

    def decode(self, text: bytes, start: int) -> bytes:
        """The bytes that are encoded here, from the beginning of the group; none where it is incomplete."""
        if self.before is None:
            digits = _HEX.match(text, start, start + MAX_ENCODED)
            return b"" if digits is None else bytes.fromhex(digits[0].decode())
        if start < self.before:
            return b""
        window = text[start - self.before : start + MAX_ENCODED].translate(None, b"\r\n")
        letters = _BASE64.match(window)
        if letters is None or letters.end() <= self.before:
            return b""
        group = letters[0].translate(_URL_ALPHABET)
        group = group[: len(group) - (len(group) % 4 == 1)]
        return base64.b64decode(group + b"=" * (-len(group) % 4))


class Patterns(msgspec.Struct, frozen=True):
    """The patterns of all forms, which are the same for every guard.

    Attributes:
        by_start: forms by their first two bytes.
        plain: where something may begin.
        encoded: where the beginning of something may be encoded.
        needles: what ``encoded`` matches.
        assigned: a name, an operator and the first ``MIN_RANDOM`` bytes of a value.
        password: a name for a password, an equals sign and the first six bytes of a value.
        any: which of these a text has.
    """

    by_start: dict[bytes, list[Format]]
    plain: Any
    encoded: Any
    needles: dict[bytes, Needle]
    assigned: Any
    password: Any
    any: Matcher


@cache
def patterns() -> Patterns:
    """The patterns, made once."""
    prefixes = sorted({prefix for form in FORMATS for prefix in form.prefixes}, key=len, reverse=True)
    by_start: dict[bytes, list[Format]] = {}
    for form in (*FORMATS, BASIC, DISCORD):
        for start in {prefix[:2] for prefix in form.prefixes}:
            by_start.setdefault(start, []).append(form)
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.encoding = re2.Options.Encoding.LATIN1
    starts = b"|".join(map(re.escape, prefixes))
    blocks = b"|".join(map(re.escape, KEY_BEGINNINGS))
    others = b"|".join((blocks, _URL, _AZURE, _BOT, _BASIC, _DISCORD, LOGIN))
    plain = rb"\b(?:%s)[A-Za-z0-9_+/=.-]{16}|%s" % (starts, others)
    needles = _needles([*prefixes, *KEY_BEGINNINGS])
    encoded = b"|".join(map(re.escape, sorted(needles, key=len, reverse=True)))
    made = Patterns(
        by_start,
        re2.compile(plain, options),
        re2.compile(encoded, options),
        needles,
        re2.compile(_ASSIGNMENT + b"{%d}" % MIN_RANDOM, options),
        re2.compile(_PASSWORD, options),
        Matcher([(plain.decode(), PLAIN), (encoded.decode(), ENCODED), (f"{_ASSIGNMENT.decode()}{{6}}", ASSIGNED)]),
    )
    # Automata grow with what they meet, which takes longer than to run them: let them grow before anybody waits.
    usual = base64.b64encode(random.Random(0).randbytes(WARMING))  # noqa: S311  not a secret
    made.any.match(usual)
    made.any.match(b" ".join(needles))
    for pattern in (made.plain, made.encoded):
        pattern.findall(usual)
    return made


def _needles(beginnings: list[bytes]) -> dict[bytes, Needle]:
    """What beginnings of four characters or more become in base64, at three alignments, and in hexadecimal."""
    needles: dict[bytes, Needle] = {}
    for beginning in beginnings:
        if len(beginning) < MIN_BEGINNING:
            continue
        for lead in range(3):
            encoded = base64.b64encode(b"\0" * lead + beginning)
            before = (lead * 8 + 5) // 6
            sure = encoded[before : (lead + len(beginning)) * 8 // 6]
            needles.setdefault(sure, Needle(lead, before))
            needles.setdefault(sure.replace(b"+", b"-").replace(b"/", b"_"), Needle(lead, before))
        digits = beginning.hex().encode()
        needles.setdefault(digits, Needle(0, None))
        needles.setdefault(digits.upper(), Needle(0, None))
    return needles
