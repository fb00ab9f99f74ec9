"""Heap: what a worker keeps of the memory of one large message for the next.

By default the C library gives a megabyte back to the system as soon as nobody needs it, and every copy of the next
message has all its pages mapped again, which takes many times as long as copying them.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed"]

MIB = 1_048_576
LARGEST = 8 * MIB
"""Bytes of the largest piece of memory that is kept; larger ones go back at once."""
MOST = 64 * MIB
"""Bytes that are kept before some go back; all of them do when ``Load`` trims."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""


def keep_freed() -> None:
    """Keep freed memory from now on, where the C library can be told to; glibc can."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, MOST)
