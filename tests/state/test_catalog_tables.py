"""The three stores of catalogs do the same; what SQLite and Redis do beyond is what they outlive."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from guardsvc.model import ErrorKind, GuardFailure
from guardsvc.state import UrlError
from guardsvc.state.open_tables import check_tables_url, open_tables
from guardsvc.state.tables import MAX_SCOPES, MemoryTables
from tests.state.drawing import Clock
from tests.state.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from guardsvc.state.tables import Tables

S = 5.0


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    server = None
    url: str | None = None
    if request.param == "sqlite":
        url = f"sqlite:{tmp_path}/b.db"
    elif request.param == "redis":
        server = RedisServer(tmp_path)
        server.start()
        url = server.url
    made = open_tables(url, Clock())
    yield made
    await made.close()
    if server is not None:
        server.kill()


async def test_values(tables: Tables) -> None:
    assert await tables.read("a/b", None, S) == {}
    await tables.write("a/b", {"x": b"1", "tool:y*[": b"\x00\xff"}, S)
    await tables.add("a/b", {"x": b"2", "z": b"3"}, S)
    assert await tables.read("a/b", None, S) == {"x": b"1", "tool:y*[": b"\x00\xff", "z": b"3"}
    assert await tables.read("a/b", ("x", "nothing"), S) == {"x": b"1"}
    assert await tables.read("a/b", (), S) == {}
    await tables.write("a/b", {"x": b"4"}, S)
    await tables.drop("a/b", ("z", "nothing"), S)
    assert await tables.read("a/b", None, S) == {"x": b"4", "tool:y*[": b"\x00\xff"}


async def test_scopes(tables: Tables) -> None:
    for scope in ("p*/a", "p*/b", "px/a", "q"):
        await tables.write(scope, {"x": b""}, S)
    assert await tables.scopes("p*/", S) == ["p*/a", "p*/b"]
    await tables.drop("p*/a", ("x",), S)
    assert await tables.scopes("p*/", S) == ["p*/b"]


async def test_many_fields(tables: Tables) -> None:
    values = {f"tool:{index}": b"v" * 100 for index in range(1200)}
    await tables.write("many", values, S)
    assert await tables.read("many", values, S) == values


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_what_passes(kind: str, tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    if kind == "redis":
        server.start()
    made = open_tables(server.url if kind == "redis" else f"sqlite:{tmp_path}/b.db", Clock())
    await made.write("passing", {"x": b"1"}, S, ttl=0.05)
    await made.write("staying", {"x": b"1"}, S)
    await asyncio.sleep(0.2)
    assert await made.read("passing", None, S) == {}
    assert await made.scopes("", S) == ["staying"]
    await made.close()
    server.kill()


async def test_memory_forgets_what_passes_first() -> None:
    clock = Clock()
    made = MemoryTables(clock)
    await made.write("passing", {"x": b"1"}, S, ttl=10)
    clock.now += 11
    assert await made.read("passing", None, S) == {}
    await made.write("staying", {"x": b"1"}, S)
    for index in range(MAX_SCOPES + 10):
        await made.write(f"passing/{index}", {"x": b"1"}, S, ttl=10)
    assert await made.read("staying", None, S) == {"x": b"1"}
    assert len(await made.scopes("passing/", S)) == MAX_SCOPES - 1


async def test_a_file_is_shared_and_outlives_who_wrote_it(tmp_path: Path) -> None:
    one, other = (open_tables(f"sqlite:{tmp_path}/b.db", Clock()) for _ in range(2))
    await asyncio.gather(*(each.write("s", {f"{index}": b"1"}, S) for index, each in enumerate([one, other] * 20)))
    assert len(await one.read("s", None, S)) == 40
    await one.close()
    assert len(await other.read("s", None, S)) == 40
    await other.close()


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_look_makes_no_file(tmp_path: Path) -> None:
    made = open_tables(f"sqlite:{tmp_path}/b.db", Clock())
    assert await made.read("s", None, S) == {}
    assert await made.scopes("", S) == []
    assert _names(tmp_path) == []
    await made.write("s", {"x": b"1"}, S)
    assert await made.read("s", None, S) == {"x": b"1"}
    await made.close()


async def test_a_file_that_cannot_be_used_is_a_failure_of_state(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, but a text that is long enough" * 50)
    for path in ("/nowhere/b.db", f"{tmp_path}/text.db"):
        made = open_tables(f"sqlite:{path}", Clock())
        with pytest.raises(GuardFailure) as caught:
            await made.read("s", None, S)
        assert caught.value.kind is ErrorKind.STATE_UNAVAILABLE
        await made.close()


async def test_a_redis_that_is_gone_is_a_failure_of_state(redis_server: RedisServer) -> None:
    made = open_tables(redis_server.url, Clock())
    await made.write("s", {"x": b"1"}, S)
    redis_server.kill()
    with pytest.raises(GuardFailure) as caught:
        await made.read("s", None, 0.5)
    assert caught.value.kind is ErrorKind.STATE_UNAVAILABLE
    await made.close()


@pytest.mark.parametrize("url", ["sqlite:b.db", "sqlite:", "postgres://x", ""])
def test_urls_that_cannot_be(url: str) -> None:
    with pytest.raises(UrlError):
        check_tables_url(url)


async def test_memory_takes_nothing_new_once_it_is_full_and_forgets_nothing_that_is_pinned() -> None:
    tables = MemoryTables(lambda: 0.0, max_bytes=100_000)
    await tables.write("pins", {"a": b"x" * 58_000}, 1)
    await tables.write("page-1", {"b": b"x" * 18_000}, 1, ttl=10)
    await tables.write("page-2", {"c": b"x" * 28_000}, 1, ttl=10)
    assert await tables.scopes("", 1) == ["page-2", "pins"]
    for add in (tables.write, tables.add):
        with pytest.raises(GuardFailure) as error:
            await add("more", {"d": b"x" * 60_000}, 1)
        assert error.value.kind is ErrorKind.STATE_UNAVAILABLE
    assert await tables.scopes("", 1) == ["pins"]
    with pytest.raises(GuardFailure):
        await tables.write("pins", {"a": b"y" * 100_000}, 1)
    assert await tables.read("pins", None, 1) == {"a": b"x" * 58_000}
    await tables.write("pins", {"a": b"y" * 98_000}, 1)
    await tables.drop("pins", ["a"], 1)
    await tables.add("more", {"d": b"x" * 98_000}, 1)
    assert await tables.scopes("", 1) == ["more"]


@pytest.mark.parametrize("name", ["{}", "tool:read_thing_{}", "\U0001f4a3" * 100 + "{}"])
async def test_memory_is_counted_as_it_is_taken(name: str) -> None:
    made = MemoryTables(lambda: 0.0, max_bytes=1 << 20)

    async def fill() -> None:
        for scope in range(10_000):
            await made.write(f"s{scope}", {name.format(f"{scope}_{each}"): b"%d" % each for each in range(20)}, 1)

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(GuardFailure):
            await fill()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.4 < taken / (1 << 20) < 1.0
