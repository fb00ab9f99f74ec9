"""Evidence: what was asked for and allowed, and what was not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from guardsvc.model import Operation, SubjectKind

__all__ = ["CLIENT_RESULT", "Caller", "Evidence", "Seen"]

CLIENT_RESULT = "client/result"
"""Stands in rules for a client's answer to a server request, which carries no method."""


class Caller(NamedTuple):
    """Who asked."""

    tenant: str | None
    principal: str | None
    verified: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """One operation that was allowed.

    Attributes:
        operation: without headers and payload.
        at: seconds since the epoch, None where nobody says.
        audited: whether the audit says so, which shows of URIs neither user information nor query.
    """

    operation: Operation
    at: float | None
    audited: bool = False

    @property
    def caller(self) -> Caller:
        """Who asked."""
        caller = self.operation.caller
        return Caller(caller.tenant, caller.principal, caller.verified)

    @property
    def method(self) -> str:
        """The method, as rules name it."""
        return self.operation.method or CLIENT_RESULT

    @property
    def kind(self) -> SubjectKind | None:
        """What the subject names, None where there is none."""
        return None if self.operation.subject is None else self.operation.subject_kind


@dataclass
class Evidence:
    """What some files show.

    Attributes:
        seen: operations that were allowed.
        denied: names by kind that were refused.
        sources: the files, each with what it is.
        refused: how many requests were refused.
        unread: how many could not be read.
        others: how many are none of MCP, or answers.
        hosts: hosts by server, where servers are known by them.
        checked: whether all of it has passed protocol_compliance.
    """

    seen: list[Seen] = field(default_factory=list)
    denied: dict[SubjectKind, set[str]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    refused: int = 0
    unread: int = 0
    others: int = 0
    hosts: dict[str, set[str]] = field(default_factory=dict)
    checked: bool = True

    def deny(self, operation: Operation) -> None:
        """Take note of what was refused."""
        if operation.subject is not None and (kind := operation.subject_kind) is not None:
            self.denied.setdefault(kind, set()).add(operation.subject)

    @property
    def span(self) -> tuple[float, float] | None:
        """First and last time, None where nobody says any."""
        times = [seen.at for seen in self.seen if seen.at is not None]
        return (min(times), max(times)) if times else None
