"""Cache: what was found in texts that were seen before, under keyed digests, bounded."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from hashlib import blake2b
from typing import Generic, TypeVar

__all__ = ["DigestCache"]

V = TypeVar("V")


class DigestCache(Generic[V]):
    """The most recently used values by a keyed digest of the text they were made of.

    The key is random and never leaves the process, so that nobody can prepare two texts of one digest, nor
    tell from a digest what was seen. The texts are not kept.

    Args:
        entries: most values to keep.
        context: what else the values depend on.
    """

    __slots__ = ("_entries", "_key", "_prefix", "_values")

    def __init__(self, entries: int, context: bytes) -> None:
        self._key = secrets.token_bytes(32)
        self._prefix = context
        self._entries = entries
        self._values: OrderedDict[bytes, V] = OrderedDict()

    def digest(self, text: bytes, extra: bytes = b"") -> bytes:
        """The digest of a text and of what else its value depends on."""
        hashed = blake2b(self._prefix, key=self._key, digest_size=16)
        hashed.update(len(extra).to_bytes(8))
        hashed.update(extra)
        hashed.update(text)
        return hashed.digest()

    def get(self, digest: bytes) -> V | None:
        """The value, which counts as used now."""
        value = self._values.get(digest)
        if value is not None:
            self._values.move_to_end(digest)
        return value

    def put(self, digest: bytes, value: V) -> None:
        """Keep a value, and drop the one that was not used for the longest time."""
        self._values[digest] = value
        if len(self._values) > self._entries:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Keep nothing of what was seen."""
        self._values.clear()

    def __len__(self) -> int:
        return len(self._values)
