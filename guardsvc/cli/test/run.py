"""The command: runs suites, tells what came of them, and ends with the code of the worst failure."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.test.junit import junit
from guardsvc.cli.test.told import described, told
from guardsvc.config import ConfigError
from guardsvc.guards.registry import load_registry
from guardsvc.suites import Found, Run, Wanted, find_suites, run_suites

__all__ = ["SuiteOptions", "run_test"]


@dataclass(frozen=True)
class SuiteOptions:
    """What the command line says; see ``guardsvc test --help``."""

    places: tuple[str, ...]
    config: str | None
    cases: tuple[str, ...]
    guards: tuple[str, ...]
    junit: str | None
    verbose: bool


def run_test(options: SuiteOptions, *, as_json: bool) -> None:
    """Run the suites; end with code 3, 8 or 7 where a policy, a suite or an expectation fails, in this order."""
    places = tuple(map(Path, options.places))
    for place in places:
        if not place.exists():
            _wrong(f"{place} is not there")
    if unknown := [name for name in options.guards if name not in load_registry()]:
        _wrong(f'--guard "{unknown[0]}" is not one of {", ".join(load_registry())}')
    found = find_suites(places)
    if not found.suites and not found.broken:
        print(f"guardsvc: no suite in {', '.join(options.places)}", file=sys.stderr)
        sys.exit(ExitCode.BROKEN_SUITE)
    wanted = Wanted(cases=options.cases, guards=options.guards)
    run = run_suites(found.suites, config=None if options.config is None else Path(options.config), wanted=wanted)
    if options.junit is not None:
        _write(Path(options.junit), junit(run, found))
    print(json.dumps(described(run, found), default=str) if as_json else told(run, found, verbose=options.verbose))
    _tell_problems(run, found, as_json=as_json)
    if not run.cases and not run.configuration and not found.broken:
        _wrong("no case is wanted: --run and --guard leave none")
    sys.exit(_code(run, found))


def _code(run: Run, found: Found) -> ExitCode:
    if run.configuration:
        return ExitCode.CONFIGURATION
    if found.broken:
        return ExitCode.BROKEN_SUITE
    return ExitCode.FAILED if run.failed else ExitCode.OK


def _tell_problems(run: Run, found: Found, *, as_json: bool) -> None:
    errors: list[ConfigError] = [*run.configuration, *found.broken]
    for error in () if as_json else errors:
        print(error, file=sys.stderr)


def _write(path: Path, text: bytes) -> None:
    try:
        path.write_bytes(text)
    except OSError as error:
        _wrong(f"{path} cannot be written: {error.strerror}")


def _wrong(message: str) -> NoReturn:
    print(f"guardsvc: {message}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)
