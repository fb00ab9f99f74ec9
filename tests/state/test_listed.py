"""Names that servers have shown, and states that they have given, in memory, a file and a Redis that workers share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.model import (
    Direction,
    ErrorKind,
    FactRequest,
    FactUse,
    GatewayProtocol,
    GuardFailure,
    Kind,
    Operation,
    Phase,
)
from guardsvc.state.catalog_needs import CatalogStore
from guardsvc.state.listed import FRESH, ListedFact, ListedNames, ListedNeed, NoteNeed
from guardsvc.state.pins import PinKind, Place
from guardsvc.state.request_states import MAX_HOLDERS, Holding, RequestStates, StateNeed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.state.redis_server import RedisServer

FILES, MAIL = Place("acme", "files"), Place("acme", "mail")
OPERATION = Operation(
    protocol=GatewayProtocol.EXT_PROC,
    direction=Direction.RESPONSE,
    phase=Phase.TOOLS_LIST,
    kind=Kind.RESULT,
    method="tools/list",
)


class Worker:
    """A process with sources of its own."""

    now = 0.0
    seconds = 5.0

    def __init__(self, store: CatalogStore) -> None:
        self.store = store
        self.names = ListedNames(lambda: Worker.now, lambda: 1e9 + Worker.now)
        self.states = RequestStates(lambda: Worker.now)

    async def ask(self, source: Any, need: Any, use: FactUse = FactUse.APPLY, guard: str = "g") -> Any:
        return await source.fetch(
            FactRequest(operation=OPERATION, guard=guard, need=need, use=use, seconds=Worker.seconds)
        )

    async def note(self, place: Place, use: FactUse = FactUse.APPLY, most: int = 10, **names: str) -> None:
        need = NoteNeed(store=self.store, kind=PinKind.TOOL, names={place: names}, most=most)
        await self.ask(self.names, need, use)

    async def known(self, *places: Place, use: FactUse = FactUse.APPLY, guard: str = "g") -> dict[str, dict[str, str]]:
        need = ListedNeed(store=self.store, places=places, kind=PinKind.TOOL)
        fact: ListedFact = await self.ask(self.names, need, use, guard)
        return {server: {name: seen.digest for name, seen in names.items()} for server, names in fact.names.items()}

    async def state(self, holder: str, *, given: bool, use: FactUse = FactUse.APPLY, ttl: int = 60) -> Holding:
        need = StateNeed(store=self.store, state="s", holder=holder, given=given, ttl=ttl)
        held: Holding = await self.ask(self.states, need, use)
        return held

    async def close(self) -> None:
        await self.names.close()
        await self.states.close()


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def worker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Worker]:
    Worker.now = 0.0
    url = None
    if request.param == "sqlite":
        url = f"sqlite:{tmp_path / 'n.db'}"
    elif request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        url = server.url
    made = Worker(CatalogStore(url))
    yield made
    await made.close()


async def test_what_was_noted_is_known_by_place(worker: Worker) -> None:
    await worker.note(FILES, read="1", write="2")
    await worker.note(MAIL, read="3")
    assert await worker.known(FILES, MAIL) == {"files": {"read": "1", "write": "2"}, "mail": {"read": "3"}}
    assert await worker.known(Place("other", "files")) == {"files": {}}
    assert await worker.known(FILES, guard="other") == {"files": {}}


async def test_a_dry_look_notes_nothing_and_shadow_is_apart(worker: Worker) -> None:
    await worker.note(FILES, FactUse.DRY, read="1")
    await worker.note(FILES, FactUse.SHADOW, write="1")
    assert await worker.known(FILES) == {"files": {}}
    assert await worker.known(FILES, use=FactUse.SHADOW) == {"files": {"write": "1"}}


async def test_a_change_keeps_when_it_was_first_shown(worker: Worker) -> None:
    await worker.note(FILES, read="1")
    Worker.now = 100.0
    await worker.note(FILES, read="2")
    need = ListedNeed(store=worker.store, places=(FILES,), kind=PinKind.TOOL)
    seen = (await worker.ask(worker.names, need)).names["files"]["read"]
    assert (seen.digest, seen.first, seen.changed) == ("2", 1e9, 1e9 + 100)


async def test_no_more_than_so_many_are_noted(worker: Worker) -> None:
    await worker.note(FILES, most=2, a="1", b="1", c="1")
    await worker.note(FILES, most=2, d="1")
    assert await worker.known(FILES) == {"files": {"a": "1", "b": "1"}}


async def test_a_name_without_end_is_not_noted(worker: Worker) -> None:
    need = NoteNeed(store=worker.store, kind=PinKind.TOOL, names={FILES: {"x" * 300: "1", "a": "1"}}, most=10)
    await worker.ask(worker.names, need)
    assert await worker.known(FILES) == {"files": {"a": "1"}}


async def test_the_same_names_are_the_same_object(worker: Worker) -> None:
    await worker.note(FILES, read="1")
    need = ListedNeed(store=worker.store, places=(FILES,), kind=PinKind.TOOL)
    first = (await worker.ask(worker.names, need)).names["files"]
    Worker.now += 2 * FRESH
    assert (await worker.ask(worker.names, need)).names["files"] is first
    await worker.note(FILES, write="1")
    assert (await worker.ask(worker.names, need)).names["files"] is not first


@pytest.mark.parametrize("worker", ["sqlite", "redis"], indirect=True)
async def test_another_worker_sees_it_after_a_second(worker: Worker) -> None:
    one, other = worker, Worker(worker.store)
    assert await other.known(FILES) == {"files": {}}
    await one.note(FILES, read="1")
    Worker.now += 2 * FRESH
    assert await other.known(FILES) == {"files": {"read": "1"}}
    await one.state("ann", given=True)
    assert await other.state("ann", given=False) == Holding(own=True, known=True)
    await other.close()


async def test_a_state_belongs_to_those_it_was_given_to(worker: Worker) -> None:
    assert await worker.state("ann", given=False) == Holding(own=False, known=False)
    await worker.state("ann", given=True, use=FactUse.DRY)
    assert await worker.state("ann", given=False) == Holding(own=False, known=False)
    await worker.state("ann", given=True)
    assert await worker.state("ann", given=False) == Holding(own=True, known=True)
    assert await worker.state("bob", given=False) == Holding(own=False, known=True)
    assert await worker.state("bob", given=False, use=FactUse.SHADOW) == Holding(own=False, known=False)
    await worker.state("bob", given=True)
    assert await worker.state("bob", given=False) == Holding(own=True, known=True)


async def test_a_state_that_everybody_has_is_nobodys(worker: Worker) -> None:
    for index in range(MAX_HOLDERS):
        await worker.state(f"caller{index}", given=True)
    assert await worker.state("ann", given=False) == Holding(own=True, known=True)


async def test_a_state_is_forgotten_in_time() -> None:
    Worker.now = 0.0
    worker = Worker(CatalogStore())
    await worker.state("ann", given=True, ttl=60)
    Worker.now = 61.0
    assert await worker.state("bob", given=False) == Holding(own=False, known=False)
    await worker.close()


async def test_redis_forgets_a_state_in_time(redis_server: RedisServer) -> None:
    worker = Worker(CatalogStore(redis_server.url))
    await worker.state("ann", given=True, ttl=1)
    assert await worker.state("ann", given=False) == Holding(own=True, known=True)
    await asyncio.sleep(1.2)
    assert await worker.state("ann", given=False) == Holding(own=False, known=False)
    await worker.close()


@pytest.mark.parametrize("how", ["killed", "hung"])
async def test_a_redis_that_goes_is_a_failure_until_it_is_back(
    redis_server: RedisServer, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read within a second is good without it; nothing is taken for unknown because nobody answers."""
    Worker.now = 0.0
    worker = Worker(CatalogStore(redis_server.url))
    await worker.note(FILES, read="1")
    await worker.state("ann", given=True)
    if how == "killed":
        redis_server.kill()
    else:
        redis_server.hang()
    monkeypatch.setattr(Worker, "seconds", 0.2)
    assert await worker.known(FILES) == {"files": {"read": "1"}}
    Worker.now += 2 * FRESH
    for asking in (
        worker.known(FILES),
        worker.note(FILES, write="1"),
        worker.state("ann", given=False),
        worker.state("bob", given=True),
    ):
        with pytest.raises(GuardFailure) as failed:
            await asking
        assert failed.value.kind is ErrorKind.STATE_UNAVAILABLE
    if how == "killed":
        redis_server.start()
    else:
        redis_server.go_on()
    monkeypatch.undo()
    Worker.now += 60
    kept = {"read": "1"} if how == "hung" else {}
    assert await worker.known(FILES) == {"files": kept}
    assert await worker.state("ann", given=False) == Holding(own=how == "hung", known=how == "hung")
    await worker.note(FILES, write="1")
    assert await worker.known(FILES) == {"files": {**kept, "write": "1"}}
    await worker.close()


async def test_a_store_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    worker = Worker(CatalogStore(f"sqlite:{tmp_path / 'none' / 'n.db'}"))
    with pytest.raises(GuardFailure, match="no folder"):
        await worker.known(FILES)
    with pytest.raises(GuardFailure, match="no folder"):
        await worker.state("ann", given=True)
    await worker.close()


async def test_names_have_a_version_of_their_own_until_they_change() -> None:
    worker = Worker(CatalogStore())

    async def version(*places: Place, use: FactUse = FactUse.APPLY) -> bytes:
        need = ListedNeed(store=worker.store, places=places, kind=PinKind.TOOL)
        fact: ListedFact = await worker.ask(worker.names, need, use)
        return fact.version

    await worker.note(FILES, read="1")
    first = await version(FILES)
    assert await version(FILES) == first
    versions = {first, await version(FILES, use=FactUse.SHADOW), await version(Place("other", "files"))}
    versions |= {await version(MAIL), await version(FILES, MAIL)}
    await worker.note(MAIL, send="1")
    assert await version(FILES) == first
    await worker.note(FILES, read="2")
    versions.add(await version(FILES))
    assert len(versions) == 6


async def test_names_are_at_hand_once_they_were_read(tmp_path: Path) -> None:
    worker = Worker(CatalogStore(f"sqlite:{tmp_path}/names.db"))
    request = FactRequest(
        operation=OPERATION, guard="g", need=ListedNeed(store=worker.store, places=(FILES,), kind=PinKind.TOOL)
    )
    assert worker.names.at_hand(request) is None
    await worker.note(FILES, read="1")
    await worker.known(FILES)
    fact = worker.names.at_hand(request)
    assert fact is not None
    assert fact.names["files"].keys() == {"read"}
    Worker.now += FRESH
    assert worker.names.at_hand(request) is None
    await worker.names.close()


async def test_what_is_kept_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardsvc.state.listed.KEPT_BYTES", 20_000)
    worker = Worker(CatalogStore())

    async def note(place: Place, names: dict[str, str]) -> None:
        await worker.ask(worker.names, NoteNeed(store=worker.store, kind=PinKind.TOOL, names={place: names}, most=1000))

    for tenant in range(50):
        await note(Place(f"t{tenant}", "files"), {f"tool_{number}": "1" for number in range(10)})
    assert 10_000 < worker.names.kept_bytes <= 20_000
    assert len((await worker.known(Place("t0", "files")))["files"]) == 10
    await note(Place("t0", "files"), {f"more_{number}": "1" for number in range(100)})
    assert worker.names.kept_bytes <= 20_000
    assert len((await worker.known(Place("t0", "files")))["files"]) == 110
