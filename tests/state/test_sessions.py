"""Whose a session is: in memory, in Redis, and where it is only looked at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.model import ErrorKind, FactRequest, FactUse, GuardFailure
from guardsvc.state import SESSION_OWNER, Ownership, SessionNeed, SessionOwners, SessionStore, Sources
from tests.engine.scripted import CALL
from tests.state.drawing import Clock

if TYPE_CHECKING:
    from tests.state.redis_server import RedisServer

OWN, OTHER, UNOWNED, FULL = Ownership.OWN, Ownership.OTHER, Ownership.UNOWNED, Ownership.FULL


async def ask(
    owners: SessionOwners,
    owner: str | None,
    session: str = "s1",
    *,
    guard: str = "auth",
    use: FactUse = FactUse.APPLY,
    store: SessionStore = SessionStore(ttl=60),  # noqa: B008
) -> Ownership:
    need = SessionNeed(store=store, session=session, owner=owner)
    request = FactRequest(operation=CALL, guard=guard, need=need, use=use, seconds=2.0)
    return (await owners.fetch(request)).ownership


async def test_a_session_is_of_the_first_that_is_verified() -> None:
    owners = SessionOwners(Clock())
    assert await ask(owners, None) is UNOWNED
    assert await ask(owners, "ann") is OWN
    assert await ask(owners, "ann") is OWN
    assert await ask(owners, "bob") is OTHER
    assert await ask(owners, None) is OTHER
    assert await ask(owners, "bob", "s2") is OWN


async def test_use_keeps_a_session_and_only_its_owner_s() -> None:
    clock = Clock()
    owners = SessionOwners(clock)
    assert await ask(owners, "ann") is OWN
    clock.now += 50
    assert await ask(owners, "ann") is OWN
    clock.now += 50
    assert await ask(owners, "bob") is OTHER
    clock.now += 10
    assert await ask(owners, "bob") is OWN


async def test_guards_and_shadow_bind_apart_and_a_look_binds_nothing() -> None:
    owners = SessionOwners(Clock())
    assert await ask(owners, "ann", use=FactUse.DRY) is OWN
    assert await ask(owners, "bob", use=FactUse.SHADOW) is OWN
    assert await ask(owners, "eve", guard="another") is OWN
    assert await ask(owners, "ann") is OWN
    assert await ask(owners, "bob", use=FactUse.DRY) is OTHER
    assert await ask(owners, "ann", use=FactUse.SHADOW) is OTHER


async def test_a_look_does_not_keep_a_session() -> None:
    clock = Clock()
    owners = SessionOwners(clock)
    await ask(owners, "ann")
    clock.now += 50
    assert await ask(owners, "ann", use=FactUse.DRY) is OWN
    clock.now += 10
    assert await ask(owners, "bob") is OWN


async def test_one_principal_crowds_out_only_itself() -> None:
    store = SessionStore(ttl=60, max_sessions=4, max_per_owner=2)
    owners = SessionOwners(Clock())
    assert await ask(owners, "ann", "a", store=store) is OWN
    for index in range(10):
        assert await ask(owners, "eve", f"e{index}", store=store) is OWN
    assert await ask(owners, "bob", "a", store=store) is OTHER
    assert await ask(owners, "bob", "e9", store=store) is OTHER
    assert await ask(owners, "bob", "e0", store=store) is OWN


async def test_a_flood_takes_the_room_of_those_who_open_most() -> None:
    store = SessionStore(ttl=60, max_sessions=12, max_per_owner=8)
    owners = SessionOwners(Clock())
    assert await ask(owners, "ann", "a1", store=store) is OWN
    assert await ask(owners, "ann", "a2", store=store) is OWN
    for index in range(40):
        assert await ask(owners, f"eve{index % 3}", f"e{index}", store=store) is OWN
    assert await ask(owners, "bob", "b", store=store) is OWN
    assert [await ask(owners, "eve0", name, store=store) for name in ("a1", "a2", "b")] == [OTHER] * 3
    assert await ask(owners, "ann", "e0", store=store) is OWN, "forgotten"
    assert await ask(owners, "bob", "e39", store=store) is OTHER


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 12), st.integers(0, 40)), max_size=80))
def test_room_is_shared_out_whatever_comes(asked: list[tuple[str, int, int]]) -> None:
    clock = Clock()
    store = SessionStore(ttl=60, max_sessions=6, max_per_owner=4)
    owners = SessionOwners(clock)
    look = FactUse.DRY

    async def run() -> None:
        for owner, session, seconds in asked:
            clock.now += seconds
            before = await ask(owners, owner, str(session), use=look, store=store)
            assert await ask(owners, owner, str(session), store=store) is before
            bound = [
                name for name in map(str, range(13)) if await ask(owners, "z", name, use=look, store=store) is OTHER
            ]
            held = {
                who: [name for name in bound if await ask(owners, who, name, use=look, store=store) is OWN]
                for who in "abcd"
            }
            assert session in map(int, held[owner]) or before is not OWN
            assert sum(map(len, held.values())) == len(bound) <= store.max_sessions
            assert max(map(len, held.values())) <= store.max_per_owner

    asyncio.run(run())


async def test_sessions_beyond_the_bound_are_told_and_those_that_end_make_room() -> None:
    clock = Clock()
    store = SessionStore(ttl=60, max_sessions=2)
    owners = SessionOwners(clock)
    assert [await ask(owners, name, name, store=store) for name in ("a", "b", "c")] == [OWN, OWN, FULL]
    assert await ask(owners, "a", "a", store=store) is OWN
    clock.now += 60
    assert await ask(owners, "c", "c", store=store) is OWN


async def test_a_session_that_gives_way_before_its_time_is_told() -> None:
    clock, told = Clock(), []
    owners = SessionOwners(clock, lambda guard, bound: told.append((guard, bound)))
    store = SessionStore(ttl=60, max_sessions=3, max_per_owner=2)
    for number in range(3):
        await ask(owners, "ann", f"a{number}", store=store)
    assert told == [("auth", "max_per_principal")]
    await ask(owners, "bob", "b", store=store)
    await ask(owners, "cid", "c", store=store, use=FactUse.DRY)
    assert len(told) == 1, "a look takes nobody's room"
    await ask(owners, "cid", "c", store=store)
    assert told[1:] == [("auth", "max_sessions")]
    clock.now += 61
    for number in range(3):
        await ask(owners, "ann", f"late{number}", store=store)
    assert told[2:] == [("auth", "max_per_principal")], "what has ended gives way untold"


async def test_redis_is_shared(redis_server: RedisServer) -> None:
    store = SessionStore(url=redis_server.url, ttl=60)
    one, two = SessionOwners(), SessionOwners()
    try:
        assert await ask(one, None, store=store) is UNOWNED
        assert await ask(one, "ann", use=FactUse.DRY, store=store) is OWN
        assert await ask(one, "bob", use=FactUse.SHADOW, store=store) is OWN
        assert await ask(two, "ann", store=store) is OWN
        assert await ask(one, "ann", store=store) is OWN
        assert await ask(one, "bob", store=store) is OTHER
        assert await ask(two, None, store=store) is OTHER
        assert await ask(two, "ann", use=FactUse.DRY, store=store) is OWN
    finally:
        await one.close()
        await two.close()


async def test_redis_away(redis_server: RedisServer) -> None:
    store = SessionStore(url=redis_server.url)
    async with Sources() as sources:
        redis_server.kill()
        need = SessionNeed(store=store, session="s", owner="ann")
        with pytest.raises(GuardFailure) as failure:
            await sources.facts[SESSION_OWNER].fetch(FactRequest(operation=CALL, guard="auth", need=need))
        assert failure.value.kind is ErrorKind.STATE_UNAVAILABLE


def test_a_store_does_not_show_its_url() -> None:
    assert "hunter" not in repr(SessionStore(url="redis://:hunter@localhost"))
