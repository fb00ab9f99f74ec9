"""Logins: passwords that programs are given, on command lines and in lines of ``.netrc``."""

from __future__ import annotations

import re
from typing import NamedTuple

from guardsvc.guards.native.secrets.plausible import is_weak_password

__all__ = ["LOGIN", "Login", "login_at"]

LOGIN = (
    rb"[ \t](?:-[uU]|--user|--proxy-user)[ \t=]{0,2}[\"']?[A-Za-z0-9_.@+-]+:[^\s\x00]{6}"
    rb"|\bsshpass[ \t]+-p[ \t]*[^\s\x00]{6}"
    rb"|\b(?:machine\s+[^\s\x00]+|default)\s+login\s+[^\s\x00]+\s+password\s+[^\s\x00]{6}"
)
"""Where one may begin, in the syntax of RE2."""

_USER = re.compile(rb"[ \t]-{1,2}[A-Za-z-]{1,10}[ \t=]{0,2}[\"']?([A-Za-z0-9_.@+-]{1,128}):([^\s\"'\x00]{6,128})")
_SSHPASS = re.compile(rb"()sshpass[ \t]{1,8}-p[ \t]{0,8}[\"']?([^\s\"'\x00]{6,128})")
_NETRC = re.compile(
    rb"(?:machine\s{1,8}[^\s\x00]{1,255}|default)\s{1,8}login\s{1,8}([^\s\x00]{1,128})\s{1,8}password\s{1,8}([^\s\x00]{6,128})"
)
_REACH = 512
"""Bytes before an option in which its program is looked for."""
_APART = (b"\0", b"\n", b"|", b";")
"""What another command begins behind."""
_WORD = re.compile(rb"[A-Za-z_.]+[,;:)?!`]*")
"""Prose and names of programs, which passwords may be but seldom are."""


class Login(NamedTuple):
    """A password that a program is given.

    Attributes:
        rule: the rule that it breaks.
        start: where the password begins.
        end: where it ends.
        password: itself.
    """

    rule: str
    start: int
    end: int
    password: bytes


def login_at(text: bytes, start: int) -> Login | None:
    """The login that begins here, None where it is none, or its password one that documentation has."""
    if text[start] in b" \t":
        rule, found = "url_password", _USER.match(text, start)
        if found is None or not _is_of_curl(text, start):
            return None
    else:
        rule, found = "connection_string", _SSHPASS.match(text, start) or _NETRC.match(text, start)
    if found is None or _WORD.fullmatch(found[2]) is not None or is_weak_password(found[1], found[2]):
        return None
    return Login(rule, found.start(2), found.end(2), found[2])


def _is_of_curl(text: bytes, start: int) -> bool:
    before = text[max(0, start - _REACH) : start]
    _, program, between = before.rpartition(b"curl")
    between = between.replace(b"\\\r\n", b"").replace(b"\\\n", b"")
    return bool(program) and not any(mark in between for mark in _APART)
