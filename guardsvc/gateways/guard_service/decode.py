"""Reads an EvaluateRequest: what the caller says of the message, of who sent it and of what was noticed before."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

import msgspec

from guardsvc.gateways.exchange import Asker
from guardsvc.gateways.identity import peer_address
from guardsvc.gateways.statement import Statement, StatementError
from guardsvc.model import Caller, Direction, Finding, GatewayProtocol, Headers, Kind, Phase, Severity

if TYPE_CHECKING:
    from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract
    from guardsvc._proto.guardsvc.v1.guard_service_pb2 import EvaluateRequest, Operation

__all__ = ["MAX_FINDINGS", "MAX_SERVERS", "Question", "caller_of", "decode"]

MAX_FINDINGS = 100
"""Findings that one request may tell of."""
MAX_SERVERS = 1000
"""Servers that one operation may reach."""

E = TypeVar("E", bound=StrEnum)

_BY_NUMBER: dict[type[StrEnum], dict[int, StrEnum]] = {
    values: dict(enumerate(values, start=1)) for values in (Direction, GatewayProtocol, Kind, Phase, Severity)
}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What one EvaluateRequest asks.

    Attributes:
        statement: what the caller says of the message.
        asker: who asks, and for whom.
        findings: what guards before this one noticed.
    """

    statement: Statement
    asker: Asker
    findings: tuple[Finding, ...] = ()

    def of_nobody(self, peer: str) -> Question:
        """The same of a peer that is not believed: nothing but the message itself counts.

        Args:
            peer: as ``grpc.ServicerContext.peer()`` gives it.
        """
        caller = Caller(address=peer_address(peer))
        return Question(
            statement=msgspec.structs.replace(self.statement, servers=()),
            asker=msgspec.structs.replace(self.asker, caller=caller, learnable=False),
        )


def caller_of(*, tenant: str | None, principal: str | None, verified: bool, address: str | None) -> Caller:
    """The caller. Who has no principal has proven nothing, as with every other gateway protocol."""
    tenant, principal = tenant or None, principal or None
    return Caller(
        tenant=tenant,
        principal=principal,
        verified=verified and principal is not None,
        address=address or None,
        source=GatewayProtocol.GUARD_SERVICE.value if tenant or principal else None,
    )


def decode(request: EvaluateRequest, *, peer: str, believed: bool, learns: bool = False) -> Question:
    """Read one request.

    Args:
        request: the message.
        peer: as ``grpc.ServicerContext.peer()`` gives it.
        believed: whether the peer is believed. From any other nothing but the message itself counts:
            neither names nor servers nor findings, and the address is the peer's own.
        learns: whether catalogs may be learned from what a believed peer shows.

    Raises:
        StatementError: the request is not one that the contract allows.
    """
    operation = request.operation
    try:
        statement = _statement(operation)
        statement.check()
    except StatementError as error:
        raise StatementError(f"operation.{error.member}", error.problem) from None
    if len(request.findings) > MAX_FINDINGS:
        raise StatementError("findings", f"more than {MAX_FINDINGS}")
    findings = tuple(_finding(finding) for finding in request.findings)
    asked = Question(
        statement=statement,
        asker=Asker(
            protocol=GatewayProtocol.GUARD_SERVICE, caller=_caller(operation.caller), can_modify=True, learnable=learns
        ),
        findings=findings,
    )
    return asked if believed else asked.of_nobody(peer)


def _statement(operation: Operation) -> Statement:
    _enum(GatewayProtocol, operation.protocol, "protocol")
    return Statement(
        direction=_enum(Direction, operation.direction, "direction"),
        phase=_enum(Phase, operation.phase, "phase"),
        kind=_enum(Kind, operation.kind, "kind"),
        method=operation.method,
        id=_id(operation),
        servers=_servers(operation),
        subject=operation.subject if operation.HasField("subject") else None,
        payload=operation.payload,
        headers=Headers((field.name, field.value.decode("latin-1")) for field in operation.headers),
        revision=operation.revision,
        http_method=operation.http_method,
        path=operation.path,
        host=operation.host,
    )


def _enum(values: type[E], number: int, member: str) -> E:
    """The value of the model for a number of the wire, which has the same values in the same order after 0."""
    if number == 0:
        raise StatementError(member, "not given")
    value = _BY_NUMBER[values].get(number)
    if value is None:
        raise StatementError(member, f"{number} is no {values.__name__}")
    return value  # type: ignore[return-value]  # the table is keyed by type


def _id(operation: Operation) -> str | int | None:
    which = operation.WhichOneof("id")
    return None if which is None else getattr(operation, which)


def _servers(operation: Operation) -> tuple[str, ...]:
    if len(operation.servers) > MAX_SERVERS:
        raise StatementError("servers", f"more than {MAX_SERVERS}")
    servers = tuple(operation.servers)
    if not operation.HasField("server"):
        return servers
    if servers not in ((), (operation.server,)):
        raise StatementError("servers", "must be the one entry server, which is set")
    return (operation.server,)


def _caller(caller: contract.Caller) -> Caller:
    return caller_of(tenant=caller.tenant, principal=caller.principal, verified=caller.verified, address=caller.address)


def _finding(finding: contract.Finding) -> Finding:
    return Finding(
        rule=finding.rule,
        severity=_enum(Severity, finding.severity, "findings.severity"),
        where=finding.where,
        threats=tuple(finding.threats),
        excerpt=finding.excerpt,
        suppressed_by=finding.suppressed_by,
    )
