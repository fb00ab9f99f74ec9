"""Priority: how the thread that judges stands back behind others.

A large body keeps a core busy for tens of milliseconds. Niceness alone says how much of a contended core a thread gets
in the long run; since Linux 6.6 whoever wakes up there may still have to wait until its turn is over, some four
milliseconds, which is as long as several small calls take. With short turns it need not (Linux 6.12).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

__all__ = ["stand_back"]

TURN_NS = 100_000
"""Nanoseconds after which another thread may have its turn; the least that Linux takes."""
ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""``struct sched_attr`` of sched_setattr(2) in its first version."""
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""The number of the system call, which the C library does not have."""


def stand_back(nice: int) -> None:
    """Put the calling thread, and threads that it starts, behind others.

    Args:
        nice: by how much more, as nice(1) has it.
    """
    niceness = os.nice(nice)
    call = SCHED_SETATTR.get(platform.machine())
    if nice and call is not None and os.sched_getscheduler(0) == os.SCHED_OTHER:
        attributes = ATTRIBUTES.pack(ATTRIBUTES.size, os.SCHED_OTHER, 0, niceness, 0, TURN_NS, 0, 0)
        # Where it is not allowed, niceness has to do.
        ctypes.CDLL(None).syscall(call, 0, attributes, 0)
