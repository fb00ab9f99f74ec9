"""How long the supervisor waits before it replaces a worker."""

from __future__ import annotations

from guardsvc.server.workers.backoff import FIRST, LONGEST, STEADY, Backoff


def test_it_waits_twice_as_long_each_time_up_to_a_bound() -> None:
    backoff = Backoff()
    for number in range(50):
        longest = min(FIRST * 2.0**number, LONGEST)
        assert longest / 2 <= backoff.wait(0) <= longest


def test_a_worker_that_lasted_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.wait(STEADY - 1)
    assert backoff.wait(STEADY) <= FIRST
    assert FIRST < backoff.wait(0) <= 2 * FIRST


def test_two_do_not_wait_alike() -> None:
    assert len({Backoff().wait(0) for _ in range(20)}) > 1
