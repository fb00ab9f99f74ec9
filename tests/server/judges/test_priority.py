"""Whoever judges large bodies stands back behind others; whoever builds policies, less far."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from typing import TYPE_CHECKING

import pytest

from guardsvc.server.judges import priority
from guardsvc.server.judges.priority import ATTRIBUTES, TURN_NS, stand_back

if TYPE_CHECKING:
    from collections.abc import Callable

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
SHORT_TURNS = (6, 12)
"""The first Linux that has them."""


def in_a_thread(look: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    """What a thread of its own sees, which stands back alone."""
    seen: list[tuple[int, ...]] = []
    thread = threading.Thread(target=lambda: seen.append(look()))
    thread.start()
    thread.join()
    return seen[0]


def attributes() -> tuple[int, ...]:
    """Policy, niceness and turn of this thread, as the kernel has them."""
    filled = ctypes.create_string_buffer(ATTRIBUTES.size)
    assert ctypes.CDLL(None).syscall(SCHED_GETATTR[platform.machine()], 0, filled, ATTRIBUTES.size, 0) == 0
    _, policy, _, nice, _, turn, _, _ = ATTRIBUTES.unpack(filled.raw)
    return policy, nice, turn


@pytest.mark.skipif(platform.machine() not in SCHED_GETATTR, reason="the number of the system call is not known")
def test_a_thread_stands_back_alone() -> None:
    before = attributes()

    def look() -> tuple[int, ...]:
        stand_back(7)
        return attributes()

    policy, nice, turn = in_a_thread(look)
    assert (policy, nice) == (before[0], min(before[1] + 7, 19))
    assert turn == TURN_NS or tuple(map(int, platform.release().split("-")[0].split(".")[:2])) < SHORT_TURNS
    assert attributes() == before


def test_without_the_call_it_is_nice_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "SCHED_SETATTR", {})

    def look() -> tuple[int, ...]:
        before = os.getpriority(os.PRIO_PROCESS, 0)
        stand_back(3)
        return before, os.getpriority(os.PRIO_PROCESS, 0)

    before, after = in_a_thread(look)
    assert after == min(before + 3, 19)
