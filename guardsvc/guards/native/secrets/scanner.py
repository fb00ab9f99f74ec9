"""Scanner: finds credentials by their form in bytes, plain or encoded, in one pass each."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

import msgspec

from guardsvc.guards.native.secrets.formats import Format
from guardsvc.guards.native.secrets.keys import private_key_end
from guardsvc.guards.native.secrets.logins import login_at
from guardsvc.guards.native.secrets.patterns import ENCODED, PLAIN, patterns
from guardsvc.guards.native.secrets.plausible import Allowed, is_placeholder, is_weak_password

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SEPARATOR", "TOO_MANY", "Budget", "Hit", "Scanner", "unescaped", "without_ignorable"]

SEPARATOR = b"\0"
"""Stands between texts that are scanned together; no credential has it."""
TOO_MANY = "too_many_candidates"
MIN_CANDIDATES = 100
BYTES_PER_CANDIDATE = 1_024
KEY_COST = 4
"""Look-alikes that a block which looks like a private key counts as."""
ENCODED_COST = 2
"""Look-alikes that an encoded one counts as."""
MAX_WINDOW = 16_384
"""Bytes behind the beginning of a look-alike that are looked at."""

_URL_PARTS = re.compile(rb"""://([^\s/:@"'<>\x00]{0,64}):([^\s/@"'<>\x00]{3,128})@[A-Za-z0-9\[]""")
_AZURE_SECRET = re.compile(rb"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}")
_BOT_TOKEN = re.compile(rb"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])")
"""Of Telegram: the number of the bot, and its key."""
_MAX_BOT = 10
_DASH, _COLON = b"-:"
_DIGITS = b"09"
_IGNORABLE = tuple(
    chr(code).encode()
    for code in (0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF)
)


class Hit(msgspec.Struct, frozen=True):
    """A credential in the bytes that were scanned.

    Attributes:
        rule: the rule of its form.
        start: where it begins.
        end: where it ends.
        plain: whether it stands there as it is; otherwise what must be masked is the whole text around it.
        excerpt: how it begins and how long it is.
    """

    rule: str
    start: int
    end: int
    plain: bool
    excerpt: str


class Budget:
    """How many look-alikes of one message may be looked at more closely; more are a finding themselves.

    Args:
        size: bytes of the message.
    """

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        self._left = MIN_CANDIDATES + size // BYTES_PER_CANDIDATE

    def spend(self, cost: int = 1) -> bool:
        """Take of it, unless there is nothing left."""
        self._left -= cost
        return self._left >= 0


class Scanner:
    """Knows all forms.

    Args:
        allowed: values that are no finding where they stand plainly.
    """

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._patterns = patterns()

    def scan(self, text: bytes, has: int, budget: Budget) -> Iterator[Hit]:
        """Credentials in a text and in what is encoded in it, each at its place in the text.

        Args:
            text: parts with ``SEPARATOR`` between them.
            has: what ``Patterns.any`` says of it.
            budget: of the message.
        """
        if has & PLAIN:
            yield from self._scan_plain(text, budget, plain=True)
        if has & ENCODED:
            yield from self._scan_encoded(text, budget)

    def scan_plain(self, text: bytes, budget: Budget) -> Iterator[Hit]:
        """Credentials in a text that was something else as it was sent."""
        return self._scan_plain(text, budget, plain=False)

    def _scan_plain(self, text: bytes, budget: Budget, *, plain: bool) -> Iterator[Hit]:
        position = 0
        while (found := self._patterns.plain.search(text, position)) is not None:
            start, end = found.span()
            if not budget.spend(KEY_COST if text[start] == _DASH else 1):
                yield Hit(TOO_MANY, start, end, plain=False, excerpt="")
                return
            hit = self._look(text, start, plain=plain)
            if hit is not None:
                yield hit
                position = max(hit.end, end)
            else:
                position = start + 3

    def _look(self, text: bytes, start: int, *, plain: bool) -> Hit | None:
        """What begins here, None where it only looks like something."""
        first = text[start]
        if first == _COLON:
            return self._look_at_url(text, start, plain=plain)
        if first == _DASH or text.startswith(b"PuTTY-", start):
            stop = private_key_end(text, start)
            return Hit("private_key", start, stop, plain, text[start : start + 24].decode("latin-1")) if stop else None
        if _DIGITS[0] <= first <= _DIGITS[1]:
            if text.startswith(b":AA", start + 1):
                return self._look_at_bot(text, start, plain=plain)
            secret = _AZURE_SECRET.match(text, start - 3) if start >= 3 else None  # noqa: PLR2004
            if secret is None or (plain and is_placeholder(secret[0])):
                return None
            return _hit("azure_secret", text, start - 3, secret.end(), plain=plain)
        for form in self._patterns.by_start.get(text[start : start + 2], ()):
            match = form.pattern.match(text, start, start + MAX_WINDOW)
            if match is not None and self._is_one(form, match[0], plain=plain):
                return _hit(form.rule, text, start, match.end(), plain=plain)
        login = login_at(text, start)
        if login is None or (plain and login.password in self._allowed):
            return None
        return Hit(login.rule, login.start, login.end, plain, f"{len(login.password)} characters")

    def _look_at_bot(self, text: bytes, end: int, *, plain: bool) -> Hit | None:
        """A token of a bot, whose number ends here."""
        begin = end
        while begin > max(0, end - _MAX_BOT + 1) and _DIGITS[0] <= text[begin - 1] <= _DIGITS[1]:
            begin -= 1
        token = _BOT_TOKEN.match(text, begin)
        if token is None or (plain and (is_placeholder(token[0][-33:]) or token[0] in self._allowed)):
            return None
        return _hit("service_token", text, begin, token.end(), plain=plain)

    def _look_at_url(self, text: bytes, start: int, *, plain: bool) -> Hit | None:
        """A password before the host of a URL (RFC 3986 section 3.2.1)."""
        parts = _URL_PARTS.match(text, start)
        if parts is None or is_weak_password(parts[1], parts[2]) or (plain and parts[2] in self._allowed):
            return None
        return Hit("url_password", parts.start(2), parts.end(2), plain, f"{len(parts[2])} characters")

    def _is_one(self, form: Format, token: bytes, *, plain: bool) -> bool:
        if plain and token in self._allowed:
            return False
        if form.check is not None and not form.check(token):
            return False
        # An example of documentation that somebody has taken the trouble to encode is not meant as one.
        return not form.random or not plain or not is_placeholder(token[4:])

    def _scan_encoded(self, text: bytes, budget: Budget) -> Iterator[Hit]:
        """Credentials in base64 or hexadecimal, found by what their beginnings become there."""
        position = 0
        while (found := self._patterns.encoded.search(text, position)) is not None:
            start, end = found.span()
            if not budget.spend(ENCODED_COST):
                yield Hit(TOO_MANY, start, end, plain=False, excerpt="")
                return
            needle = self._patterns.needles[found[0]]
            decoded = needle.decode(text, start)
            hit = self._look(decoded, needle.lead, plain=False) if decoded else None
            if hit is not None:
                yield Hit(hit.rule, start, end, plain=False, excerpt=f"encoded {hit.excerpt}")
            position = end


def unescaped(text: bytes) -> bytes | None:
    """The text with percent escapes decoded, None where it has none. Parts stay apart."""
    if b"%" not in text:
        return None
    # Quoted-printable is the same with another sign, and decoded in C.
    joined = text.replace(b"%00", b"  ").replace(b"=", b"=3D").replace(b"%", b"=")
    return binascii.a2b_qp(joined)


def without_ignorable(text: bytes) -> bytes | None:
    """The text, UTF-8, without characters that are not seen, None where it has none."""
    if text.isascii():
        return None
    bare = text
    for sequence in _IGNORABLE:
        bare = bare.replace(sequence, b"")
    return None if len(bare) == len(text) else bare


def _hit(rule: str, text: bytes, start: int, end: int, *, plain: bool) -> Hit:
    return Hit(rule, start, end, plain, f"{text[start : start + 4].decode('latin-1')}… ({end - start} characters)")
