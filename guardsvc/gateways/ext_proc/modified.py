"""Modified: the canonical bytes of a message whose payload the guards have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.mcp.strict_json import encode
from guardsvc.model import Kind

if TYPE_CHECKING:
    from guardsvc.gateways.exchange import Exchange

__all__ = ["is_sendable", "modified_message"]


def modified_message(exchange: Exchange) -> bytes | None:
    """The message to go on with, exactly as it was judged; None where it goes on as it came.

    Args:
        exchange: without a refusal, of one message.
    """
    decision = exchange.modified
    if decision is None:
        return None
    operation = decision.operation
    message: dict[str, Any] = {"jsonrpc": "2.0"}
    if operation.id is not None or operation.kind is Kind.ERROR:
        message["id"] = operation.id
    if operation.kind in (Kind.REQUEST, Kind.NOTIFICATION):
        message |= {"method": operation.method, "params": decision.payload}
    else:
        message[operation.kind.value] = decision.payload
    return encode(message)


def is_sendable(exchange: Exchange) -> bool:
    """Whether what a request became can be sent: not one message of a batch, nor a part of a retry."""
    changed = [number for number, decision in enumerate(exchange.decisions) if decision.applied == "modify"]
    return not changed or (changed == [0] and not exchange.batch)
