"""Read: from files of the audit or of captured traffic to evidence."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from guardsvc.gateways.exchange import Asker, Exchange, judge
from guardsvc.mcp.mirror import conforming_post
from guardsvc.model import (
    Caller,
    Direction,
    GatewayProtocol,
    Headers,
    Kind,
    Operation,
    Phase,
)
from guardsvc.state import Sources
from guardsvc.suggestion.evidence import Evidence, Seen
from guardsvc.traffic import Captured, TrafficError, form_of, read_capture

if TYPE_CHECKING:
    from guardsvc.policy import Policy

__all__ = ["EvidenceError", "read_evidence"]

PATIENCE = 60.0
"""Seconds for a decision; a slow machine must not count as a refusal."""
_AUDIT_TYPES = frozenset({"decision", "gap", "torn", "chain_start"})
_LOOK = 8
_PASSED = ("allow", "modify")
_COMPLIANCE = "protocol_compliance"


class EvidenceError(Exception):
    """A file is neither audit nor traffic that can be read."""


def read_evidence(data: bytes, name: str, evidence: Evidence, policy: Policy) -> None:
    """Add what a file shows.

    Args:
        data: the file.
        name: its name.
        evidence: what it is added to.
        policy: judges captured traffic, as nobody has decided about it; what it refuses is left out.

    Raises:
        EvidenceError: it is neither audit nor traffic.
    """
    if _is_audit(data):
        _read_audit(data, evidence)
        evidence.sources.append(f"{name} (audit)")
        return
    form = form_of(data)
    try:
        capture = read_capture(data, form)
    except TrafficError as error:
        raise EvidenceError(f"{name}: {error}") from error
    evidence.others += capture.passed_over
    evidence.checked = evidence.checked and any(bound.type.name == _COMPLIANCE for bound in policy.guards)
    with asyncio.Runner() as runner:
        runner.run(_read_traffic(capture.items, evidence, policy.patient(PATIENCE)))
    evidence.sources.append(f"{name} ({form})")


def _is_audit(data: bytes) -> bool:
    lines = [line for line in data[: 1 << 20].split(b"\n") if line.strip()][:_LOOK]
    return any((record := _record(line)) is not None and record.get("type") in _AUDIT_TYPES for line in lines)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read_audit(data: bytes, evidence: Evidence) -> None:
    """Lines that are no record, such as torn ones, count as unread."""
    records: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(filter(bytes.strip, data.split(b"\n"))):
        record = _record(line)
        if record is None:
            evidence.unread += 1
        elif record.get("type") == "decision":
            # A decision that became a denial later has two records, of which the later counts.
            records[str(record.get("decision_id", number))] = record
    for record in records.values():
        if record.get("direction") != Direction.REQUEST:
            evidence.others += 1
            continue
        operation = _operation(record)
        if operation is None:
            evidence.unread += 1
        elif record.get("verdict") not in _PASSED or record.get("applied") not in _PASSED or "refused_with" in record:
            evidence.refused += 1
            evidence.deny(operation)
        else:
            evidence.seen.append(Seen(operation, _at(record), audited=True))
            evidence.checked = evidence.checked and _was_checked(record)


def _operation(record: dict[str, Any]) -> Operation | None:
    """The operation of a record. Its payload is not known, but for what says what its subject is."""
    try:
        server = record.get("server")
        reference = {"ref": {"type": f"ref/{record['subject_kind']}"}} if "subject_kind" in record else None
        read = {
            "protocol": GatewayProtocol.CLI,
            "direction": record["direction"],
            "phase": record["phase"],
            "kind": record["kind"],
            "method": record.get("method") or "",
            "server": server,
            "servers": record.get("servers") or ([] if server is None else [server]),
            "subject": record.get("subject"),
            "payload": reference,
            "caller": {name: record[name] for name in ("tenant", "principal", "verified", "address") if name in record},
        }
        return msgspec.convert({**read, "headers": Headers()}, Operation)
    except (KeyError, TypeError, ValueError):
        return None


def _at(record: dict[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(record["time"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None


def _was_checked(record: dict[str, Any]) -> bool:
    guards = record.get("guards")
    return isinstance(guards, list) and any(
        isinstance(guard, dict) and guard.get("type") == _COMPLIANCE and guard.get("verdict") == "allow"
        for guard in guards
    )


async def _read_traffic(items: tuple[Captured, ...], evidence: Evidence, policy: Policy) -> None:
    async with Sources() as sources:
        for item in items:
            request = item.request or conforming_post(item.body, "localhost")
            caller = Caller(tenant=item.tenant, principal=item.principal, verified=item.verified is True)
            asker = Asker(protocol=GatewayProtocol.CLI, caller=caller, server_id=item.server, can_modify=True)
            exchange = await judge(policy, request, asker, deadline=perf_counter() + PATIENCE, sources=sources.facts)
            _take(exchange, item, evidence, policy)


def _take(exchange: Exchange, item: Captured, evidence: Evidence, policy: Policy) -> None:
    if item.refused or any(decision.verdict not in _PASSED for decision in exchange.decisions):
        evidence.refused += 1
        for decision in exchange.decisions:
            evidence.deny(decision.operation)
        return
    for decision in exchange.decisions:
        operation = decision.operation
        if not policy.servers.names and (server := _server(item, evidence)) is not None:
            operation = msgspec.structs.replace(operation, server=server, servers=(server,))
        # Of the payload only what the subject is must be kept.
        payload = operation.payload if operation.method == "completion/complete" else None
        slim = msgspec.structs.replace(operation, payload=payload, headers=Headers())
        if slim.phase is Phase.INPUT_RESPONSE and slim.kind is Kind.RESULT and slim.method:
            continue  # the answers that a retry carries; its call is counted
        evidence.seen.append(Seen(slim, item.at))


def _server(item: Captured, evidence: Evidence) -> str | None:
    """What stands for the server where no policy names any: what the line says, else the host of the request."""
    if item.server is not None or item.request is None:
        return item.server
    host = urlsplit(f"//{item.request.host}").hostname
    if host:
        evidence.hosts.setdefault(host, set()).add(host)
    return host
