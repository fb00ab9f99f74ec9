"""The run: every candidate in turn, several rounds, so that a machine whose speed drifts does not favour one."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.cli.bench.candidates import EMPTY, LEFT_OUT, Candidate, candidates
from guardsvc.cli.bench.empty_server import ANSWER
from guardsvc.cli.bench.load import LoadError, Measured, run_load

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run_bench"]

METHOD = "/envoy.service.auth.v3.Authorization/Check"
CONNECTIONS = 2
CALLS_EACH = 8
WARM_UP_S = 0.5


class Round(msgspec.Struct, frozen=True):
    """One candidate in one round: under load, then one call at a time.

    Attributes:
        throughput: decisions per second under load.
        cpu: seconds of the server's processor time per decision under load.
        p50: latency in seconds of half the calls, one at a time.
        p99: latency in seconds of 99 % of the calls, one at a time.
    """

    throughput: float
    cpu: float
    p50: float
    p99: float


def run_bench(*, rounds: int, seconds: float, as_json: bool) -> None:
    """Measure and print.

    Args:
        rounds: times that every candidate is measured.
        seconds: of load in each round.
        as_json: print one JSON object.

    Raises:
        RuntimeError: a candidate did not start, or refused the request.
    """
    message = (files("guardsvc.cli.bench") / "check_request.bin").read_bytes()
    with tempfile.TemporaryDirectory(prefix="guardsvc-bench-") as folder, ExitStack() as running:
        servers = [running.enter_context(candidate) for candidate in candidates(Path(folder))]
        measured: dict[str, list[Round]] = {server.name: [] for server in servers}
        for server in servers:
            asyncio.run(_load(server, message, min(WARM_UP_S, seconds)))
        for number in range(rounds):
            for server in servers[number % 2 :] + servers[: number % 2]:
                measured[server.name].append(_round(server, message, seconds))
        memory = {server.name: server.resident_mib() for server in servers}
    report = _report(measured, memory)
    print(json.dumps(report) if as_json else _table(report))


def _round(server: Candidate, message: bytes, seconds: float) -> Round:
    before = server.cpu_seconds()
    loaded = asyncio.run(_load(server, message, seconds))
    cpu = server.cpu_seconds() - before
    single = asyncio.run(
        run_load(server.address, METHOD, message, seconds=seconds / 2, connections=1, calls_each=1, begins=ANSWER)
    )
    return Round(
        throughput=loaded.calls / loaded.seconds,
        cpu=cpu / loaded.calls,
        p50=single.quantile(0.5),
        p99=single.quantile(0.99),
    )


async def _load(server: Candidate, message: bytes, seconds: float) -> Measured:
    try:
        return await run_load(
            server.address,
            METHOD,
            message,
            seconds=seconds,
            connections=CONNECTIONS,
            calls_each=CALLS_EACH,
            begins=ANSWER,
        )
    except LoadError as error:
        raise RuntimeError(f"{server.name}: {error}") from error


def _report(measured: dict[str, list[Round]], memory: dict[str, float]) -> dict[str, Any]:
    empty = measured[EMPTY]
    return {
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "grpcio": version("grpcio"),
            "guardsvc": version("guardsvc"),
        },
        "calls_under_way": CONNECTIONS * CALLS_EACH,
        "left_out": list(LEFT_OUT),
        "candidates": {
            name: {
                "throughput_per_s": round(median(r.throughput for r in rounds)),
                "cpu_us": round(median(r.cpu for r in rounds) * 1e6, 1),
                "p50_us": round(median(r.p50 for r in rounds) * 1e6, 1),
                "p99_us": round(median(r.p99 for r in rounds) * 1e6, 1),
                "throughput_ratio": _ratio(rounds, empty, "throughput"),
                "cpu_ratio": _ratio(rounds, empty, "cpu"),
                "resident_mib": round(memory[name], 1),
            }
            for name, rounds in measured.items()
        },
    }


def _ratio(rounds: Sequence[Round], empty: Sequence[Round], figure: str) -> float:
    """To the empty handler, in pairs of the same round."""
    ratios = [float(getattr(a, figure) / getattr(b, figure)) for a, b in zip(rounds, empty, strict=True)]
    return round(median(ratios), 3)


def _table(report: dict[str, Any]) -> str:
    machine = report["machine"]
    head = (
        f"guardsvc {machine['guardsvc']}, Python {machine['python']}, grpcio {machine['grpcio']}, "
        f"{machine['cpus']} CPUs; the same CheckRequest for all (1 KiB body, 25 headers)\n"
        f"throughput and CPU with {report['calls_under_way']} calls under way, latency one call at a time; "
        f"ratios to the empty handler; guardsvc with metrics, and a record of each decision in a file\n"
    )
    columns = (
        f"{'':28} {'calls/s':>9} {'ratio':>7} {'CPU µs':>8} {'ratio':>7} {'p50 µs':>8} {'p99 µs':>8} {'RSS MiB':>8}"
    )
    rows = [
        f"{name:28} {c['throughput_per_s']:>9} {c['throughput_ratio']:>7.2f} {c['cpu_us']:>8.1f} "
        f"{c['cpu_ratio']:>7.2f} {c['p50_us']:>8.1f} {c['p99_us']:>8.1f} {c['resident_mib']:>8.1f}"
        for name, c in report["candidates"].items()
    ]
    foot = f"\nleft out, since they judge answers: {', '.join(report['left_out'])}"
    return "\n".join([head, columns, *rows, foot])
