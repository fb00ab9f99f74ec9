"""List digest: by which guards know a list that they have seen before, made once for all of them."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from guardsvc.guards.native.lists import member_of

if TYPE_CHECKING:
    from guardsvc.model import Operation
    from guardsvc.state.pins import PinKind

__all__ = ["RECENT_BYTES", "Digests", "digest_of_list"]

RECENT_BYTES = 8 << 20
"""Bytes of memory of the lists that are kept as they are."""
_MAX_RECENT = 131_072
"""Bytes of the longest one of them."""
_PLACE = 512
"""Bytes of memory that is taken beside each."""
_MEMO = "_digests_of_lists"
_encode = msgspec.json.Encoder().encode


class Digests:
    """Digests under a key of this process. The last list of each server is compared, which costs less than a digest.

    A digest is of the list and of nothing else, whoever asks: what may not be shared with others has no part in it.

    Attributes:
        size: bytes of memory that the lists take, ``RECENT_BYTES`` at most.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._recent: OrderedDict[tuple[PinKind, tuple[str, ...]], tuple[bytes, bytes]] = OrderedDict()
        self.size = 0

    def of(self, kind: PinKind, servers: tuple[str, ...], data: bytes) -> bytes:
        """The digest of a list as JSON, and of the servers that it may be of."""
        recent = self._recent.get((kind, servers))
        if recent is not None and recent[0] == data:
            self._recent.move_to_end((kind, servers))
            return recent[1]
        prefix = _encode((kind, servers))
        digest = blake2b(b"%d:%b%b" % (len(prefix), prefix, data), key=self._key, digest_size=16).digest()
        if len(data) <= _MAX_RECENT:
            self._keep((kind, servers), data, digest)
        return digest

    def _keep(self, place: tuple[PinKind, tuple[str, ...]], data: bytes, digest: bytes) -> None:
        before = self._recent.pop(place, None)
        if before is not None:
            self.size -= len(before[0]) + _PLACE
        self._recent[place] = data, digest
        self.size += len(data) + _PLACE
        while self.size > RECENT_BYTES:
            self.size -= len(self._recent.popitem(last=False)[1][0]) + _PLACE


_digests = Digests()


def digest_of_list(operation: Operation, kind: PinKind) -> bytes:
    """A digest of a list and of the servers it may be of, made once for all guards that ask about a message.

    Args:
        operation: the list.
        kind: what it lists, which its payload has.

    Raises:
        UnicodeEncodeError: it has half of a surrogate pair, which no JSON text in UTF-8 has.
    """
    memo: dict[PinKind, bytes] = operation.__dict__.setdefault(_MEMO, {})
    digest = memo.get(kind)
    if digest is None:
        data = _encode(operation.payload[member_of(kind)[0]])
        digest = memo[kind] = _digests.of(kind, operation.servers, data)
    return digest
