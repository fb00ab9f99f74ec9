"""Modification: checks that a payload a guard made can go on in place of the one it judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.mcp import Refusal
from guardsvc.mcp.revisions import subject_field
from guardsvc.mcp.strict_json import decode, encode
from guardsvc.model import ErrorKind, GuardFailure, Kind, Operation

if TYPE_CHECKING:
    from guardsvc.mcp.strict_json import Limits

__all__ = ["check_modification"]


def check_modification(operation: Operation, payload: Any, limits: Limits) -> Any:
    """Read the payload back from its canonical bytes, strictly.

    Returns:
        The payload as those bytes say it.

    Raises:
        GuardFailure: with ``bad_answer`` where the payload is no JSON, breaks the rules of strict
            reading, is no object where params must be one, or names another subject: what was
            judged as one tool must not go on as another.
    """
    try:
        read = decode(encode(payload), limits)
    except (Refusal, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise GuardFailure(ErrorKind.BAD_ANSWER, f"the modified payload cannot be read strictly: {error}") from error
    if operation.kind in (Kind.REQUEST, Kind.NOTIFICATION):
        if not isinstance(read, dict):
            raise GuardFailure(ErrorKind.BAD_ANSWER, "the modified params are no object")
        field = subject_field(operation.method)
        if field is not None and read.get(field) != (operation.payload or {}).get(field):
            raise GuardFailure(ErrorKind.BAD_ANSWER, f"the modified params have another {field}")
    return read
