"""The guard: revision, method, kind, headers and params of a client's message, in this order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.guards.native.protocol_compliance import refusals
from guardsvc.guards.native.protocol_compliance.params import ANSWER_ERROR, find_fault
from guardsvc.guards.native.protocol_compliance.refusals import Rule, refuse
from guardsvc.guards.native.protocol_compliance.settings import ProtocolComplianceSettings
from guardsvc.guards.native.protocol_compliance.table import (
    CLIENT_METHODS,
    HANDSHAKE_REVISIONS,
    SERVER_METHODS,
    Row,
    Table,
)
from guardsvc.mcp.accept import accepts_both
from guardsvc.mcp.headers import METHOD_HEADER, NAME_HEADER, VERSION_HEADER
from guardsvc.mcp.message import body_revision
from guardsvc.mcp.param_headers import ParamHeader, check_param_headers, param_headers
from guardsvc.mcp.revisions import ASSUMED_REVISION, REVISIONS
from guardsvc.mcp.transport import TransportKind
from guardsvc.model import (
    ALLOW,
    Deny,
    Direction,
    Facts,
    Globs,
    GuardContext,
    GuardType,
    Kind,
    Operation,
    SettingsError,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROTOCOL_COMPLIANCE", "ProtocolCompliance"]

MAX_REQUESTED_LENGTH = 64
FIRST_REVISION = "2024-11-05"

_SPELLINGS = {
    VERSION_HEADER: "MCP-Protocol-Version",
    METHOD_HEADER: "Mcp-Method",
    NAME_HEADER: "Mcp-Name",
}


class ProtocolCompliance:
    """The guard; see ``ProtocolComplianceSettings``."""

    def __init__(self, settings: ProtocolComplianceSettings, context: GuardContext) -> None:
        self._tables: dict[str, Table] = {
            revision: Table(revision, require_accept=settings.require_accept) for revision in settings.revisions
        }
        self._supported = [revision for revision in reversed(REVISIONS) if revision in self._tables]
        self._negotiable = any(revision in HANDSHAKE_REVISIONS for revision in self._tables)
        self._extra = _extra_methods(settings.extra_methods)
        self._param_headers = _param_headers(context) if settings.param_headers else {}

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Deny a client's message that its revision does not have in this form; allow everything else."""
        del facts
        if operation.direction is not Direction.REQUEST:
            return ALLOW
        if operation.kind is Kind.TRANSPORT:
            return self._judge_transport(operation) or ALLOW
        if operation.method == "initialize":
            return self._judge_initialize(operation) or ALLOW
        table = self._tables.get(operation.revision)
        if table is None:
            found = self._table_of_silent(operation)
            if isinstance(found, Deny):
                return found
            table = found
        if not operation.method:
            return _judge_answer(operation, table) or ALLOW
        row = table.rows.get(operation.method)
        if row is None:
            other = self._row_of_other(operation, table)
            if isinstance(other, Deny):
                return other
            row = other
        return self._judge_message(operation, row) or ALLOW

    def _judge_message(self, operation: Operation, row: Row) -> Deny | None:
        if operation.kind is not row.kind:
            if operation.kind is Kind.RESULT and row.kind is Kind.REQUEST:
                return _judge_params(operation.payload, row.members_of_input)
            return refuse(refusals.KIND_OF_METHOD, f"it must be a {row.kind}", details={"expected": row.kind.value})
        if operation.http_method != "POST":
            # The gateway reports params in its own words, or not at all.
            if operation.payload is None:
                return None
            return _judge_params(operation.payload, row.members_without_meta)
        headers = operation.headers
        for name in row.headers:
            if name not in headers:
                return _missing(name)
        if row.accept and not accepts_both(headers.all("accept")):
            return refuse(
                refusals.ACCEPT,
                "Accept must list application/json and text/event-stream",
                details={"header": "Accept"},
            )
        payload = {} if operation.payload is None else operation.payload
        if denial := _judge_params(payload, row.members):
            return denial
        if row.stateless and operation.method == "tools/call":
            return self._judge_param_headers(operation)
        return None

    def _judge_param_headers(self, operation: Operation) -> Deny | None:
        params = self._param_headers.get((operation.server, operation.subject))
        if not params:
            return None
        problem = check_param_headers(params, operation.payload.get("arguments"), operation.headers)
        return None if problem is None else refuse(refusals.PARAM_HEADER, problem)

    def _judge_initialize(self, operation: Operation) -> Deny | None:
        """A handshake settles the revision, so an offer that is not known is the server's to answer."""
        if _states_revision(operation) and operation.revision not in self._tables:
            return self._unsupported(operation.revision)
        payload = operation.payload
        offered = payload.get("protocolVersion") if type(payload) is dict else None
        if type(offered) is str and offered not in self._tables and (offered in REVISIONS or not self._negotiable):
            return self._unsupported(offered)
        table = self._table_of_offer(operation, offered)
        row = None if table is None else table.rows.get(operation.method)
        if row is None:
            return refuse(refusals.METHOD_OF_OTHER_REVISION)
        return self._judge_message(operation, row)

    def _table_of_offer(self, operation: Operation, offered: Any) -> Table | None:
        if _states_revision(operation):
            return self._tables[operation.revision]
        if type(offered) is str and offered in HANDSHAKE_REVISIONS:
            return self._tables[offered]
        return next((self._tables[r] for r in self._supported if r in HANDSHAKE_REVISIONS), None)

    def _judge_transport(self, operation: Operation) -> Deny | None:
        """Authorization metadata is asked for before a revision is settled; elsewhere a stated one counts."""
        stated = operation.headers.get(VERSION_HEADER)
        if stated is None or stated in self._tables or operation.method == TransportKind.WELL_KNOWN:
            return None
        return self._unsupported(stated)

    def _table_of_silent(self, operation: Operation) -> Table | Deny:
        """What a message of a revision that is not accepted is read under, if it states none at all.

        Revisions before 2025-06-18 have no way to state one over HTTP, and the first two the same methods.
        """
        if operation.revision != ASSUMED_REVISION or _states_revision(operation):
            return self._unsupported(operation.revision)
        first = self._tables.get(FIRST_REVISION)
        if first is not None:
            return first
        if operation.http_method == "POST":
            return _missing(VERSION_HEADER)
        return self._unsupported(operation.revision)

    def _row_of_other(self, operation: Operation, table: Table) -> Row | Deny:
        method = operation.method
        if method in CLIENT_METHODS:
            return refuse(refusals.METHOD_OF_OTHER_REVISION, details={"revision": table.revision})
        if method in SERVER_METHODS:
            return refuse(refusals.METHOD_OF_SERVER)
        row = table.extra_row(operation.kind) if self._extra.match(method) else None
        return row or refuse(refusals.METHOD_UNKNOWN)

    def _unsupported(self, requested: str) -> Deny:
        rule: Rule = refusals.REVISION_NOT_ACCEPTED if requested in REVISIONS else refusals.REVISION_UNKNOWN
        return refuse(
            rule,
            details={"supported": list(self._supported), "requested": requested[:MAX_REQUESTED_LENGTH]},
        )


def _judge_answer(operation: Operation, table: Table) -> Deny | None:
    if table.stateless:
        return refuse(refusals.CLIENT_ANSWER, "clients send no answers")
    if operation.kind is Kind.ERROR:
        return _judge_params(operation.payload, ANSWER_ERROR)
    if operation.kind is Kind.RESULT:
        return _judge_params(operation.payload, ())
    return refuse(refusals.METHOD_UNKNOWN)


def _judge_params(payload: Any, members: tuple[Any, ...]) -> Deny | None:
    fault = find_fault(payload, members)
    if fault is None:
        return None
    return refuse(
        fault.rule,
        f"{fault.pointer or 'they'} must be {fault.expected}",
        where=fault.pointer,
        details={"pointer": fault.pointer, "expected": fault.expected},
    )


def _missing(header: str) -> Deny:
    spelling = _SPELLINGS[header]
    return refuse(refusals.HEADER_MISSING, spelling, details={"header": spelling})


def _states_revision(operation: Operation) -> bool:
    return VERSION_HEADER in operation.headers or type(body_revision(operation.payload)) is str


def _extra_methods(patterns: tuple[str, ...]) -> Globs:
    for index, pattern in enumerate(patterns):
        if pattern in CLIENT_METHODS or pattern in SERVER_METHODS:
            raise SettingsError(
                ("extra_methods", index),
                f'"{pattern}" is a method of the protocol; its revisions decide who may send it',
            )
    return Globs(patterns)


def _param_headers(context: GuardContext) -> Mapping[tuple[str | None, str | None], tuple[ParamHeader, ...]]:
    found: dict[tuple[str | None, str | None], tuple[ParamHeader, ...]] = {}
    for (server, tool), schema in context.input_schemas.items():
        try:
            params = param_headers(schema)
        except ValueError as error:
            raise SettingsError((), f'input_schema of tool "{tool}" of server "{server}": {error}') from error
        if params:
            found[server, tool] = params
    return found


PROTOCOL_COMPLIANCE = GuardType(
    name="protocol_compliance",
    settings=ProtocolComplianceSettings,
    build=ProtocolCompliance,
    suppressible=False,
    rules=lambda _: frozenset(rule.id for rule in refusals.RULES),
    summary="Refuses what the protocol revision in use does not have: methods, kinds, headers and params.",
)
