"""Slim: a decision as it goes back to the worker, without the payload but with what is kept of it.

The worker needs of a payload what the audit and the answer say of it; to read a megabyte again for that
would hold up the others after all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.model import Headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.gateways.exchange import Exchange
    from guardsvc.model import Decision, Operation

__all__ = ["slim", "with_headers"]

NO_HEADERS = Headers()
LONGEST = 256


def slim(exchange: Exchange, digests: Callable[[Operation], dict[str, Any]]) -> Exchange:
    """The exchange without payloads and header fields.

    Args:
        exchange: what was decided.
        digests: what the audit keeps of an operation's payload.
    """
    return msgspec.structs.replace(
        exchange, decisions=tuple(_slim(decision, digests(decision.operation)) for decision in exchange.decisions)
    )


def with_headers(exchange: Exchange, headers: Headers) -> Exchange:
    """The exchange with the header fields of the request again."""
    return msgspec.structs.replace(
        exchange,
        decisions=tuple(
            msgspec.structs.replace(decision, operation=msgspec.structs.replace(decision.operation, headers=headers))
            for decision in exchange.decisions
        ),
    )


def _slim(decision: Decision, digests: dict[str, Any]) -> Decision:
    operation = decision.operation
    lists = any(finding.where.startswith("/tools/") for finding in decision.findings)
    small = msgspec.structs.replace(operation, headers=NO_HEADERS, payload=_small(operation.payload, tools=lists))
    return msgspec.structs.replace(decision, operation=small, digests=digests)


def _small(payload: Any, *, tools: bool) -> Any:
    """The few members that something is said of beside digests."""
    if type(payload) is not dict:
        return None
    small: dict[str, Any] = {}
    if type(state := payload.get("requestState")) is str:
        small["requestState"] = state
    if type(trace := _member(payload, "_meta", "traceparent")) is str:
        small["_meta"] = {"traceparent": trace[:LONGEST]}
    if type(kind := _member(payload, "ref", "type")) is str:
        small["ref"] = {"type": kind[:LONGEST]}
    if tools and type(listed := payload.get("tools")) is list:
        small["tools"] = [{"name": tool.get("name")} if type(tool) is dict else None for tool in listed]
    return small


def _member(payload: dict[str, Any], outer: str, inner: str) -> Any:
    holder = payload.get(outer)
    return holder.get(inner) if type(holder) is dict else None
