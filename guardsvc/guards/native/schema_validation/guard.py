"""The guard: refuses calls whose arguments break the schema of their tool."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from guardsvc.guards.native.schema_validation.check import ArgumentCheck, SchemaError
from guardsvc.guards.native.schema_validation.keywords import ASSERTIONS, BRANCHES, CHILDREN, REFERENCES
from guardsvc.guards.native.schema_validation.learned import LearnedChecks
from guardsvc.guards.native.schema_validation.locate import Fault, locate
from guardsvc.guards.native.schema_validation.param_headers import LearnedHeaders
from guardsvc.guards.native.schema_validation.settings import SchemaValidationSettings
from guardsvc.model import (
    ALLOW,
    Deny,
    Facts,
    Finding,
    GuardContext,
    GuardType,
    Kind,
    Operation,
    Phase,
    SettingsError,
    Severity,
    Verdict,
    reason_for,
)
from guardsvc.state.catalog import CATALOG
from guardsvc.state.catalog_needs import SchemaNeed
from guardsvc.state.pins import PinKind, place_of

__all__ = ["MORE_ERRORS", "NO_SCHEMA", "RULES", "SCHEMA_VALIDATION", "SchemaValidation"]

NO_SCHEMA = "no_schema"
MORE_ERRORS = "more_errors"
PARAM_HEADER = "param_header"
RULES = (
    NO_SCHEMA,
    MORE_ERRORS,
    PARAM_HEADER,
    *sorted({*ASSERTIONS, *BRANCHES, *CHILDREN, *REFERENCES} - {"if", "$recursiveRef"}),
)
"""Ids of the rules: keywords of JSON Schema, and three of the guard's own."""

_METHOD = "tools/call"
_ARGUMENTS = "/arguments"
_STRUCTURED = "/structuredContent"
_THREATS = ("SAF-T1103", "MCP05")
_MAX_NAMED = 5
_Checks = Mapping[tuple[str, str | None], ArgumentCheck]


class SchemaValidation:
    """The guard; see ``SchemaValidationSettings``."""

    def __init__(self, settings: SchemaValidationSettings, context: GuardContext) -> None:
        self._checks = _checks(context.input_schemas, "input_schema", settings)
        self._learned = None if settings.learned_from is None else LearnedChecks(settings)
        as_stated = settings.model_copy(update={"extra_properties": "schema"})
        self._output_checks = _checks(context.output_schemas, "output_schema", as_stated)
        self._learned_output = None if settings.learned_from is None else LearnedChecks(as_stated)
        self._learned_headers = LearnedHeaders()
        self._learned_from = settings.learned_from
        self._max_errors = settings.max_errors
        self._unknown: Verdict = ALLOW if settings.without_schema == "allow" else _refusal_without_schema()

    def needs(self, operation: Operation) -> Mapping[str, Any]:
        """What the tool is pinned with, where its schema is not configured."""
        return self._needs(operation, self._checks) if _is_call(operation) else {}

    def recheck_needs(self, operation: Operation) -> Mapping[str, Any]:
        """The same for what other guards made of arguments, or of a structured result."""
        return self._needs(operation, self._output_checks) if _is_structured(operation) else self.needs(operation)

    def _needs(self, operation: Operation, configured: _Checks) -> Mapping[str, Any]:
        name = operation.subject
        if self._learned_from is None or name is None:
            return {}
        places = tuple(
            place_of(operation.caller, server) for server in operation.servers if (server, name) not in configured
        )
        if not places:
            return {}
        need = SchemaNeed(pinned_by=self._learned_from, places=places, kind=PinKind.TOOL, name=name)
        return {CATALOG: need}

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Hold the arguments of a call against the schema of its tool. Absent arguments are an empty object.

        A call that may reach several servers must suit the schema of each that has such a tool.
        """
        if not _is_call(operation):
            return ALLOW
        known = [check for server in operation.servers if (check := self._checks.get((server, operation.subject)))]
        if self._learned is not None:
            definitions = facts.get(CATALOG) or {}
            if definitions and (problem := self._learned_headers.problem(operation, definitions)) is not None:
                return _refusal_of_header(problem)
            known += self._learned.checks(definitions)
        if not known:
            return self._unknown
        arguments = (operation.payload or {}).get("arguments", {})
        for check in known:
            if not check.accepts(arguments):
                faults, complete = locate(check, arguments, self._max_errors)
                return _refusal(faults, complete=complete)
        return ALLOW

    def recheck(self, operation: Operation, facts: Facts) -> Verdict:
        """Hold what other guards made of arguments against the schema again, and of a result against its own.

        A result as its server made it is not judged: to hold servers to their schemas is not what they are for.
        """
        if not _is_structured(operation):
            return self.evaluate(operation, facts)
        subject = operation.subject
        known = [check for server in operation.servers if (check := self._output_checks.get((server, subject)))]
        if self._learned_output is not None:
            known += self._learned_output.checks(facts.get(CATALOG) or {}, "outputSchema")
        content = operation.payload["structuredContent"]
        for check in known:
            if not check.accepts(content):
                faults, complete = locate(check, content, self._max_errors)
                return _refusal(faults, complete=complete, below=_STRUCTURED)
        return ALLOW


def _is_structured(operation: Operation) -> bool:
    """Whether it is a result with a structured part. One that tells of an error has no form."""
    payload = operation.payload
    return (
        operation.method == _METHOD
        and operation.kind is Kind.RESULT
        and type(payload) is dict
        and "structuredContent" in payload
        and payload.get("isError") is not True
    )


def _is_call(operation: Operation) -> bool:
    return operation.method == _METHOD and operation.kind in (Kind.REQUEST, Kind.NOTIFICATION)


def _checks(
    schemas: Mapping[tuple[str, str], Mapping[str, Any]], member: str, settings: SchemaValidationSettings
) -> _Checks:
    checks: dict[tuple[str, str | None], ArgumentCheck] = {}
    problems: list[str] = []
    for (server, tool), schema in schemas.items():
        try:
            checks[server, tool] = ArgumentCheck(schema, settings)
        except SchemaError as error:
            problems.append(f'{member}{error.pointer} of tool "{tool}" of server "{server}": {error}')
    if problems:
        more = f"; and {len(problems) - _MAX_NAMED} more" if len(problems) > _MAX_NAMED else ""
        raise SettingsError((), "; ".join(problems[:_MAX_NAMED]) + more)
    return checks


def _refusal(faults: list[Fault], *, complete: bool, below: str = _ARGUMENTS) -> Deny:
    findings = [_finding(fault.keyword, below + fault.pointer) for fault in faults]
    if not complete:
        findings.append(_finding(MORE_ERRORS, below))
    named = [{"pointer": finding.where, "rule": finding.rule} for finding in findings]
    text = reason_for("invalid_arguments").text
    if faults:
        text = f"{text.removesuffix('.')}: {findings[0].where} breaks {findings[0].rule}."
    return Deny(
        code="invalid_arguments",
        message=text,
        details={"errors": named},
        findings=tuple(findings),
    )


def _refusal_of_header(problem: str) -> Deny:
    return Deny(
        code="header_mismatch",
        message=reason_for("header_mismatch").text,
        details={"header": problem.partition(" ")[0]},
        findings=(Finding(rule=PARAM_HEADER, severity=Severity.MEDIUM, threats=("MCP07",), excerpt=problem[:160]),),
    )


def _refusal_without_schema() -> Deny:
    return Deny(
        code="no_input_schema",
        message=reason_for("no_input_schema").text,
        findings=(Finding(rule=NO_SCHEMA, severity=Severity.LOW),),
    )


def _finding(rule: str, where: str) -> Finding:
    return Finding(rule=rule, severity=Severity.MEDIUM, where=where, threats=_THREATS)


def _rules(settings: SchemaValidationSettings) -> Collection[str]:
    del settings
    return RULES


SCHEMA_VALIDATION = GuardType(
    name="schema_validation",
    settings=SchemaValidationSettings,
    build=SchemaValidation,
    runs_on=frozenset({Phase.TOOL_INVOKE}),
    facts=(CATALOG,),
    code="invalid_arguments",
    rules=_rules,
    unexceptable=frozenset({MORE_ERRORS}),
    summary="Refuses calls whose arguments break the JSON Schema that their tool declares.",
)
