"""``guardsvc ab report``: what the current and the candidate version of guards said, with how often each was asked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.cli.ab.audit import read_audit
from guardsvc.cli.ab.metrics import read_metrics
from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.plain import plain

if TYPE_CHECKING:
    from guardsvc.cli.ab.arms import Guards

__all__ = ["run_report"]


def run_report(metrics: list[str], audit: list[str], config: str | None, *, guard: str | None, as_json: bool) -> None:
    """Print the report of each source.

    Args:
        metrics: addresses or files of metrics.
        audit: files of the audit.
        config: configuration that the audit was written under.
        guard: id of the only guard to tell of.
        as_json: as one JSON object.
    """
    try:
        told: dict[str, Any] = {}
        if metrics:
            told["metrics"] = _described(read_metrics(metrics), guard)
        if audit and config is not None:
            guards, left_out = read_audit(audit, config)
            told["audit"] = {**_described(guards, guard), "left_out": dict(left_out)}
    except OSError as error:
        print(f"guardsvc: {error}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    if as_json:
        print(msgspec.json.encode(told).decode())
    else:
        for source, of in told.items():
            _print(source, of)


def _described(guards: Guards, only: str | None) -> dict[str, Any]:
    return {"guards": {name: arms.described() for name, arms in guards.items() if only in (None, name)}}


def _print(source: str, told: dict[str, Any]) -> None:
    if not told["guards"]:
        print(f"{source}: no guard with a candidate version")
    for guard, of in told["guards"].items():
        print(f"{source}: guard {plain(guard)}")
        for arm, each in of["arms"].items():
            outcomes = ", ".join(f"{name} {count}" for name, count in each["outcomes"].items() if count)
            print(f"  {arm:9}  judged {each['calls']}: {outcomes or 'nothing'}")
            share = f"errors {each['errors'] * 100:.2f} %" if each["errors"] is not None else "errors -"
            print(f"             {share}, {_times(each)}")
        if "compared" in of:
            compared = of["compared"]
            share = f" ({of['differ'] / compared * 100:.2f} %)" if compared else ""
            print(
                f"  both       judged {compared}, differ in {of['differ']}{share}; not compared, for load: {of['shed']}"
            )
            for row in of["differences"]:
                print(f"             {row['current']} -> {row['candidate']}  {row['calls']}")
    for why, count in told.get("left_out", {}).items():
        print(f"  left out: {count} records, {why}")


def _times(each: dict[str, Any]) -> str:
    if not each["timed"]:
        return "no times"
    sign = "" if each["exact"] else "<= "
    p50, p99 = (
        f"{sign}{value / 1000:g} ms" if value is not None else "beyond" for value in (each["p50_us"], each["p99_us"])
    )
    return f"p50 {p50}, p99 {p99} of {each['timed']}"
