"""Signal: one pattern of a technique, and the fields in which it is hostile."""

from __future__ import annotations

import msgspec

from guardsvc.guards.native.sandbox_escape.roles import Role

__all__ = ["ANYWHERE", "BEGIN", "END", "FIELDS", "HIDDEN", "KEY_FILE", "LINES", "TERSE", "TRAVERSAL", "URL", "Signal"]

BEGIN = "\x02"
"""Stands before every value that is matched."""
END = "\x03"
"""Stands behind it."""

TERSE = Role.PLAIN | Role.PATH | Role.URL | Role.HOST | Role.ARGUMENT
"""Fields that hold one short thing, in which syntax of an interpreter is out of place."""
LINES = TERSE | Role.COMMAND
FIELDS = LINES | Role.STATEMENT | Role.FORMULA
"""All but code, templates and prose."""
ANYWHERE = FIELDS | Role.TEMPLATE | Role.CODE | Role.TEXT

TRAVERSAL = "?path_traversal"
"""Rule of the signal after which ``paths.leaves`` tells whether it is so."""
URL = "?url"
"""Rule of the signal after which the hosts of a value are looked at."""
KEY_FILE = "?key_file"
"""Rule of the signal after which ``paths.is_public`` tells whether a file may hold a private key."""
HIDDEN = "?obfuscated"
"""Rule of the signal after which a command is looked at without what hides its words."""


class Signal(msgspec.Struct, frozen=True):
    """One pattern.

    Attributes:
        rule: id of the rule whose finding it is.
        roles: bits of the fields in which it counts.
        pattern: RE2 syntax, matched without regard to case on values between ``BEGIN`` and ``END``.
        table: whether it does not count in a row of a Markdown table.
        prose: whether it does not count in a sentence that mentions it.
        unless: a pattern, of values in which it does not count; empty for none.
    """

    rule: str
    roles: int
    pattern: str
    table: bool = False
    prose: bool = False
    unless: str = ""
