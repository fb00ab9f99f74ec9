"""In memory: a source that keeps nothing outside the process, whatever the policy says, for tests and measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from guardsvc.model import FactRequest, FactSource

__all__ = ["InMemory"]


class InMemory:
    """A source that keeps in memory what the policy would keep in a file or in Redis.

    Args:
        source: which keeps it.
    """

    def __init__(self, source: FactSource) -> None:
        self._source = source

    async def fetch(self, request: FactRequest) -> Any:
        """The fact, of a store in memory.

        Raises:
            GuardFailure: as the source does.
        """
        need = request.need
        if getattr(getattr(need, "store", None), "url", None) is not None:
            need = msgspec.structs.replace(need, store=msgspec.structs.replace(need.store, url=None))
        return await self._source.fetch(msgspec.structs.replace(request, need=need))
