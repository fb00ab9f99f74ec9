"""States that a server gives to a client, to have them back with the answer: which one, and who it is for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.model import Direction, Kind, Phase
from guardsvc.state.request_states import StateNeed

if TYPE_CHECKING:
    from guardsvc.model import Operation
    from guardsvc.state.catalog_needs import CatalogStore

__all__ = ["RESULTS", "need_of"]

RESULTS = frozenset({Phase.TOOL_RESULT, Phase.PROMPT_RESULT, Phase.RESOURCE_RESULT})
"""Phases of results, any of which may be a question instead."""
_MAX_SUBJECT = 256
"""Characters of a subject; a longer one counts by its digest."""

_encode = msgspec.json.Encoder().encode


def need_of(operation: Operation, store: CatalogStore, ttl: int) -> StateNeed | None:
    """What to ask of the state that is given or comes back, None where there is none.

    Args:
        operation: what is judged.
        store: where states are remembered.
        ttl: seconds for which they are.
    """
    state = _state(operation)
    if state is None:
        return None
    given = operation.direction is Direction.RESPONSE
    return StateNeed(store=store, state=_digest(state), holder=_holder(operation), given=given, ttl=ttl)


def _state(operation: Operation) -> Any:
    payload = operation.payload
    if type(payload) is not dict or operation.kind is not Kind.RESULT:
        return None
    answering = operation.phase is Phase.INPUT_RESPONSE
    given = operation.direction is Direction.RESPONSE and (
        operation.phase is Phase.INPUT_REQUEST or operation.phase in RESULTS
    )
    return payload.get("requestState") if answering or given else None


def _holder(operation: Operation) -> str:
    """Who a state is for: the caller, at this server, for this request and no other."""
    caller, subject = operation.caller, operation.subject
    if subject is not None and len(subject) > _MAX_SUBJECT:
        subject = f"sha256:{hashlib.sha256(subject.encode('utf-8', 'replace')).hexdigest()}"
    return _digest((caller.tenant, caller.principal, caller.verified, operation.server, operation.method, subject))


def _digest(value: Any) -> str:
    return hashlib.blake2b(_encode(value), digest_size=16).hexdigest()
