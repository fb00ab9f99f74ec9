"""Table: what one revision asks of each method, worked out once so that judging is a lookup."""

from __future__ import annotations

import msgspec

from guardsvc.guards.native.protocol_compliance.params import STATELESS, Member, input_members, members_of
from guardsvc.mcp.headers import METHOD_HEADER, NAME_HEADER, VERSION_HEADER
from guardsvc.mcp.revisions import REVISIONS, is_at_least, methods
from guardsvc.model import Kind

__all__ = ["CLIENT_METHODS", "HANDSHAKE_REVISIONS", "SERVER_METHODS", "Row", "Table"]

_ALL = tuple(known for revision in REVISIONS if (known := methods(revision)))

CLIENT_METHODS: frozenset[str] = frozenset().union(*(known.requests | known.notifications for known in _ALL))
"""What clients send under any revision."""

SERVER_METHODS: frozenset[str] = frozenset().union(
    *(known.server_requests | known.server_notifications for known in _ALL)
)
"""What servers send under any revision."""

HANDSHAKE_REVISIONS = frozenset(r for r in REVISIONS if (k := methods(r)) and "initialize" in k.requests)
"""Revisions that an ``initialize`` request can settle on."""

_NAMED = frozenset({"tools/call", "prompts/get", "resources/read", "tasks/get", "tasks/update", "tasks/cancel"})


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What a revision asks of one method.

    Attributes:
        kind: how it must be sent.
        members: of its params as the client sent them.
        members_without_meta: of its params where a gateway leaves ``_meta`` out.
        members_of_input: of the second operation that a retry with input gives.
        headers: lower-case names of the header fields that must be present.
        accept: whether the Accept header must list both kinds of answer.
        stateless: whether the revision has no sessions.
    """

    kind: Kind
    members: tuple[Member, ...]
    members_without_meta: tuple[Member, ...]
    members_of_input: tuple[Member, ...]
    headers: tuple[str, ...]
    accept: bool
    stateless: bool


class Table:
    """The methods of one revision that a client may send.

    Args:
        revision: a known revision.
        require_accept: whether Accept is checked where the revision asks for it.
    """

    def __init__(self, revision: str, *, require_accept: bool) -> None:
        self.revision = revision
        self.stateless = is_at_least(revision, STATELESS)
        self._accept = require_accept and is_at_least(revision, "2025-03-26")
        known = methods(revision)
        assert known is not None  # noqa: S101  the settings allow known revisions only
        self.rows: dict[str, Row] = {
            **{method: self._row(method, Kind.REQUEST, known=True) for method in known.requests},
            **{method: self._row(method, Kind.NOTIFICATION, known=True) for method in known.notifications},
        }
        self._extra = {kind: self._row("", kind, known=False) for kind in (Kind.REQUEST, Kind.NOTIFICATION)}

    def extra_row(self, kind: Kind) -> Row | None:
        """What is asked of a method beyond the protocol, sent as ``kind``."""
        return self._extra.get(kind)

    def _row(self, method: str, kind: Kind, *, known: bool) -> Row:
        request = kind is Kind.REQUEST
        headers: tuple[str, ...] = ()
        if self.stateless:
            headers = (VERSION_HEADER, METHOD_HEADER) if request else (VERSION_HEADER,)
            if method in _NAMED:
                headers += (NAME_HEADER,)
        return Row(
            kind=kind,
            members=members_of(method, self.revision, known=known, request=request, whole=True),
            members_without_meta=members_of(method, self.revision, known=known, request=request, whole=False),
            members_of_input=input_members(method, self.revision),
            headers=headers,
            accept=self._accept and request,
            stateless=self.stateless,
        )
