"""The command: what is read, judged and said."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn

import msgspec

from guardsvc.cli.check.places import Places
from guardsvc.cli.check.told import described, told
from guardsvc.cli.exit_codes import ExitCode
from guardsvc.gateways.exchange import Asker, Exchange, judge
from guardsvc.gateways.statement import Statement, judge_response
from guardsvc.mcp.mirror import conforming_post
from guardsvc.mcp.revisions import response_phase_of
from guardsvc.model import Caller, Direction, GatewayProtocol, Headers, Kind
from guardsvc.server.configuration import load_configuration
from guardsvc.state import Sources
from guardsvc.traffic import Capture, Captured, Form, TrafficError, form_of, read_capture

if TYPE_CHECKING:
    from guardsvc.mcp import HttpRequest
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
    har: bool = False
    one: bool = False


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
    capture = _capture(options)
    refused = False
    for item in capture.items:
        exchange = asyncio.run(_judge(policy, item, _asked_by(asker, item), options, extra))
        refused = refused or exchange.refusal is not None
        places = Places(exchange, item)
        if as_json:
            number = {"entry" if capture.form is Form.HAR else "line": item.number}
            print(json.dumps({**number, **described(exchange, policy, places)}, default=str))
        else:
            print(told(exchange, policy, places, None if capture.form is Form.MESSAGE else item.number))
    if capture.passed_over:
        print(f"{options.file}: {capture.passed_over} other requests passed over", file=sys.stderr)
    if refused:
        sys.exit(ExitCode.REFUSED)


def _asked_by(asker: Asker, item: Captured) -> Asker:
    """The asker, with what the file says of the caller where the command line does not."""
    caller = Caller(
        tenant=asker.caller.tenant or item.tenant,
        principal=asker.caller.principal or item.principal,
        verified=asker.caller.verified or item.verified is True,
    )
    return msgspec.structs.replace(asker, caller=caller, server_id=asker.server_id or item.server)


async def _judge(
    policy: Policy, item: Captured, asker: Asker, options: CheckOptions, extra: list[tuple[str, str]]
) -> Exchange:
    deadline = perf_counter() + policy.deadline
    if options.response_to is None:
        request = (
            conforming_post(item.body, options.host, extra) if item.request is None else _over(item.request, extra)
        )
        async with Sources() as sources:
            return await judge(policy, request, asker, deadline=deadline, sources=sources.facts)
    statement = Statement(
        direction=Direction.RESPONSE,
        phase=response_phase_of(options.response_to),
        kind=Kind.RESULT,
        method=options.response_to,
        servers=() if asker.server_id is None else (asker.server_id,),
        subject=options.subject,
        headers=Headers([("host", options.host), *extra]),
    )
    async with Sources() as sources:
        return await judge_response(policy, item.body, statement, asker, deadline=deadline, sources=sources.facts)


def _over(request: HttpRequest, extra: list[tuple[str, str]]) -> HttpRequest:
    """The request with the given header fields in place of its own."""
    given = {name.lower() for name, _ in extra}
    kept = [(name, value) for name in request.headers if name not in given for value in request.headers.all(name)]
    return msgspec.structs.replace(request, headers=Headers([*kept, *extra]))


def _capture(options: CheckOptions) -> Capture:
    try:
        data = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    except OSError as error:
        _wrong(f"{options.file} cannot be read: {error.strerror}")
    try:
        return read_capture(data, _form(options, data))
    except TrafficError as error:
        _wrong(f"{options.file}: {error}")


def _form(options: CheckOptions, data: bytes) -> Form:
    if options.har:
        return Form.HAR
    if options.lines:
        return Form.LINES
    return Form.MESSAGE if options.one or options.response_to is not None else form_of(data)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        _wrong(f'--header "{text}" is not of the form "Name: value"')
    return name.strip(), value.strip()


def _wrong(message: str) -> NoReturn:
    print(f"guardsvc: {message}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)
