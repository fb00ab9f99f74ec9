"""Answers: what CheckRequest and CheckResponse answer, made in one place.

An answer whose oneof is not set leaves the outcome to the gateway's failure mode, and bytes that are no payload of
the method go on unseen, so that both are ruled out here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from guardsvc._proto.agentgateway.dev.ext_mcp.ext_mcp_pb2 import AuthorizationError, McpRequestResult, McpResponseResult
from guardsvc.gateways.denial import error_of
from guardsvc.gateways.ext_mcp.correlation import CORRELATION, TOOL
from guardsvc.gateways.seal import bounded_subject
from guardsvc.mcp.method_types import find_params_fault, find_result_fault
from guardsvc.mcp.strict_json import encode
from guardsvc.model import Direction, reason_for

if TYPE_CHECKING:
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.gateways.seal import Seal
    from guardsvc.model import Decision

__all__ = ["DECISION_ID_HEADER", "answer_request", "answer_response", "checked", "code_name"]

DECISION_ID_HEADER = "x-guardsvc-decision-id"
BAD_ANSWER = "guard_bad_answer"

_CODES = {
    -32001: AuthorizationError.PERMISSION_DENIED,
    -32003: AuthorizationError.RESOURCE_EXHAUSTED,
    -32603: AuthorizationError.UNKNOWN,
}
"""The code of an error by the JSON-RPC code that the client is to see; for any other it sees -32600."""


def code_name(jsonrpc: int) -> str:
    """Name of the code that stands for a JSON-RPC code."""
    name: str = AuthorizationError.Code.Name(_CODES.get(jsonrpc, AuthorizationError.INVALID))
    return name


def checked(exchange: Exchange, method: str) -> Exchange:
    """The exchange itself, or a denial where what a guard made of the payload is none of the method.

    Args:
        exchange: what was decided.
        method: of the request.
    """
    decision = exchange.modified
    if exchange.refusal is not None or decision is None:
        return exchange
    find = find_params_fault if decision.operation.direction is Direction.REQUEST else find_result_fault
    if find(method, decision.payload) is None:
        return exchange
    refused = msgspec.structs.replace(
        decision, verdict="deny", code=BAD_ANSWER, message=reason_for(BAD_ANSWER).text, payload=None
    )
    told = tuple(refused if each is decision else each for each in exchange.decisions)
    return msgspec.structs.replace(exchange, decisions=told)


def answer_request(exchange: Exchange, seal: Seal) -> bytes:
    """The serialised answer to a CheckRequest.

    One that lets the request go on puts the decision id on it, over any copy of the client's, and hands the
    token on to the response.

    Args:
        exchange: what was decided, as ``checked`` gives it.
        seal: makes the token.
    """
    answer = McpRequestResult()
    if (refusal := exchange.refusal) is not None:
        answer.error.CopyFrom(_error(refusal))
        return answer.SerializeToString()
    modified, leading = exchange.modified, exchange.decisions[0]
    if modified is None:
        getattr(answer, "pass").SetInParent()
    else:
        answer.mutated = encode(modified.payload)
    answer.header_mutation.set.add(key=DECISION_ID_HEADER, value=leading.id.encode())
    for key, value in _metadata(leading, seal):
        if value:
            answer.metadata.fields[key].string_value = value
    return answer.SerializeToString()


def answer_response(exchange: Exchange) -> bytes:
    """The serialised answer to a CheckResponse, of an exchange as ``checked`` gives it."""
    answer = McpResponseResult()
    if (refusal := exchange.refusal) is not None:
        answer.error.CopyFrom(_error(refusal))
    elif (modified := exchange.modified) is not None:
        answer.mutated = encode(modified.payload)
    else:
        getattr(answer, "pass").SetInParent()
    return answer.SerializeToString()


def _metadata(leading: Decision, seal: Seal) -> tuple[tuple[str, str | None], ...]:
    """What expressions of the gateway, later processors and the response phase learn of the decision."""
    operation, caller = leading.operation, leading.operation.caller
    return (
        # A request that was let in unread has no method, and nothing may be matched to it.
        (CORRELATION, seal.token(leading) if operation.method else None),
        (TOOL, bounded_subject(operation.subject)),
        ("decision_id", leading.id),
        ("verdict", leading.applied),
        ("reason", leading.code),
        ("method", operation.method),
        ("server", operation.server),
        ("tenant", caller.tenant),
        ("principal", caller.principal),
    )


def _error(refusal: Decision) -> AuthorizationError:
    error = error_of(refusal)["error"]
    return AuthorizationError(
        code=_CODES.get(error["code"], AuthorizationError.INVALID),
        reason=error["message"],
        mcp_error=msgspec.json.encode(error["data"]),
    )
