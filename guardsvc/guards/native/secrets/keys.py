"""Private keys: blocks that begin with a line of their own, and whether key material follows."""

from __future__ import annotations

import re

__all__ = ["KEY_BEGINNINGS", "private_key_end"]

KEY_BEGINNINGS = (b"-----BEGIN ", b"PuTTY-User-Key-File-", b"---- BEGIN SSH2 ")
"""How the first lines of blocks begin: PEM (RFC 7468), OpenSSH and PGP (RFC 9580), PuTTY, SSH2."""

MAX_HEAD = 512
"""Bytes behind the beginning in which key material must start."""
MAX_KEY = 16_384
MIN_MATERIAL = 40
MIN_DISTINCT = 16

_FIRST_LINE = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[23]:"
    rb"|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"
)
_FIELDS = re.compile(rb"(?m)^[A-Za-z][A-Za-z0-9-]{1,32}: ?[^\n]{0,200}$")
_BREAKS = re.compile(rb"\\[nr]|[\s\"'+\\]")
_MATERIAL = re.compile(rb"[A-Za-z0-9+/=]{%d,}" % MIN_MATERIAL)
_END = re.compile(rb"-----END [A-Z0-9 ]{3,40}-----|Private-MAC: ?[0-9a-f]{40,64}|---- END SSH2 [A-Z ]{3,40} ----")


def private_key_end(text: bytes, start: int) -> int:
    """Where the key ends whose first line begins at ``start``; 0 where there is none.

    It ends before the next zero byte at the latest, and is more than words.
    """
    first = _FIRST_LINE.match(text, start)
    if first is None:
        return 0
    begin = first.end()
    border = text.find(b"\0", begin, begin + MAX_KEY)
    limit = min(len(text), begin + MAX_KEY) if border < 0 else border
    head = _BREAKS.sub(b"", _FIELDS.sub(b"", text[begin : min(begin + MAX_HEAD, limit)].replace(b"\\n", b"\n")))
    material = _MATERIAL.search(head)
    if material is None or len(set(material[0])) < MIN_DISTINCT or material[0].isalpha():
        return 0
    end = _END.search(text, begin, limit)
    return min(limit, begin + MAX_HEAD) if end is None else end.end()
