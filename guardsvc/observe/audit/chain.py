"""Chain: every line of an audit file vouches for itself and for the line before it.

A line is one JSON object whose last members are ``chain``, ``seq``, ``prev``, ``key`` and ``mac``. ``mac`` is
HMAC-SHA256 over all of the line before the member ``mac``; ``prev`` is the ``mac`` of the line before. So a
line that is changed, removed, inserted or moved shows, and nobody without the key can make it right again.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardsvc.observe.audit.keys import AuditKey

__all__ = ["Chain", "Link", "Position", "link_of"]

_LINK = re.compile(
    rb',"chain":"([0-9a-f]{16})","seq":(0|[1-9][0-9]{0,17}),"prev":"([0-9a-f]{64}|)"'
    rb',"key":"([A-Za-z0-9._-]{1,64})","mac":"([0-9a-f]{64})"\}\n?\Z'
)
_MAX_LINK = 400
_MAC_MEMBER = len(',"mac":""}') + 64
MAX_TORN_TEXT = 1024


class Position(msgspec.Struct, frozen=True):
    """Where a chain stands: its last line.

    Attributes:
        chain: id of the chain, 16 hexadecimal digits.
        seq: number of the line, from 0.
        mac: its code.
    """

    chain: str
    seq: int
    mac: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """What a line says of its place.

    Attributes:
        position: its own.
        prev: code of the line before, empty in the first.
        key: id of the key.
        signed: the bytes that the code is of.
    """

    position: Position
    prev: str
    key: str
    signed: bytes

    def is_signed_by(self, key: AuditKey) -> bool:
        """Whether the code is that of this key."""
        return secrets.compare_digest(key.line.hex(self.signed), self.position.mac)


def link_of(line: bytes) -> Link | None:
    """What a line, with or without its newline, says of its place; None where it is no line of a chain."""
    found = _LINK.search(line, max(len(line) - _MAX_LINK, 0))
    if found is None:
        return None
    chain, seq, prev, key, mac = (group.decode() for group in found.groups())
    signed = line.removesuffix(b"\n")[:-_MAC_MEMBER]
    return Link(position=Position(chain, int(seq), mac), prev=prev, key=key, signed=signed)


class Chain:
    """The chain that one worker writes.

    Args:
        keys: by id; the first signs, all are believed in what is found.
        about: members of the record that begins a chain: worker, version.
    """

    def __init__(self, keys: Mapping[str, AuditKey], about: Mapping[str, Any]) -> None:
        self._keys = keys
        self._key = next(iter(keys.values()))
        self._about = dict(about)
        self.end: Position | None = None

    def resume(self, last: bytes | None, torn: bytes, time: str) -> list[bytes]:
        """Find the place to go on from, in a file that was just opened.

        Args:
            last: the file's last whole line; None where there is none.
            torn: what stood after it, already cut off.
            time: of now.

        Returns:
            Records to write first: that a line was torn, or that a chain begins and which one it follows.
        """
        notes = [_torn(torn, time)] if torn else []
        found = None if last is None else link_of(last)
        if found is not None and self._believes(found) and self._goes_on_from(found.position):
            self.end = found.position
            return notes
        if self.end is not None:
            return notes
        self.end = Position(secrets.token_hex(8), -1, "")
        after = None if found is None else msgspec.structs.asdict(found.position)
        unreadable = last is not None and found is None
        start = {"type": "chain_start", "time": time, **self._about, "after": after, "after_unreadable": unreadable}
        return [msgspec.json.encode(start), *notes]

    def _believes(self, link: Link) -> bool:
        key = self._keys.get(link.key)
        return key is not None and link.is_signed_by(key)

    def _goes_on_from(self, position: Position) -> bool:
        """Whether the end that was found is to be believed beside the one that is remembered.

        It is ahead where lines reached the file whose writing was reported as failed. Where it is behind,
        lines were taken away: the chain goes on as it is remembered, and verification shows the gap.
        """
        return self.end is None or (position.chain == self.end.chain and position.seq >= self.end.seq)

    def link(self, records: Iterable[bytes]) -> tuple[list[bytes], list[Position]]:
        """Lines for records, after the present end, which stays where it is until they are written.

        Args:
            records: encoded JSON objects with at least one member.

        Returns:
            The lines, and the end of the chain after each.
        """
        if self.end is None:
            raise AssertionError("the chain has no end yet")
        chain, seq, prev = self.end.chain, self.end.seq, self.end.mac
        name, key, code = chain.encode(), self._key.id.encode(), self._key.line.hex
        lines, ends = [], []
        for record in records:
            seq += 1
            signed = b'%b,"chain":"%b","seq":%d,"prev":"%b","key":"%b"' % (record[:-1], name, seq, prev.encode(), key)
            prev = code(signed)
            lines.append(b'%b,"mac":"%b"}\n' % (signed, prev.encode()))
            ends.append(Position(chain, seq, prev))
        return lines, ends


def _torn(torn: bytes, time: str) -> bytes:
    text = torn[:MAX_TORN_TEXT].decode(errors="replace")
    return msgspec.json.encode({"type": "torn", "time": time, "bytes": len(torn), "text": text})
