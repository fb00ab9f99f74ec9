"""Writes a CheckResponse. Only ``status.code`` decides, and 0 is an allow, so every answer is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc.gateways.denial import deny
from guardsvc.gateways.seal import bounded_subject

if TYPE_CHECKING:
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.gateways.seal import Seal

__all__ = ["DECISION_ID_HEADER", "encode"]

DECISION_ID_HEADER = "x-guardsvc-decision-id"
OK = 0
PERMISSION_DENIED = 7


def encode(
    exchange: Exchange, *, denial_status: int, accept: str | None, seal: Seal, challenge: str = "Bearer"
) -> CheckResponse:
    """The answer to one Check.

    An allow sets the decision id on the request to the server, over any copy of the client's, and on
    the response to the client. No framing or routing header is ever sent.

    Args:
        exchange: what was decided.
        denial_status: the policy's ``denials.status``.
        accept: the request's Accept header.
        seal: makes the correlation token.
        challenge: the policy's ``identity.challenge``.

    Raises:
        ValueError: a decision changes the payload, which this protocol cannot carry.
    """
    if any(decision.applied == "modify" for decision in exchange.decisions):
        raise ValueError("ext_authz cannot carry a changed payload")
    response = CheckResponse()
    response.status.code = PERMISSION_DENIED
    leading = exchange.leading
    if exchange.refusal is None:
        response.status.code = OK
        ok = response.ok_response
        _overwrite(ok.headers.add(), DECISION_ID_HEADER, leading.id)
        _overwrite(ok.response_headers_to_add.add(), DECISION_ID_HEADER, leading.id)
    else:
        denial = deny(exchange, status=denial_status, accept=accept, challenge=challenge)
        denied = response.denied_response
        denied.status.code = denial.status  # type: ignore[assignment]  # open enum: any HTTP status
        for name, value in (*denial.headers, (DECISION_ID_HEADER, leading.id)):
            _overwrite(denied.headers.add(), name, value)
        denied.body = denial.body
    _describe(response, exchange, seal)
    return response


def _overwrite(option: HeaderValueOption, name: str, value: str) -> None:
    """ext_authz reads ``value``, never ``raw_value``; request headers ignore ``append_action`` and overwrite anyway."""
    option.header.key = name
    option.header.value = value
    option.append_action = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


def _describe(response: CheckResponse, exchange: Exchange, seal: Seal) -> None:
    """Dynamic metadata: what access logs, later filters and the response phase learn of the decision."""
    leading = exchange.leading
    operation = leading.operation
    fields = response.dynamic_metadata.fields
    described = {
        "decision_id": leading.id,
        "verdict": leading.applied,
        "reason": leading.code,
        "method": operation.method,
        "server": operation.server,
        "tool": bounded_subject(operation.subject),
        "tenant": operation.caller.tenant,
        "principal": operation.caller.principal,
    }
    if exchange.refusal is None and not exchange.batch:
        described["token"] = seal.token(leading)
    for name, text in described.items():
        if text:
            fields[name].string_value = text
