"""``guardsvc check``: messages judged without a gateway, by the same path as a gateway's."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.gateways.denial import deny
from guardsvc.gateways.exchange import Asker, Exchange, judge
from guardsvc.gateways.statement import Statement, judge_response
from guardsvc.mcp import BodyState, HttpRequest
from guardsvc.mcp.mirror import mirrored_headers
from guardsvc.mcp.revisions import response_phase_of
from guardsvc.model import Caller, Decision, Direction, GatewayProtocol, Headers, Kind
from guardsvc.server.configuration import load_configuration
from guardsvc.state import Sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.policy import Policy

__all__ = ["CheckOptions", "run_check"]


@dataclass(frozen=True)
class CheckOptions:
    """What the command line says; see ``guardsvc check --help``."""

    file: str
    config: str | None
    lines: bool
    server: str | None
    host: str
    tenant: str | None
    principal: str | None
    verified: bool
    headers: tuple[str, ...]
    response_to: str | None = None
    subject: str | None = None


def run_check(options: CheckOptions, *, as_json: bool) -> None:
    """Judge every message and print what was decided and why; end with code 1 if any is refused."""
    extra = [_header(text) for text in options.headers]
    policy = load_configuration(None if options.config is None else Path(options.config)).policy
    asker = Asker(
        protocol=GatewayProtocol.CLI,
        caller=Caller(tenant=options.tenant, principal=options.principal, verified=options.verified),
        server_id=options.server,
        can_modify=True,
    )
    refused = False
    for number, body in _messages(options):
        exchange = asyncio.run(_judge(policy, body, asker, options, extra))
        refused = refused or exchange.refusal is not None
        if as_json:
            print(json.dumps({"line": number, **_described(exchange, policy)}, default=str))
        else:
            print(_told(exchange, policy, number if options.lines else None))
    if refused:
        sys.exit(ExitCode.REFUSED)


async def _judge(
    policy: Policy, body: bytes, asker: Asker, options: CheckOptions, extra: list[tuple[str, str]]
) -> Exchange:
    deadline = perf_counter() + policy.deadline
    if options.response_to is None:
        request = _request(body, options.host, extra)
        async with Sources() as sources:
            return await judge(policy, request, asker, deadline=deadline, sources=sources.facts)
    statement = Statement(
        direction=Direction.RESPONSE,
        phase=response_phase_of(options.response_to),
        kind=Kind.RESULT,
        method=options.response_to,
        servers=() if options.server is None else (options.server,),
        subject=options.subject,
        headers=Headers([("host", options.host), *extra]),
    )
    async with Sources() as sources:
        return await judge_response(policy, body, statement, asker, deadline=deadline, sources=sources.facts)


def _messages(options: CheckOptions) -> Iterator[tuple[int, bytes]]:
    try:
        data = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    except OSError as error:
        print(f"guardsvc: {options.file} cannot be read: {error.strerror}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    if not options.lines:
        yield 1, data
        return
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        print(f'guardsvc: --header "{text}" is not of the form "Name: value"', file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    return name.strip(), value.strip()


def _request(body: bytes, host: str, extra: list[tuple[str, str]]) -> HttpRequest:
    """What a conforming client would post, with the given header fields in place of its own."""
    fields = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        **mirrored_headers(body),
    }
    given = {name.lower() for name, _ in extra}
    kept = [(name, value) for name, value in fields.items() if name not in given]
    return HttpRequest(
        method="POST",
        path="/mcp",
        host=host,
        headers=Headers([*kept, *extra]),
        body=body,
        body_state=BodyState.WHOLE if body else BodyState.ABSENT,
    )


def _described(exchange: Exchange, policy: Policy) -> dict[str, Any]:
    leading = exchange.leading
    described: dict[str, Any] = {
        "verdict": leading.verdict,
        "applied": leading.applied,
        "policy": policy.hash,
        "decisions": [_decision(decision) for decision in exchange.decisions],
    }
    if exchange.refusal is not None:
        denial = deny(exchange, status=policy.settings.denials.status, accept=None)
        described["client"] = {"status": denial.status, "body": json.loads(denial.body)}
    return described


def _decision(decision: Decision) -> dict[str, Any]:
    operation = decision.operation
    described: dict[str, Any] = msgspec.to_builtins(
        {
            "decision_id": decision.id,
            "phase": operation.phase,
            "method": operation.method,
            "server": operation.server,
            "subject": operation.subject,
            "revision": operation.revision,
            "verdict": decision.verdict,
            "reason": decision.code,
            "message": decision.message,
            "details": decision.details,
            "guard": decision.guard,
            "guards": decision.outcomes,
            "duration": decision.duration,
        }
    )
    if decision.verdict == "modify":
        described["payload"] = decision.payload
    return described


def _told(exchange: Exchange, policy: Policy, number: int | None) -> str:
    lines = []
    for decision in exchange.decisions:
        operation = decision.operation
        what = " ".join(_plain(name) for name in (operation.method or operation.kind, operation.subject) if name)
        why = f"  {decision.code}" if decision.code else ""
        shadow = "  (shadow: not applied)" if decision.applied != decision.verdict else ""
        prefix = "" if number is None else f"{number}: "
        lines.append(f"{prefix}{decision.verdict.upper():7} {what}{why}{shadow}")
        if decision.message:
            lines.append(f"        {_plain(decision.message)} {_plain(_detail(decision))}".rstrip())
        lines.extend(f"        {_guard_line(outcome)}" for outcome in decision.outcomes)
        if decision.verdict == "modify":
            lines.append(f"        goes on as {_plain(json.dumps(decision.payload, ensure_ascii=False))}")
    if exchange.refusal is not None:
        denial = deny(exchange, status=policy.settings.denials.status, accept=None)
        lines.append(f"        client sees HTTP {denial.status} {_plain(denial.body)}")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """The text with what could steer a terminal, forge a line or hide written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _detail(decision: Decision) -> str:
    return "; ".join(f"{key}: {value}" for key, value in decision.details.items())


def _guard_line(outcome: Any) -> str:
    findings = ", ".join(
        f"{_plain(finding.rule)}{f' at {_plain(finding.where)}' if finding.where else ''}"
        f"{f', set aside by {finding.suppressed_by}' if finding.suppressed_by else ''}"
        for finding in outcome.findings
    )
    parts = [outcome.guard, outcome.error or outcome.verdict, f"{outcome.duration * 1000:.3f} ms"]
    if outcome.mode == "shadow":
        parts.insert(1, "would")
    return " ".join(parts) + (f"  [{findings}]" if findings else "")
