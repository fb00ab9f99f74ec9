"""Exceptions: findings that an operator has looked at and found to be false, set aside one by one.

An exception suppresses a finding, never a guard: the guard still runs, and the finding stays in the record.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from guardsvc.model import Globs, Settings, SubjectKind
from guardsvc.policy.servers import AmbiguousServerError

if TYPE_CHECKING:
    from guardsvc.model import Finding, Operation
    from guardsvc.policy.servers import ServerTable

__all__ = ["ExceptionSettings", "Exceptions", "FindingException", "tool_of"]

Name = Annotated[str, Field(min_length=1, max_length=256)]


def _check_pointer(text: str) -> str:
    if not text.startswith(("/", "*")):
        raise ValueError(f'"{text[:80]}" is no JSON pointer, which begins with /, such as /tools/*/description')
    return text


Pointer = Annotated[Name, AfterValidator(_check_pointer)]


class ExceptionSettings(Settings):
    """One exception. Its criteria are globs (``*`` is any run of characters); all that are given must match."""

    id: Name | None = Field(default=None, description="Name in records and metrics; `exceptions[N]` by default.")
    rule: Name = Field(description="Rule whose findings are set aside.")
    guard: Name | None = Field(default=None, description="Guard, by its id.")
    server: Name | None = Field(default=None, description="Server of `policy.servers`.")
    tool: Name | None = Field(
        default=None,
        description="Tool, as its server names it: the one called, or the one of a tools list that the finding is in.",
    )
    where: Pointer | None = Field(
        default=None, description="JSON pointer of the finding in the payload, such as `/tools/*/description`."
    )
    tenant: Name | None = Field(default=None, description="Tenant, of callers whose identity is verified.")
    principal: Name | None = Field(default=None, description="Principal, of callers whose identity is verified.")
    until: AwareDatetime | None = Field(
        default=None, description="Instant with a UTC offset from which on the finding counts again."
    )
    reason: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Why the finding is false, for those who read this later."
    )


@dataclass(frozen=True)
class FindingException:
    """Compiled exception; a criterion that is None holds for every finding."""

    id: str
    rule: Globs
    guard: Globs | None
    server: Globs | None
    tool: Globs | None
    where: Globs | None
    tenant: Globs | None
    principal: Globs | None
    until: float

    @classmethod
    def compile(cls, settings: ExceptionSettings, index: int) -> FindingException:
        """The exception at a place in the list."""
        return cls(
            id=settings.id or f"exceptions[{index}]",
            rule=Globs((settings.rule,)),
            guard=_globs(settings.guard),
            server=_globs(settings.server),
            tool=_globs(settings.tool),
            where=_globs(settings.where),
            tenant=_globs(settings.tenant),
            principal=_globs(settings.principal),
            until=float("inf") if settings.until is None else settings.until.timestamp(),
        )

    def is_expired(self, now: float) -> bool:
        """Whether it has no effect any more at ``now``, seconds since the epoch."""
        return self.until <= now

    def is_for_guard(self, guard: str) -> bool:
        """Whether findings of the guard may fall under it."""
        return self.guard is None or self.guard.match(guard)

    def covers(self, finding: Finding, operation: Operation, servers: ServerTable) -> bool:
        """Whether the finding falls under it; ``guard`` and ``until`` are not looked at."""
        if not self.rule.match(finding.rule) or not (self.where is None or self.where.match(finding.where)):
            return False
        caller = operation.caller
        if not (
            (self.tenant is None or (caller.verified and self.tenant.match(caller.tenant)))
            and (self.principal is None or (caller.verified and self.principal.match(caller.principal)))
        ):
            return False
        if self.server is None and self.tool is None:
            return True
        server, tool = tool_of(finding, operation, servers)
        return (self.server is None or self.server.match(server)) and (self.tool is None or self.tool.match(tool))


class Exceptions:
    """The exceptions of a policy, or those that concern one guard.

    Args:
        entries: in configuration order; the first that covers a finding counts.
        servers: of the policy.
    """

    def __init__(self, entries: Iterable[FindingException], servers: ServerTable) -> None:
        self.entries = tuple(entries)
        self._servers = servers

    def of_guard(self, guard: str) -> Exceptions | None:
        """Those for a guard, or None where there are none."""
        entries = [entry for entry in self.entries if entry.is_for_guard(guard)]
        return Exceptions(entries, self._servers) if entries else None

    def suppressing(self, finding: Finding, operation: Operation, now: float) -> str:
        """Id of the exception that sets a finding aside at ``now``, seconds since the epoch; empty where none does."""
        for entry in self.entries:
            if not entry.is_expired(now) and entry.covers(finding, operation, self._servers):
                return entry.id
        return ""


def tool_of(finding: Finding, operation: Operation, servers: ServerTable) -> tuple[str | None, str | None]:
    """Server and tool that a finding is about, None each where it is not a single one.

    In a tools list it is the tool the finding points into, by the server's own name of it.
    """
    if operation.subject_kind is SubjectKind.TOOL:
        return operation.server, operation.subject
    name = operation.listed_tool(finding.where)
    if name is None:
        return operation.server, None
    try:
        if operation.servers:
            place = servers.place_among(operation.servers, kind=SubjectKind.TOOL, subject=name)
        else:
            place = servers.place(server_id=None, host="", kind=SubjectKind.TOOL, subject=name)
    except AmbiguousServerError:
        return None, None
    return place.server, place.subject


def _globs(pattern: str | None) -> Globs | None:
    return None if pattern is None else Globs((pattern,))
