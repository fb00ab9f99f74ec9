"""What came of suites: for people, and as one JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.cli.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.config import ConfigError
    from guardsvc.suites import CaseResult, Found, Run, SuiteResult

__all__ = ["described", "told"]


def told(run: Run, found: Found, *, verbose: bool) -> str:
    """The run in lines: failures at their file and line, then what was covered, then the sum."""
    lines: list[str] = []
    for result in run.results:
        lines.extend(_suite(result, verbose=verbose))
    lines.extend(_coverage(run))
    broken = len(found.broken)
    parts = [f"{run.cases} cases of {len(run.results)} suites: {run.cases - run.failed} passed, {run.failed} failed"]
    if broken:
        parts.append(f"{broken} broken suite{'s' * (broken != 1)}")
    if run.configuration:
        parts.append(f"{len(run.configuration)} polic{'y' if len(run.configuration) == 1 else 'ies'} cannot be used")
    if found.others:
        parts.append(f"{len(found.others)} other YAML file{'s' * (len(found.others) != 1)} passed over")
    lines.append("; ".join(parts))
    return "\n".join(lines)


def _suite(result: SuiteResult, *, verbose: bool) -> Iterator[str]:
    failed = len(result.failed)
    summary = f"{len(result.cases) - failed} passed" + (f", {failed} failed" if failed else "")
    yield f"{result.suite.source}: {result.subject}: {summary}"
    for case in result.cases if verbose else result.failed:
        yield f"  {'ok  ' if case.passed else 'FAIL'} {result.suite.source}:{case.case.line}: {_name(case)}"
        for difference in case.differences:
            yield f"       {plain(difference)}"


def _name(case: CaseResult) -> str:
    return plain(case.case.description)


def _coverage(run: Run) -> Iterator[str]:
    rows = list(_covered(run))
    if not rows:
        return
    yield "coverage"
    for row in rows:
        subject = "" if row["subject"] is None else f" of {row['subject']}"
        what = f"  {row['guard']}{subject}: "
        if not row["cases"]:
            yield f"{what}never asked"
        elif not row["fired"]:
            yield f"{what}asked {row['cases']} times, never fired"
        else:
            known = row["rules"]
            rules = f", {len(row['fired_rules'])} rules fired" if known is None else ""
            if known:
                rules = f", {len(known) - len(row['silent_rules'])} of {len(known)} rules fired"
            yield f"{what}fired in {row['fired']} of {row['cases']} cases{rules}"
        if row["silent_rules"]:
            yield f"    never fired: {', '.join(row['silent_rules'])}"
        if row["rules_without_near_miss"]:
            yield f"    fired, but no near miss: {', '.join(row['rules_without_near_miss'])}"


def _covered(run: Run) -> Iterator[dict[str, Any]]:
    for (subject, guard), coverage in run.coverage.guards.items():
        yield {
            "subject": subject or None,
            "guard": guard,
            "cases": coverage.cases,
            "fired": coverage.fired,
            "rules": None if coverage.rules is None else sorted(coverage.rules),
            "fired_rules": dict(sorted(coverage.seen.items())),
            "silent_rules": coverage.silent,
            "near_misses": dict(sorted(coverage.near.items())),
            "rules_without_near_miss": coverage.without_near_miss,
        }


def described(run: Run, found: Found) -> dict[str, Any]:
    """The run as plain data."""
    return {
        "cases": run.cases,
        "passed": run.cases - run.failed,
        "failed": run.failed,
        "suites": [
            {"file": result.suite.source, "subject": result.subject, "cases": [_case(case) for case in result.cases]}
            for result in run.results
        ],
        "broken": [_error(error) for error in found.broken],
        "configuration": [_error(error) for error in run.configuration],
        "passed_over": [str(path) for path in found.others],
        "coverage": list(_covered(run)),
    }


def _case(result: CaseResult) -> dict[str, Any]:
    observed = result.observed
    return {
        "description": result.case.description,
        "line": result.case.line,
        "passed": result.passed,
        "differences": list(result.differences),
        "verdict": None if observed is None else observed.verdict,
        "code": None if observed is None else observed.code,
        "rules": [] if observed is None else [finding.rule for _, finding in observed.findings],
        "seconds": round(result.seconds, 6),
    }


def _error(error: ConfigError) -> dict[str, Any]:
    problems = [{"path": p.path, "message": p.message, "line": p.line} for p in error.problems]
    return {"file": error.source, "problems": problems}
