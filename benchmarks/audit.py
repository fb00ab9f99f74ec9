"""What the audit costs: on the event loop, in its own thread, and in waiting where it is required.

Run it as ``python -m benchmarks.audit``. The record is that of a tool call of 1 KiB that three guards let pass.
"""  # noqa: INP001  a script

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import TYPE_CHECKING, Literal

import uvloop

from guardsvc.model import (
    Caller,
    Decision,
    Direction,
    Finding,
    GatewayProtocol,
    GuardOutcome,
    Headers,
    Kind,
    Mode,
    Operation,
    Phase,
    Severity,
    Tier,
)
from guardsvc.observe import Metrics, Recorder
from guardsvc.observe.audit import Audit, AuditKey, AuditOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.observe.audit.audit import AuditMode

DECISIONS = 20_000
PACE = 64
"""Decisions between two breaths of the loop."""
ARGUMENTS = {"path": "/srv/reports/2026", "query": "x" * 900, "limit": 20, "exact": True, "score": 0.5}


def decision() -> Decision:
    """An allowed call."""
    headers = [(f"x-header-{number}", "value " * 4) for number in range(22)]
    headers += [("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"), ("x-request-id", "7f0e"), ("mcp-session-id", "s" * 32)]
    operation = Operation(
        protocol=GatewayProtocol.EXT_AUTHZ,
        direction=Direction.REQUEST,
        phase=Phase.TOOL_INVOKE,
        kind=Kind.REQUEST,
        method="tools/call",
        id=7,
        server="files",
        servers=("files",),
        subject="read_file",
        payload={"name": "read_file", "arguments": ARGUMENTS},
        caller=Caller(tenant="acme", principal="ann@acme.example", verified=True, address="10.0.0.7"),
        headers=Headers(headers),
        revision="2025-11-25",
    )
    outcomes = tuple(
        GuardOutcome(
            guard=name,
            type=name,
            tier=Tier.NATIVE,
            mode=Mode.ENFORCE,
            verdict="allow",
            duration=12e-6,
            findings=(Finding(rule="rule", severity=Severity.LOW, where="/arguments/query"),) if number == 2 else (),  # noqa: PLR2004
        )
        for number, name in enumerate(("protocol_compliance", "access_list", "tool_poisoning"))
    )
    return Decision(
        id="01a203a34a17591ed9dc6408a664d89d",
        operation=operation,
        verdict="allow",
        mode=Mode.ENFORCE,
        outcomes=outcomes,
        policy_hash="0123456789abcdef",
        duration=60e-6,
    )


@contextmanager
def audit(mode: AuditMode, fsync: Literal["never", "interval", "always"]) -> Iterator[Audit]:
    """An audit to a file."""
    with tempfile.TemporaryDirectory() as folder:
        options = AuditOptions(
            path=str(Path(folder) / "audit.jsonl"),
            keys=(AuditKey("bench", b"k" * 32),),
            mode=mode,
            fsync=fsync,
            queue_records=DECISIONS,
            queue_bytes=DECISIONS * 4096,
        )
        kept = Audit(options, Metrics("0", process=False))
        kept.start()
        try:
            yield kept
        finally:
            kept.stop(30)


async def loop_cost(recorder: Recorder) -> tuple[float, float]:
    """Microseconds per decision: CPU time of the loop's thread, and of all others."""
    made = (decision(),)
    others = process_time() - thread_time()
    spent = 0.0
    for _ in range(DECISIONS // PACE):
        begun = thread_time()
        for _ in range(PACE):
            await recorder.keep(made, policy_name="bench", size=1024, weight=2500, deadline=0.0)
        spent += thread_time() - begun
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.5)
    others = process_time() - thread_time() - others
    count = DECISIONS // PACE * PACE
    return spent / count * 1e6, others / count * 1e6


async def stall(kept: Audit) -> float:
    """The longest, in milliseconds, that the loop is kept from its work while a full queue is written."""
    made = (decision(),)
    for _ in range(8192):
        kept.add(made, size=1024)
    worst, end = 0.0, perf_counter() + 1.0
    while perf_counter() < end:
        begun = perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, perf_counter() - begun - 0.001)
    return worst * 1e3


async def wait(kept: Audit) -> list[float]:
    """Microseconds that single decisions wait for their records."""
    made = (decision(),)
    waits = []
    for _ in range(1_000):
        begun = perf_counter()
        if not await kept.keep(made, size=1024, deadline=begun + 1):
            raise RuntimeError("the record was not written")
        waits.append((perf_counter() - begun) * 1e6)
        await asyncio.sleep(0.0005)
    return sorted(waits)


async def main() -> dict[str, float]:
    """Measure everything once."""
    bare, _ = await loop_cost(Recorder(Metrics("0", process=False), ()))
    with audit("best_effort", "interval") as kept:
        loop, thread = await loop_cost(Recorder(Metrics("0", process=False), (), kept))
    with audit("best_effort", "interval") as kept:
        longest = await stall(kept)
    found = {
        "loop_us_per_decision_without_audit": bare,
        "loop_us_per_decision": loop,
        "thread_us_per_decision": thread,
        "longest_stall_ms_while_8192_are_written": longest,
    }
    for fsync in ("never", "always"):
        with audit("required", fsync) as kept:
            waits = await wait(kept)
        found[f"required_wait_us_p50_fsync_{fsync}"] = statistics.median(waits)
        found[f"required_wait_us_p99_fsync_{fsync}"] = waits[len(waits) * 99 // 100]
    return found


if __name__ == "__main__":
    figures = uvloop.run(main())
    sys.stdout.write(json.dumps({name: round(value, 2) for name, value in figures.items()}, indent=2) + "\n")
