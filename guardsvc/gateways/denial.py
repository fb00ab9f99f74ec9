"""Denial: how a refused request is told to the client, by the table of reasons.

JSON-RPC errors with the request's id, so that clients raise an MCP error and keep their connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.mcp.accept import EVENT_STREAM, accepts_events_only
from guardsvc.mcp.revisions import is_at_least
from guardsvc.model import Decision, Kind, Operation, reason_for

if TYPE_CHECKING:
    from guardsvc.gateways.exchange import Exchange

__all__ = ["Denial", "deny", "error_of"]

JSON = "application/json"
MAX_THREATS = 16
STATELESS = "2026-07-28"


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP response that a gateway sends in place of the server's.

    Attributes:
        status: HTTP status.
        headers: response header fields.
        body: response body.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


def deny(exchange: Exchange, *, status: int, accept: str | None, challenge: str = "Bearer") -> Denial:
    """The response to a request that is refused.

    Args:
        exchange: with a refusal.
        status: the policy's ``denials.status``.
        accept: the request's Accept header.
        challenge: the policy's ``identity.challenge``; a 401 has one (RFC 9110 section 15.5.2).
    """
    leading = exchange.leading
    errors = [error for decision in exchange.decisions if (error := _error(exchange, decision)) is not None]
    answers = _without_duplicates(errors) or [error_of(leading)]
    answered = bool(errors) and exchange.id_readable
    http_status = _status(leading, status) if answered else _status_without_id(leading)
    body = msgspec.json.encode(answers if exchange.batch and answered else answers[0]).decode()
    headers = [("content-type", JSON)]
    if http_status == 200 and accepts_events_only(() if accept is None else (accept,)):  # noqa: PLR2004
        headers = [("content-type", EVENT_STREAM)]
        body = f"event: message\ndata: {body}\n\n"
    if http_status == 401:  # noqa: PLR2004
        headers.append(("www-authenticate", challenge))
    if http_status == 405:  # noqa: PLR2004
        headers.append(("allow", "POST"))
    if type(wait := leading.details.get("retry_after_ms")) is int:
        headers.append(("retry-after", str(-(-wait // 1000))))
    return Denial(status=http_status, headers=tuple(headers), body=body)


def _status(decision: Decision, status: int) -> int:
    reason = reason_for(decision.code or "")
    stateless = reason.stateless_status if is_at_least(decision.operation.revision, STATELESS) else None
    return reason.status or stateless or status


def _status_without_id(decision: Decision) -> int:
    reason = reason_for(decision.code or "")
    return reason.status or reason.status_without_id


def _error(exchange: Exchange, decision: Decision) -> dict[str, Any] | None:
    """The JSON-RPC error answering one message, None where the message awaits no answer."""
    operation = decision.operation
    if not exchange.id_readable:
        return {**error_of(decision), "id": None}
    if not _awaits_answer(operation):
        return None
    if decision.applied in ("deny", "pending"):
        return {**error_of(decision), "id": operation.id}
    bystander = reason_for("batch_refused")
    return {
        "jsonrpc": "2.0",
        "id": operation.id,
        "error": {
            "code": bystander.jsonrpc,
            "message": bystander.text,
            "data": {"decision_id": decision.id, "reason": bystander.code},
        },
    }


def _awaits_answer(operation: Operation) -> bool:
    """Whether the client waits for an answer under the id: to a request, or to a retry by its input responses."""
    is_retry = operation.kind is Kind.RESULT and operation.method != ""
    return operation.id is not None and (operation.kind is Kind.REQUEST or is_retry)


def error_of(decision: Decision) -> dict[str, Any]:
    """The JSON-RPC error that tells of a refusal, without an id."""
    reason = reason_for(decision.code or "")
    data: dict[str, Any] = {**decision.details, "decision_id": decision.id, "reason": reason.code}
    threats = sorted(
        {threat for finding in decision.findings if not finding.suppressed_by for threat in finding.threats}
    )
    if threats:
        data["threats"] = threats[:MAX_THREATS]
    return {
        "jsonrpc": "2.0",
        "error": {"code": reason.jsonrpc, "message": decision.message or reason.text, "data": data},
    }


def _without_duplicates(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One answer per id: a retry with input responses is judged in two parts under the same id."""
    answers: dict[Any, dict[str, Any]] = {}
    for error in errors:
        key = (type(error["id"]), error["id"])
        if key not in answers or answers[key]["error"]["data"]["reason"] == "batch_refused":
            answers[key] = error
    return list(answers.values())
