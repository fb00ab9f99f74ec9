"""Counters in a real Redis, also while it is dead or hangs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from guardsvc.model import ErrorKind, FactUse, GuardFailure
from guardsvc.state import RateLimits, Store, Strategy, UrlError, check_url
from guardsvc.state.redis import FAILURES, PAUSE, SHARE
from tests.state.drawing import draw, drawn, limit, passes
from tests.state.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

RECOVERS_WITHIN = 120.0
LEEWAY = 30.0
"""Seconds by which a busy machine may be late."""


@pytest.fixture
async def limits() -> AsyncIterator[RateLimits]:
    made = RateLimits()
    yield made
    await made.close()


@pytest.fixture
def store(redis_server: RedisServer) -> Store:
    return Store(url=redis_server.url)


async def unavailable(limits: RateLimits, store: Store, seconds: float = 0.1) -> str:
    """The failure of an operation, which must come in time."""
    started = time.monotonic()
    with pytest.raises(GuardFailure) as caught:
        await drawn(limits, draw(limit("1000/hour")), store=store, seconds=seconds)
    assert time.monotonic() - started < seconds + LEEWAY
    assert caught.value.kind is ErrorKind.STATE_UNAVAILABLE
    return str(caught.value)


async def recovered(limits: RateLimits, store: Store) -> None:
    """Wait until an operation is counted again."""
    end = time.monotonic() + RECOVERS_WITHIN
    while True:
        try:
            await drawn(limits, draw(limit("1000/hour")), store=store, seconds=1.0)
        except GuardFailure:
            assert time.monotonic() < end, "Redis is back, the limits are not"
            await asyncio.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("strategy", Strategy)
async def test_replicas_share_what_is_counted(store: Store, limits: RateLimits, strategy: Strategy) -> None:
    other, calls = RateLimits(), draw(limit("3/hour", "5/day", strategy=strategy))
    try:
        turns = [await passes(each, calls, store=store) for each in (limits, other, limits, other, limits)]
        assert turns == [True, True, True, False, False]
        assert await passes(other, draw(calls.limit, "bob"), store=store)
    finally:
        await other.close()


@pytest.mark.parametrize("strategy", Strategy)
async def test_all_windows_must_have_room_and_a_refusal_takes_of_none(
    store: Store, limits: RateLimits, strategy: Strategy
) -> None:
    scarce, plenty = limit("1/hour", name="scarce", strategy=strategy), limit("3/hour", name="plenty")
    for _ in range(4):
        await drawn(limits, draw(scarce), draw(plenty), store=store)
    assert [await passes(limits, draw(plenty), store=store) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_cost_that_does_not_fit_leaves_room_for_one_that_does(
    store: Store, limits: RateLimits, strategy: Strategy
) -> None:
    calls = limit("5/hour", strategy=strategy)
    assert await passes(limits, draw(calls, cost=3), store=store)
    assert not await passes(limits, draw(calls, cost=3), store=store)
    assert await passes(limits, draw(calls, cost=2), store=store)


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("windows", [("20/hour",), ("20/hour", "25/day")])
async def test_no_more_pass_at_once_than_there_is_room_for(
    store: Store, limits: RateLimits, strategy: Strategy, windows: tuple[str, ...]
) -> None:
    calls = draw(limit(*windows, strategy=strategy))
    facts = await asyncio.gather(*(drawn(limits, calls, store=store, seconds=10) for _ in range(200)))
    assert sum(not fact.exhausted for fact in facts) == 20
    assert not await passes(limits, calls, store=store)


@pytest.mark.parametrize("strategy", Strategy)
async def test_those_that_lose_a_race_for_one_window_take_of_no_other(
    store: Store, limits: RateLimits, strategy: Strategy
) -> None:
    scarce = draw(limit("5/hour", "50/day", name="scarce", strategy=strategy))
    plenty = draw(limit("100/hour", name="plenty", strategy=strategy))
    other = RateLimits()
    try:
        facts = await asyncio.gather(
            *(drawn(each, scarce, plenty, store=store, seconds=10) for each in (limits, other) * 50)
        )
    finally:
        await other.close()
    assert sum(not fact.exhausted for fact in facts) == 5
    assert {fact.exhausted[0].limit for fact in facts if fact.exhausted} == {"scarce"}
    turns = [await passes(limits, plenty, store=store) for _ in range(96)]
    assert turns == [True] * 95 + [False]


@pytest.mark.parametrize("cost", [4_999, 5_000, 5_001, 10_000, 12_345])
async def test_a_high_cost_is_taken_whole(store: Store, limits: RateLimits, cost: int) -> None:
    of = limit(f"{2 * cost + 1}/hour", strategy=Strategy.MOVING)
    turns = [await passes(limits, draw(of, cost=each), store=store) for each in (cost, cost, 2, 1, 1)]
    assert turns == [True, True, False, True, False]


@pytest.mark.parametrize("strategy", Strategy)
async def test_what_is_taken_is_what_the_library_sees(store: Store, limits: RateLimits, strategy: Strategy) -> None:
    of = limit("40/hour", "45/day", strategy=strategy)
    left = 40
    for cost in (1, 41, 7, 3, 20, 12, 9, 5, 1):
        fits = await passes(limits, draw(of, cost=cost), store=store, use=FactUse.DRY)
        assert await passes(limits, draw(of, cost=cost), store=store) == fits == (cost <= left)
        left -= cost if fits else 0
    assert left == 0


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_client_that_waits_as_long_as_it_is_told_passes(
    store: Store, limits: RateLimits, strategy: Strategy
) -> None:
    calls = draw(limit("2/second", strategy=strategy))
    for _ in range(3):
        while not (fact := await drawn(limits, calls, store=store)).exhausted:
            pass
        wait = fact.exhausted[0].retry_after
        assert 0 < wait <= 2.01
        await asyncio.sleep(wait + 0.005)
        assert await passes(limits, calls, store=store)


async def test_shadow_counts_for_itself_and_a_dry_look_takes_nothing(store: Store, limits: RateLimits) -> None:
    calls = draw(limit("1/hour"))
    for use in (FactUse.DRY, FactUse.DRY, FactUse.SHADOW):
        assert await passes(limits, calls, store=store, use=use)
    assert not await passes(limits, calls, store=store, use=FactUse.SHADOW)
    assert await passes(limits, calls, store=store)
    assert not await passes(limits, calls, store=store)


async def test_keys_say_no_name_and_expire(redis_server: RedisServer, store: Store, limits: RateLimits) -> None:
    for strategy in Strategy:
        await drawn(limits, draw(limit("9/minute", strategy=strategy), "digest"), store=store)
    async with Redis.from_url(redis_server.url) as redis:
        keys = [key.decode() for key in await redis.keys("*")]
        assert sorted(keys) == [
            f"guardsvc:LIMITER/applied/rate_limit/calls/{strategy}/digest/9/1/minute"
            if strategy != "sliding_window"
            else "guardsvc:{LIMITER/applied/rate_limit/calls/sliding_window/digest/9/1/minute}"
            for strategy in ("fixed_window", "moving_window", "sliding_window")
        ]
        assert all([0 < await redis.ttl(key) <= 120 for key in keys])


async def test_scripts_that_redis_forgot_are_sent_again(
    redis_server: RedisServer, store: Store, limits: RateLimits
) -> None:
    await drawn(limits, draw(limit("9/hour")), store=store)
    async with Redis.from_url(redis_server.url) as redis:
        await redis.script_flush()
    await drawn(limits, draw(limit("9/hour")), store=store)


async def test_killed_it_is_unavailable_at_once_and_recovers_when_it_is_back(
    redis_server: RedisServer, store: Store, limits: RateLimits
) -> None:
    await drawn(limits, draw(limit("1000/hour")), store=store)
    redis_server.kill()
    for _ in range(FAILURES + 2):
        await unavailable(limits, store)
    redis_server.start()
    await recovered(limits, store)


async def test_restarted_in_between_nobody_notices(redis_server: RedisServer, store: Store, limits: RateLimits) -> None:
    calls = draw(limit("1000/hour"))
    await asyncio.gather(*(drawn(limits, calls, store=store) for _ in range(8)))
    redis_server.kill()
    redis_server.start()
    facts = await asyncio.gather(*(drawn(limits, calls, store=store) for _ in range(8)))
    assert all(not fact.exhausted for fact in facts)


async def test_hung_it_is_unavailable_in_time_and_recovers_when_it_goes_on(
    redis_server: RedisServer, store: Store, limits: RateLimits
) -> None:
    await drawn(limits, draw(limit("1000/hour")), store=store)
    redis_server.hang()
    assert await unavailable(limits, store) == f"no answer within {SHARE * 100:.0f} ms"
    for _ in range(FAILURES):
        await unavailable(limits, store)
    assert "not asked yet" in await unavailable(limits, store)
    redis_server.go_on()
    await recovered(limits, store)


async def test_while_it_hangs_one_operation_at_a_time_waits_for_it(
    redis_server: RedisServer, store: Store, limits: RateLimits
) -> None:
    redis_server.hang()
    for _ in range(FAILURES):
        await unavailable(limits, store)
    await asyncio.sleep(PAUSE)
    failures = await asyncio.gather(*(unavailable(limits, store) for _ in range(100)))
    assert sum("no answer" in failure for failure in failures) == 1
    redis_server.go_on()


async def test_an_answer_that_comes_late_is_no_other_operations_answer(
    redis_server: RedisServer, store: Store, limits: RateLimits
) -> None:
    full, empty = draw(limit("1/hour", name="full")), limit("1000/hour", name="empty")
    assert await passes(limits, full, store=store)
    redis_server.hang()
    for _ in range(2):
        with pytest.raises(GuardFailure):
            await drawn(limits, full, store=store, seconds=0.05)
    redis_server.go_on()
    facts = await asyncio.gather(*(drawn(limits, draw(empty, str(n)), store=store) for n in range(50)))
    assert all(not fact.exhausted for fact in facts)
    assert not await passes(limits, full, store=store)


async def test_closed_it_leaves_no_connection(redis_server: RedisServer, store: Store) -> None:
    limits = RateLimits()
    await asyncio.gather(*(drawn(limits, draw(limit("9/hour", "99/day")), store=store) for _ in range(20)))
    async with Redis.from_url(redis_server.url) as redis:
        assert len(await redis.client_list()) > 1
        await limits.close()
        await asyncio.sleep(0.05)
        assert len(await redis.client_list()) == 1


async def test_a_url_that_nobody_uses_any_more_is_closed_when_another_is_used(
    redis_server: RedisServer, store: Store, limits: RateLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guardsvc.state.shared.IDLE", 0.0)
    other = Store(url=f"{redis_server.url[:-1]}1")
    for each in (store, other, store):
        await drawn(limits, draw(limit("9/hour")), store=each)
    async with Redis.from_url(redis_server.url) as redis:
        assert len(await redis.client_list()) == 2


async def test_no_more_connections_than_32(redis_server: RedisServer, store: Store, limits: RateLimits) -> None:
    calls = draw(limit("100000/hour", "100000/day"))
    await asyncio.gather(*(drawn(limits, calls, store=store, seconds=20) for _ in range(300)))
    async with Redis.from_url(redis_server.url) as redis:
        assert len(await redis.client_list()) <= 33


async def test_a_password_is_used_and_a_wrong_one_shown_to_nobody(tmp_path: Path, limits: RateLimits) -> None:
    server = RedisServer(tmp_path, "--requirepass", "right")
    server.start()
    try:
        with_password = server.url.replace("//", "//:{}@")
        await drawn(limits, draw(limit("9/hour")), store=Store(url=with_password.format("right")))
        assert "hidden" not in await unavailable(limits, Store(url=with_password.format("hidden")), 10.0)
    finally:
        server.kill()


async def test_full_it_is_unavailable(redis_server: RedisServer, store: Store, limits: RateLimits) -> None:
    async with Redis.from_url(redis_server.url) as redis:
        await redis.config_set("maxmemory", "1")
    assert "maxmemory" in await unavailable(limits, store, 10.0)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:secret@localhost:6379/1",
        "rediss://localhost:6380?ssl_ca_certs=/ca.pem",
        "valkey://localhost",
        "valkeys://localhost",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_url(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    ["", "memory", "http://localhost", "redis", "redis://:secret@localhost:port", "redis://h?socket_timeout=secret"],
)
def test_no_url(url: str) -> None:
    with pytest.raises(UrlError) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)
