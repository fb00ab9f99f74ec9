"""``guardsvc capture show`` and ``export``."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from guardsvc.cli.capture.files import KeyRing, captured_in, wrong
from guardsvc.cli.plain import plain
from guardsvc.observe.capture import CapturedGap, CapturedOperation, SealedOperation

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run_export", "run_show"]

MODE = 0o600
_encode = msgspec.json.Encoder().encode


def run_show(
    files: Sequence[str], keys: Sequence[str], config: str | None, decision: str | None, *, as_json: bool
) -> None:
    """Print what was captured."""
    ring = KeyRing(keys, config)
    sealed = seen = 0
    for line in captured_in(files, ring):
        if decision is not None and getattr(line, "decision_id", None) != decision:
            continue
        seen += 1
        sealed += isinstance(line, SealedOperation)
        if as_json:
            print(_encode(line).decode())
        elif decision is not None:
            print(plain_json(line))
        else:
            print(_told(line))
    if decision is not None and not seen:
        wrong(f"there is no decision {decision} in {', '.join(files)}")
    if sealed:
        print(f"{sealed} of {seen} records are sealed with a key that is not at hand (--key)", file=sys.stderr)


def run_export(files: Sequence[str], keys: Sequence[str], config: str | None, to: str) -> None:
    """Write the operations as plain lines."""
    ring = KeyRing(keys, config)
    written = sealed = 0
    with ExitStack() as stack:
        output = sys.stdout.buffer
        if to != "-":
            try:
                descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
            except OSError as error:
                wrong(f"{to} cannot be made: {error.strerror}")
            output = stack.enter_context(os.fdopen(descriptor, "wb"))
        for line in captured_in(files, ring):
            if isinstance(line, SealedOperation):
                sealed += 1
                continue
            output.write(_encode(line) + b"\n")
            written += isinstance(line, CapturedOperation)
        output.flush()
    left = f"; {sealed} are sealed with a key that is not at hand (--key)" if sealed else ""
    print(f"{written} operations{left}", file=sys.stderr)


def plain_json(line: object) -> str:
    """A record in lines, with what could steer a terminal as escapes."""
    pretty = msgspec.json.format(_encode(line), indent=2).decode()
    return "\n".join(plain(row) for row in pretty.split("\n"))


def _told(line: CapturedOperation | CapturedGap | SealedOperation) -> str:
    if isinstance(line, CapturedGap):
        return f"{line.time}  {line.lost} operations were lost here"
    if isinstance(line, SealedOperation):
        return f"{line.time}  {line.decision_id}  sealed with key {line.key}"
    caller = "/".join(filter(None, (line.caller.tenant, line.caller.principal))) or "-"
    about = " ".join(filter(None, (line.method or line.kind, line.subject)))
    kept = f"no payload ({line.withheld})" if line.withheld else "payload"
    parts = (line.time, line.decision_id, line.applied.upper(), line.server or "-", caller, line.direction, about)
    return plain("  ".join((*parts, line.reason or "", kept)))
