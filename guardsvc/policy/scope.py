"""Scope: whether a guard is asked about an operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardsvc.model import Globs, Operation, SubjectKind

if TYPE_CHECKING:
    from datetime import datetime

    from guardsvc.policy.settings import ActiveSettings, MatchSettings

__all__ = ["Scope", "Window"]


@dataclass(frozen=True)
class Scope:
    """Compiled ``match`` of a guard; a criterion that is None holds for every operation."""

    tenants: Globs | None = None
    principals: Globs | None = None
    servers: Globs | None = None
    tools: Globs | None = None
    methods: Globs | None = None

    @classmethod
    def compile(cls, settings: MatchSettings) -> Scope | None:
        """The scope, or None where it holds for every operation."""
        given = {name: Globs(patterns) for name, patterns in settings if patterns is not None}
        return cls(**given) if given else None

    def covers(self, operation: Operation) -> bool:
        """Whether all criteria hold. An operation that may reach several servers is covered by any of them."""
        return (
            (self.methods is None or self.methods.match(operation.method))
            and (self.tenants is None or self.tenants.match(operation.caller.tenant))
            and (self.principals is None or self.principals.match(operation.caller.principal))
            and (self.servers is None or any(map(self.servers.match, operation.servers)))
            and (
                self.tools is None
                or (operation.subject_kind is SubjectKind.TOOL and self.tools.match(operation.subject))
            )
        )


@dataclass(frozen=True)
class Window:
    """Compiled ``active`` of a guard, in seconds since the epoch."""

    start: float
    end: float

    @classmethod
    def compile(cls, settings: ActiveSettings) -> Window | None:
        """The window, or None where it is always open."""
        if settings.from_ is None and settings.until is None:
            return None
        return cls(_timestamp(settings.from_, float("-inf")), _timestamp(settings.until, float("inf")))

    def open_at(self, now: float) -> bool:
        """Whether the guard runs at ``now``, seconds since the epoch."""
        return self.start <= now < self.end


def _timestamp(instant: datetime | None, missing: float) -> float:
    return missing if instant is None else instant.timestamp()
