"""Modification: checks that a payload a guard made can go on in place of the one it judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.mcp import Refusal
from guardsvc.mcp.message import Message, parse
from guardsvc.mcp.strict_json import decode, encode
from guardsvc.model import ErrorKind, GuardFailure, Kind, Operation

if TYPE_CHECKING:
    from guardsvc.mcp.strict_json import Limits

__all__ = ["changes_nothing", "check_modification"]

_canonical = msgspec.json.Encoder(order="deterministic").encode


def changes_nothing(operation: Operation, payload: Any) -> bool:
    """Whether the payload is the operation's own; to JSON ``true``, ``1`` and ``1.0`` are three values."""
    try:
        return bool(_canonical(payload) == _canonical(operation.payload))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return False


def check_modification(operation: Operation, payload: Any, limits: Limits) -> Any:
    """Read the payload back from its canonical bytes, strictly.

    Returns:
        The payload as those bytes say it.

    Raises:
        GuardFailure: with ``bad_answer`` where the payload is no object, breaks the rules of strict
            reading, or makes another call of it (subject, revision, input responses): what was judged
            as one tool must not go on as another.
    """
    try:
        read = decode(encode(payload), limits)
    except (Refusal, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise _bad(f"the modified payload cannot be read strictly: {error}") from error
    if not isinstance(read, dict):
        raise _bad("the modified payload is no object")
    if operation.kind in (Kind.REQUEST, Kind.NOTIFICATION):
        _check_call(operation, read)
    return read


def _check_call(operation: Operation, params: dict[str, Any]) -> None:
    judged = _call(operation, operation.payload)
    try:
        modified = _call(operation, params)
    except Refusal as refusal:
        raise _bad(f"the modified params are refused: {refusal}") from refusal
    if modified[0].subject != judged[0].subject:
        raise _bad("the modified params have another subject")
    if modified[0].revision != judged[0].revision:
        raise _bad("the modified params state another revision")
    if len(modified) > len(judged):
        raise _bad("the modified params answer questions that were not judged")


def _call(operation: Operation, params: Any) -> tuple[Message, ...]:
    value = {"jsonrpc": "2.0", "method": operation.method}
    if operation.kind is Kind.REQUEST:
        value["id"] = ""
    return parse(value if params is None else {**value, "params": params})


def _bad(message: str) -> GuardFailure:
    return GuardFailure(ErrorKind.BAD_ANSWER, message)
