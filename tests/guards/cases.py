"""The cases of the guards: every file of ``tests/cases/guards`` is a suite, see ``docs/policy-tests.md``.

A file is named after its guard. What a case says is described there; in short: it takes over the template
it is ``like``, with its own members merged in as in RFC 7396, and gives an ``operation`` (the fields of
``Operation`` that matter), an HTTP ``request`` or a JSON-RPC ``message``, and what must come of it.
``guardsvc test tests/cases/guards`` runs them too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardsvc.mcp import InterpretationRules, interpret
from guardsvc.model import Direction, GatewayProtocol, Operation
from guardsvc.suites import CaseResult, Found, Run, find_suites, run_suites
from guardsvc.suites.form import Expectation, RequestForm
from guardsvc.suites.given import http_request

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CASES", "Case", "load_cases", "operations", "results", "run", "suites"]

CASES = Path(__file__).parents[1] / "cases" / "guards"


@dataclass(frozen=True)
class Case:
    """One case of a file."""

    guard: str
    description: str
    expect: Expectation

    @property
    def rules(self) -> list[str]:
        """Ids of the rules that must fire."""
        if self.expect.findings is not None:
            return [finding.rule for finding in self.expect.findings]
        return (
            [self.expect.rule] if self.expect.rule is not None else [*(self.expect.rules or self.expect.includes or ())]
        )


@cache
def suites() -> Found:
    """Every suite, and those that cannot be read."""
    return find_suites([CASES])


def load_cases() -> list[Case]:
    """Every case of every suite."""
    return [
        Case(suite.guard.name, case.description, case.form.expect)
        for suite in suites().suites
        for case in suite.cases
        if suite.guard is not None and case.form.expect is not None
    ]


@cache
def run() -> Run:
    """What comes of all suites."""
    return run_suites(suites().suites)


@cache
def results() -> Mapping[tuple[str, str], CaseResult]:
    """What comes of every case, by guard and description."""
    return {
        (result.suite.guard.name, case.case.description): case
        for result in run().results
        for case in result.cases
        if result.suite.guard is not None
    }


def operations(request: dict[str, Any]) -> list[Operation]:
    """The operations of a request, given as a case gives it, to the server ``files``."""
    read = http_request(RequestForm.model_validate(request))
    return [
        Operation(
            protocol=GatewayProtocol.EXT_AUTHZ,
            direction=Direction.REQUEST,
            phase=message.phase,
            kind=message.kind,
            method=message.method,
            id=message.id,
            server="files",
            servers=("files",),
            subject=message.subject,
            payload=message.payload,
            headers=read.headers,
            revision=message.revision,
            http_method=read.method,
            path=read.path,
        )
        for message in interpret(read, InterpretationRules(batches=True)).messages
    ]
