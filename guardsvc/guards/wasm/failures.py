"""Failures: the kinds in which a call of a WASM guard ends without a verdict."""

from __future__ import annotations

from guardsvc.model import ErrorKind, GuardFailure

__all__ = ["KINDS", "WasmFailure", "kind_of_error"]

KINDS = {
    "deadline": ErrorKind.TIMEOUT,
    "queue": ErrorKind.TIMEOUT,
    "fuel": ErrorKind.OVER_BUDGET,
    "memory": ErrorKind.OVER_BUDGET,
    "table": ErrorKind.OVER_BUDGET,
    "instances": ErrorKind.OVER_BUDGET,
    "output": ErrorKind.OVER_BUDGET,
    "host_calls": ErrorKind.OVER_BUDGET,
    "stack": ErrorKind.TRAP,
    "unreachable": ErrorKind.TRAP,
    "out_of_bounds": ErrorKind.TRAP,
    "trap": ErrorKind.TRAP,
    "bad_answer": ErrorKind.BAD_ANSWER,
    "guest_error": ErrorKind.EXCEPTION,
    "busy": ErrorKind.WASM_BUSY,
    "quarantined": ErrorKind.QUARANTINED,
}
"""Kinds of failure, each with the column of the fail matrix it belongs to."""

_BY_TEXT = (
    ("wasm trap: interrupt", "deadline"),
    ("all fuel consumed", "fuel"),
    ("call stack exhausted", "stack"),
    ("exceeds memory limits", "memory"),
    ("exceeds table limits", "table"),
    ("count too high", "instances"),
    ("too much data is being copied", "output"),
    ("host_calls:", "host_calls"),
    ("output:", "output"),
    ("deadline:", "deadline"),
    ("invalid utf-8", "bad_answer"),
    ("discriminant", "bad_answer"),
    ("not aligned", "bad_answer"),
    ("realloc return", "bad_answer"),
    ("out of bounds", "out_of_bounds"),
    ("`unreachable` instruction executed", "unreachable"),
)


class WasmFailure(GuardFailure):
    """A call failed.

    Attributes:
        name: the kind, one of ``KINDS``.
    """

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(KINDS[name], f"{name}: {message}" if message else name)
        self.name = name


def kind_of_error(text: str) -> str:
    """The kind of failure that wasmtime tells of; ``trap`` where it is no other."""
    return next((kind for part, kind in _BY_TEXT if part in text), "trap")
