"""Assignments: values that a name says to be a credential, in fields and in text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import re2

from guardsvc.guards.native.secrets.patterns import VALUE, patterns
from guardsvc.guards.native.secrets.plausible import MIN_RANDOM, Allowed, is_random, is_weak_password
from guardsvc.guards.native.secrets.scanner import SEPARATOR, TOO_MANY, Budget, Hit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Assignments", "is_secret_name"]

MAX_NAME = 64

_NAME = re.compile(
    r"(?:^|_)(?:passwords?|passwd|pwd|passphrase|secrets?|credentials?|token|bearer|jwt|authorization"
    r"|(?:api|access|private|secret|signing|encryption|account|master|service|auth)_?key|apikey)(?:_(?:value|id))?$"
)
_NOT_SECRET = re.compile(
    r"next|prev|page|paging|cursor|continu|sync|resume|progress|max|min|count|limit|idempotency|csrf|public|cancel|pool"
    r"|mint|contract|symbol|stop|end_of"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_TOKEN = re.compile(rb"%s{1,256}" % VALUE)
_IN_QUERY = (b"?", b"&", b";")
_STRING_VALUE = re.compile(rb"[^;\"'\s\x00]{1,128}")
_LEAST = 6
"""Characters of a password that ``Patterns.password`` matches."""
_SERVER = re2.compile(
    rb"(?i)(?:^|[;\"'\s\x00])\s{0,4}"
    rb"(?:server|host|data source|address|addr|network address|accountname|endpoint)\s{0,4}="
)
_DRIVER = re2.compile(rb"(?i)\b(?:jdbc|r2dbc):[a-z]")
_PAIRS = re2.compile(
    rb"(?i)(?:^|[\s\"'\x00])(?:host|hostaddr|user|dbname|port|sslmode)=[^\s,;\"'()\x00]+[ \t]+"
    rb"(?:host|hostaddr|user|dbname|port|sslmode|password)="
)
"""Keywords and values as libpq reads them, with nothing but blanks between."""
_CODE = re.compile(rb"[A-Za-z_][A-Za-z_.]*[\[({]?")
"""A value that is a name of a program, not a password."""
_SIGNED = re.compile(rb"(?i)x-(?:amz|goog)-(?:security-)?\Z")
_LONGEST_SIGNED = 16
"""What stands before the names of members of a signed URL, which is good for itself alone."""
REACH = 512
"""Bytes around a password in which the rest of its connection string is looked for."""


@lru_cache(maxsize=4096)
def _is_secret_name(name: str) -> bool:
    plain = _CAMEL.sub("_", name).lower().replace("-", "_").replace(" ", "_").replace(".", "_")
    return _NAME.search(plain) is not None and _NOT_SECRET.search(plain) is None


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a credential (``apiKey``, ``client_secret``; not ``page_token``)."""
    return len(name) <= MAX_NAME and _is_secret_name(name)


class Assignments:
    """Looks for ``name = value`` in text.

    Args:
        allowed: values that are no finding.
    """

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._patterns = patterns()

    def is_secret(self, value: bytes) -> bool:
        """Whether the value of a field that is named for a credential is one."""
        return is_random(value) and value not in self._allowed

    def scan(self, text: bytes) -> Iterator[Hit]:
        """Credentials that text assigns to names, and a finding of their number where there are too many to look at."""
        budget = Budget(len(text))
        spans: set[int] = set()
        for found in _all(self._patterns.assigned, text):
            if not budget.spend():
                yield _too_many(found)
                return
            if _SIGNED.search(text, max(0, found.start() - _LONGEST_SIGNED), found.start()) is not None:
                continue
            hit = self._assigned(text, found.end() - MIN_RANDOM)
            if hit is not None:
                spans.add(hit.start)
                yield hit
        if _SERVER.search(text) is None and _DRIVER.search(text) is None:
            return
        for found in _all(self._patterns.password, text):
            start = found.end() - _LEAST
            if start in spans:
                continue
            if not budget.spend():
                yield _too_many(found)
                return
            hit = self._connection(text, found.start(), start)
            if hit is not None:
                yield hit

    def _assigned(self, text: bytes, start: int) -> Hit | None:
        value = _TOKEN.match(text, start)
        if value is None or not self.is_secret(token := value[0].rstrip(b".")):
            return None
        return Hit("assigned_secret", start, start + len(token), True, f"{len(token)} characters")

    def _connection(self, text: bytes, name: int, start: int) -> Hit | None:
        """A password of a connection string such as ``Server=db;User Id=app;Password=...;``."""
        begin = text.rfind(SEPARATOR, max(0, name - REACH), name) + 1 or max(0, name - REACH)
        end = text.find(SEPARATOR, start, start + REACH)
        around = text[begin : start + REACH if end < 0 else end]
        value = _STRING_VALUE.match(text, start)
        if value is None:
            return None
        password = value[0]
        if text[name - 1 : name] in _IN_QUERY and _DRIVER.search(around) is not None:
            password = password.partition(b"&")[0]
        elif (b";" not in around or _SERVER.search(around) is None) and (
            _PAIRS.search(around) is None or _CODE.fullmatch(password)
        ):
            return None
        if is_weak_password(b"", password) or password in self._allowed:
            return None
        return Hit("connection_string", start, start + len(password), True, f"{len(password)} characters")


def _all(pattern: Any, text: bytes) -> Iterator[Any]:
    """Every match, each from the end of the one before."""
    position = 0
    while (found := pattern.search(text, position)) is not None:
        position = found.end()
        yield found


def _too_many(found: Any) -> Hit:
    return Hit(TOO_MANY, found.start(), found.end(), plain=False, excerpt="")
