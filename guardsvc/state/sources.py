"""Sources: everything that facts come from in one process, for as long as it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from guardsvc.state.rate_limits import RATE_LIMITS, RateLimits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from guardsvc.model import FactSource

__all__ = ["Sources"]


class Sources:
    """The sources of one event loop. As an async context manager it closes them in the end.

    Attributes:
        facts: every source, by the name of its fact.
    """

    def __init__(self) -> None:
        self._rate_limits = RateLimits()
        self.facts: Mapping[str, FactSource] = {RATE_LIMITS: self._rate_limits}

    async def close(self) -> None:
        """End all connections; what is only in memory is gone."""
        await self._rate_limits.close()

    async def __aenter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()
