"""Digest cache: what guards found in texts that were seen before, under keyed digests, bounded."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from hashlib import blake2b
from typing import Generic, TypeVar

__all__ = ["MAX_BYTES", "DigestCache"]

V = TypeVar("V")

MAX_BYTES = 4 << 20
"""Bytes of memory that the values of one cache take."""
SMALL = 256
"""Bytes of memory that an entry takes beside what its value is said to take."""


class DigestCache(Generic[V]):
    """The most recently used values by a keyed digest of the text they were made of.

    The key is random and never leaves the process, so that nobody can prepare two texts of one digest, nor
    tell from a digest what was seen. The texts are not kept.

    Args:
        entries: most values to keep.
        context: what else the values depend on.
    """

    __slots__ = ("_bytes", "_entries", "_key", "_prefix", "_values")

    def __init__(self, entries: int, context: bytes = b"") -> None:
        self._key = secrets.token_bytes(32)
        self._prefix = context
        self._entries = entries
        self._bytes = 0
        self._values: OrderedDict[bytes, tuple[V, int]] = OrderedDict()

    def digest(self, text: bytes, extra: bytes = b"") -> bytes:
        """The digest of a text and of what else its value depends on."""
        hashed = blake2b(self._prefix, key=self._key, digest_size=16)
        hashed.update(len(extra).to_bytes(8))
        hashed.update(extra)
        hashed.update(text)
        return hashed.digest()

    def get(self, digest: bytes) -> V | None:
        """The value, which counts as used now."""
        kept = self._values.get(digest)
        if kept is None:
            return None
        self._values.move_to_end(digest)
        return kept[0]

    def put(self, digest: bytes, value: V, size: int = 0) -> None:
        """Keep a value, and drop those that were not used for the longest time where there is no room.

        Args:
            digest: of what it was made of.
            value: the value.
            size: bytes of memory that it takes; one that takes a quarter of what all may take is not kept.
        """
        self.drop(digest)
        size += SMALL
        if size > MAX_BYTES // 4:
            return
        self._values[digest] = value, size
        self._bytes += size
        while len(self._values) > self._entries or self._bytes > MAX_BYTES:
            self.drop(next(iter(self._values)))

    def clear(self) -> None:
        """Keep nothing of what was seen."""
        self._values.clear()
        self._bytes = 0

    def drop(self, digest: bytes) -> None:
        """Forget a value."""
        kept = self._values.pop(digest, None)
        if kept is not None:
            self._bytes -= kept[1]

    def __len__(self) -> int:
        return len(self._values)
