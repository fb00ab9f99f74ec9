"""Writes a CheckResponse. Only ``status.code`` decides, and 0 is an allow, so every answer is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc.gateways.denial import deny
from guardsvc.gateways.ext_authz.metadata import dynamic_metadata
from guardsvc.gateways.seal import bounded_subject

if TYPE_CHECKING:
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.gateways.seal import Seal
    from guardsvc.model import Decision

__all__ = ["DECISION_ID_HEADER", "encode"]

DECISION_ID_HEADER = "x-guardsvc-decision-id"
OK = 0
PERMISSION_DENIED = 7


def encode(
    exchange: Exchange, *, denial_status: int, accept: str | None, seal: Seal, challenge: str = "Bearer"
) -> bytes:
    """The serialised answer to one Check.

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
    refusal = exchange.refusal
    if refusal is None:
        leading = exchange.decisions[0]
        answer = _allow(leading.id)
        token = None if exchange.batch else seal.token(leading)
    else:
        leading = refusal
        answer = _deny(exchange, leading.id, denial_status, accept, challenge)
        token = None
    return answer + _described(leading, token)


def _allow(decision_id: str) -> bytes:
    response = CheckResponse()
    response.status.code = OK
    _overwrite(response.ok_response.headers.add(), DECISION_ID_HEADER, decision_id)
    _overwrite(response.ok_response.response_headers_to_add.add(), DECISION_ID_HEADER, decision_id)
    return response.SerializeToString()


def _deny(exchange: Exchange, decision_id: str, status: int, accept: str | None, challenge: str) -> bytes:
    denial = deny(exchange, status=status, accept=accept, challenge=challenge)
    response = CheckResponse()
    response.status.code = PERMISSION_DENIED
    denied = response.denied_response
    denied.status.code = denial.status  # type: ignore[assignment]  # open enum: any HTTP status
    for name, value in (*denial.headers, (DECISION_ID_HEADER, decision_id)):
        _overwrite(denied.headers.add(), name, value)
    denied.body = denial.body
    return response.SerializeToString()


def _overwrite(option: HeaderValueOption, name: str, value: str) -> None:
    """ext_authz reads ``value``, never ``raw_value``; request headers ignore ``append_action`` and overwrite anyway."""
    option.header.key = name
    option.header.value = value
    option.append_action = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


def _described(leading: Decision, token: str | None) -> bytes:
    """Dynamic metadata: what access logs, later filters and the response phase learn of the decision."""
    operation = leading.operation
    caller = operation.caller
    return dynamic_metadata(
        (
            ("decision_id", leading.id),
            ("verdict", leading.applied),
            ("reason", leading.code),
            ("method", operation.method),
            ("server", operation.server),
            ("tool", bounded_subject(operation.subject)),
            ("tenant", caller.tenant),
            ("principal", caller.principal),
            ("token", token),
        )
    )
