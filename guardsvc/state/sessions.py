"""Sessions: the fact ``session_owner``, whether a session id is used by the principal that used it first."""

from __future__ import annotations

import time
from collections import OrderedDict
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from guardsvc.model import FactRequest, FactUse
from guardsvc.state.shared import SharedStores

if TYPE_CHECKING:
    from collections.abc import Callable

    Evicted = Callable[[str, str], None]

__all__ = ["SESSION_OWNER", "Ownership", "SessionFact", "SessionNeed", "SessionOwners", "SessionStore"]

SESSION_OWNER = "session_owner"
"""Name of the fact."""

SWEEP = 8
"""How many sessions that ended are dropped at most whenever one is bound."""
PREFIX = "guardsvc/session"


class SessionStore(msgspec.Struct, frozen=True, kw_only=True):
    """Where a guard keeps who owns which session.

    Attributes:
        url: of Redis, or None for the memory of the process.
        ttl: seconds after its last use at which a session is forgotten.
        max_sessions: most sessions in memory; beyond, of the owner who has most of them the one used longest ago is
            forgotten.
        max_per_owner: most sessions of one owner in memory; beyond, its own oldest are forgotten.
    """

    url: str | None = None
    ttl: int = 3600
    max_sessions: int = 50_000
    max_per_owner: int = 1_000

    def __repr__(self) -> str:
        """Without the URL, which may hold a password."""
        return f"SessionStore({'memory' if self.url is None else 'redis'}, ttl={self.ttl})"


class SessionNeed(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard asks for.

    Attributes:
        store: where sessions are kept.
        session: digest of the session id.
        owner: digest of the verified principal that uses it now, None where nobody is verified.
    """

    store: SessionStore
    session: str
    owner: str | None


class Ownership(StrEnum):
    """Whose a session is.

    ``own``: the asker's, since just now or before. ``other``: somebody else's. ``unowned``: nobody's, and the
    asker is not verified. ``full``: nobody's, and there is no room to bind it, since every session is the only one of
    another owner.
    """

    OWN = "own"
    OTHER = "other"
    UNOWNED = "unowned"
    FULL = "full"


class SessionFact(msgspec.Struct, frozen=True):
    """What became of it."""

    ownership: Ownership


class SessionOwners:
    """The source of the fact. Made for one event loop.

    Sessions belong to the guard's id, not to the policy: a reload forgets none.

    Args:
        clock: seconds that never go back, for sessions in memory.
        evicted: told of each session in memory that is forgotten before its time: the guard's id, and the bound that
            left no room, ``max_sessions`` or ``max_per_principal``.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, evicted: Evicted = lambda _guard, _bound: None
    ) -> None:
        self._clock = clock
        self._evicted = evicted
        self._memory: dict[str, _Memory] = {}
        self._redis = SharedStores(_Redis)

    async def fetch(self, request: FactRequest) -> SessionFact:
        """Whose the session is; one that nobody owns is bound to the asker where the asker is verified.

        Applied verdicts bind in one place, recorded ones in another; a dry look binds nothing.

        Raises:
            GuardFailure: with ``state_unavailable`` where Redis does not answer.
        """
        need: SessionNeed = request.need
        space = f"{'shadow' if request.use is FactUse.SHADOW else 'applied'}/{quote(request.guard, safe='')}"
        bind = request.use is not FactUse.DRY
        if need.store.url is not None:
            redis = await self._redis.get(need.store.url)
            return SessionFact(await redis.look(need, space, bind=bind, seconds=request.seconds))
        memory = self._memory.get(space)
        if memory is None:
            self._memory = {other: each for other, each in self._memory.items() if not each.void}
            memory = self._memory[space] = _Memory(self._clock, partial(self._evicted, request.guard))
        return SessionFact(memory.look(need, bind=bind))

    async def close(self) -> None:
        """End all connections; sessions in memory are forgotten."""
        self._memory.clear()
        await self._redis.close()


class _Bound:
    __slots__ = ("ends", "owner")

    def __init__(self, owner: str, ends: float) -> None:
        self.owner = owner
        self.ends = ends


class _Memory:
    """The sessions of one guard, those used longest ago first, as are the sessions of each owner."""

    def __init__(self, clock: Callable[[], float], evicted: Callable[[str], None]) -> None:
        self._clock = clock
        self._evicted = evicted
        self._sessions: OrderedDict[str, _Bound] = OrderedDict()
        self._owned: dict[str, OrderedDict[str, None]] = {}
        self._by_share: dict[int, dict[str, None]] = {}
        self._most = 0

    @property
    def void(self) -> bool:
        """Whether every session has ended."""
        now = self._clock()
        return all(bound.ends <= now for bound in self._sessions.values())

    def look(self, need: SessionNeed, *, bind: bool) -> Ownership:
        now = self._clock()
        bound = self._sessions.get(need.session)
        if bound is not None and bound.ends <= now:
            self._forget(need.session)
            bound = None
        if bound is not None:
            if bound.owner != need.owner:
                return Ownership.OTHER
            if bind:
                bound.ends = now + need.store.ttl
                self._sessions.move_to_end(need.session)
                self._owned[bound.owner].move_to_end(need.session)
            return Ownership.OWN
        if need.owner is None:
            return Ownership.UNOWNED
        return self._bind(need, need.owner, now) if bind else Ownership.OWN

    def _bind(self, need: SessionNeed, owner: str, now: float) -> Ownership:
        for _ in range(SWEEP):
            oldest = next(iter(self._sessions), None)
            if oldest is None or self._sessions[oldest].ends > now:
                break
            self._forget(oldest)
        owned = self._owned.get(owner)
        if owned is not None and len(owned) >= need.store.max_per_owner:
            self._evict(next(iter(owned)), now, "max_per_principal")
        if len(self._sessions) >= need.store.max_sessions and not self._make_room(owner, now):
            return Ownership.FULL
        self._sessions[need.session] = _Bound(owner, now + need.store.ttl)
        owned = self._owned.setdefault(owner, OrderedDict())
        owned[need.session] = None
        self._shares(owner, len(owned) - 1, len(owned))
        return Ownership.OWN

    def _make_room(self, owner: str, now: float) -> bool:
        """Forget a session of whoever has most, so that who opens many of them crowds out nobody else."""
        held = len(self._owned.get(owner, ()))
        if self._most <= 1 and not held:
            return False
        crowder = owner if held == self._most else next(iter(self._by_share[self._most]))
        self._evict(next(iter(self._owned[crowder])), now, "max_sessions")
        return True

    def _evict(self, session: str, now: float, bound: str) -> None:
        ended = self._sessions[session].ends <= now
        self._forget(session)
        if not ended:
            self._evicted(bound)

    def _forget(self, session: str) -> None:
        owner = self._sessions.pop(session).owner
        owned = self._owned[owner]
        del owned[session]
        self._shares(owner, len(owned) + 1, len(owned))
        if not owned:
            del self._owned[owner]

    def _shares(self, owner: str, before: int, now: int) -> None:
        """Note how many sessions an owner has, one more or one less than before."""
        if before:
            del self._by_share[before][owner]
            if not self._by_share[before]:
                del self._by_share[before]
        if now:
            self._by_share.setdefault(now, {})[owner] = None
        if now > self._most or self._most not in self._by_share:
            self._most = now


class _Redis:
    """The sessions behind one URL, of all guards."""

    def __init__(self, url: str) -> None:
        from guardsvc.state.redis import RedisCounters  # noqa: PLC0415  see guardsvc.state.url

        self._counters = RedisCounters(url)

    async def look(self, need: SessionNeed, space: str, *, bind: bool, seconds: float) -> Ownership:
        return await self._counters.ask(lambda: self._look(need, f"{PREFIX}/{space}/{need.session}", bind), seconds)

    async def close(self) -> None:
        await self._counters.close()

    async def _look(self, need: SessionNeed, key: str, bind: bool) -> Ownership:
        client = self._counters.client
        owner = await client.get(key)
        if owner is None and need.owner is not None and bind:
            if await client.set(key, need.owner, nx=True, ex=need.store.ttl):
                return Ownership.OWN
            owner = await client.get(key)  # another replica was faster
        if owner is None:
            return Ownership.UNOWNED if need.owner is None else Ownership.OWN
        if need.owner is None or owner not in (need.owner, need.owner.encode()):
            return Ownership.OTHER
        if bind:
            await client.expire(key, need.store.ttl)
        return Ownership.OWN
