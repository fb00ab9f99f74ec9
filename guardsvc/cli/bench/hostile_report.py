"""The report of ``guardsvc bench --hostile``: cost per 100 KiB, how it grows, and what takes most of it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from guardsvc.cli.bench.hostile_messages import Kind

__all__ = ["KIB", "MAX_KEYS", "SIZES_KIB", "Cost", "report_of", "table_of"]

KIB = 1024
SIZES_KIB = (16, 64, 256, 1024)
TARGET = 10.0
"""Milliseconds per 100 KiB that the largest message of a kind that is read should not exceed. Small ones cost more
for each byte, as guards look closely at a number of suspicious values that does not grow with the message."""
LINEAR = 2.0
"""Times the cost per byte may grow from the second size to the last and count as linear: caches of the processor
hold less of a larger message."""

_ANSWERS = {"tools/list": "tools list", "tools/call": "result"}

MAX_KEYS = 300_000
"""As many members as 1 MiB has at most; the default is 10 000."""


class Cost(msgspec.Struct, frozen=True):
    """What one message cost, at best of several times.

    Attributes:
        size: bytes of the message, or of the header field.
        ms: milliseconds of processor time from the bytes to the decision, every guard asked.
        guards: milliseconds of each guard; empty where the message is refused before, for its many containers.
        shipped_ms: the same under the preset as it comes.
        verdict: what the preset as it comes says, ``allow`` or the reason code.
    """

    size: int
    ms: float
    guards: dict[str, float]
    shipped_ms: float
    verdict: str

    @property
    def rate(self) -> float:
        """Milliseconds per 100 KiB."""
        return self.ms / self.size * 100 * KIB

    @property
    def dearest(self) -> str:
        """The guard that takes most of it, ``reading`` where the interpretation takes more than any."""
        reading = self.ms - sum(self.guards.values())
        return max({"reading": reading, **self.guards}.items(), key=lambda item: item[1])[0]


def report_of(measured: dict[Kind, list[Cost]]) -> dict[str, Any]:
    """What was measured, as ``--output json`` prints it."""
    return {
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "guardsvc": version("guardsvc"),
        },
        "target_ms_per_100_kib": TARGET,
        "kinds": {kind.name: _row(kind, costs) for kind, costs in measured.items()},
    }


def _row(kind: Kind, costs: list[Cost]) -> dict[str, Any]:
    read = [cost for cost in costs if cost.guards]
    second = read[1] if len(read) > 2 else read[0]  # noqa: PLR2004  header fields have two sizes
    growth = round(read[-1].rate / second.rate, 2)
    return {
        "guard": kind.guard,
        "where": "header" if kind.in_header else _ANSWERS.get(kind.answers, "call"),
        "growth": growth,
        "linear": growth <= LINEAR,
        "within_target": read[-1].rate <= TARGET,
        "dearest": read[-1].dearest,
        "sizes": [
            {
                "bytes": cost.size,
                "ms": round(cost.ms, 3),
                "ms_per_100_kib": round(cost.rate, 2),
                "shipped_ms": round(cost.shipped_ms, 3),
                "read": bool(cost.guards),
                "verdict": cost.verdict,
                "guards_ms": {name: round(ms, 3) for name, ms in cost.guards.items()},
            }
            for cost in costs
        ],
    }


def table_of(report: dict[str, Any]) -> str:
    """The report for people."""
    machine, kinds = report["machine"], report["kinds"]
    head = f"""\
guardsvc {machine["guardsvc"]}, Python {machine["python"]}: hostile messages judged in this process, from bytes to
decision, by preset default (max_keys raised to {MAX_KEYS}, so that 1 MiB of anything is read but what has too many
containers, marked *): ms of processor time (per 100 KiB). Every guard is asked, in shadow. As shipped: the same where
the first refusal ends the chain, worst per 100 KiB of all sizes, and what is said of the second and the last. Growth:
cost per byte at the last size that is read to the second.
"""
    sizes = "".join(f"{f'{size} KiB':>17}" for size in SIZES_KIB)
    columns = f"{'':38} {'built against':20}{sizes} {'growth':>7}  {'dearest':20}as shipped"
    rows = [_line(name, row) for name, row in kinds.items()]
    over = [name for name, row in kinds.items() if not row["within_target"]]
    bent = [name for name, row in kinds.items() if not row["linear"]]
    foot = f"""
{len(kinds)} kinds
above {TARGET:g} ms per 100 KiB at the last size that is read: {", ".join(over) or "none"}
cost per byte grows more than {LINEAR:g} times: {", ".join(bent) or "none"}"""
    return "\n".join([head, columns, *rows, foot])


def _line(name: str, row: dict[str, Any]) -> str:
    sizes = row["sizes"]
    cells = "".join(f"{cost['ms']:9.1f}{' ' if cost['read'] else '*'}({cost['ms_per_100_kib']:5.1f})" for cost in sizes)
    shipped = max(cost["shipped_ms"] / cost["bytes"] * 100 * KIB for cost in sizes)
    verdicts = ", ".join(dict.fromkeys((sizes[min(1, len(sizes) - 1)]["verdict"], sizes[-1]["verdict"])))
    return f"{name:38} {row['guard']:20}{cells:68} {row['growth']:7.2f}  {row['dearest']:20}({shipped:5.1f}) {verdicts}"
