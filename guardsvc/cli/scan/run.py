"""Run: from targets to findings, their output and the exit code."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import re2
from pydantic import TypeAdapter, ValidationError

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.plain import plain
from guardsvc.cli.scan.against import BASELINE, changes_since
from guardsvc.cli.scan.catalog import Bounds, Catalog, ScanError
from guardsvc.cli.scan.judge import Found, Scanned, judge, named_as
from guardsvc.cli.scan.sarif import sarif
from guardsvc.cli.scan.saved import read_saved
from guardsvc.cli.scan.told import Disguise, described, table
from guardsvc.config import Secret
from guardsvc.model import Caller, Severity
from guardsvc.server.configuration import load_configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from guardsvc.mcp import Limits
    from guardsvc.policy import Policy

__all__ = ["ScanOptions", "run_scan"]

URLS = ("http://", "https://")
ORDER = tuple(Severity)
_REFERENCE = re2.compile(r"\$\{(?:env|file):[^{}]*\}")
_FIELD_NAME = re2.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re2.compile(r"[\t\x20-\x7e]*")


@dataclass(frozen=True)
class ScanOptions:
    """What the command line says; see ``guardsvc scan --help``."""

    targets: tuple[str, ...]
    command: tuple[str, ...]
    config: str | None
    server: str | None
    tenant: str | None
    principal: str | None
    headers: tuple[str, ...]
    environment: tuple[str, ...]
    baseline: str | None
    show: Severity
    fail_on: Severity | None
    bounds: Bounds


def run_scan(options: ScanOptions, *, output: str) -> None:
    """Scan every target and print what was found; the exit code says how bad it is."""
    policy = load_configuration(None if options.config is None else Path(options.config)).policy
    fields = [_field(text) for text in options.headers]
    environment = dict(_variable(text) for text in options.environment)
    disguise = Disguise([value for _, value in fields] + list(environment.values()))
    scanned: list[Scanned] = []
    failed: dict[str, str] = {}
    for target, read in _readers(options, fields, environment, policy.rules.response_limits):
        try:
            catalog = read()
        except ScanError as error:
            failed[target] = str(error)
        else:
            scanned.append(Scanned(catalog=catalog, server=named_as(policy, catalog, options.server)))
    caller = Caller(tenant=options.tenant, principal=options.principal, verified=options.tenant is not None)
    findings = judge(policy, scanned, caller)
    if options.baseline is not None:
        try:
            findings += changes_since(Path(options.baseline), policy, scanned, options.tenant)
        except ScanError as error:
            _wrong(str(error))
    findings = _in_order(found for found in findings if _at_least(found, options.show) or found.guard == BASELINE)
    _print(policy, scanned, findings, failed, disguise, output)
    if any(found.guard == BASELINE or _fails(found, options.fail_on) for found in findings):
        sys.exit(ExitCode.REFUSED)
    if failed:
        sys.exit(ExitCode.UNAVAILABLE)


def _readers(
    options: ScanOptions, fields: list[tuple[str, str]], environment: dict[str, str], limits: Limits
) -> list[tuple[str, Callable[[], Catalog]]]:
    """What reads each target, by the name that is shown of it."""
    readers: list[tuple[str, Callable[[], Catalog]]] = []
    for target in options.targets:
        if target.startswith(URLS):
            live = _live()
            readers.append((_shown(target), partial(live.ask_url, target, fields, options.bounds, limits)))
        else:
            readers.append((target, partial(_read_file, target, options.bounds)))
    if options.command:
        live = _live()
        ask = partial(live.ask_command, options.command, environment, options.bounds, limits)
        readers.append((f"stdio:{options.command[0]}", ask))
    return readers


def _live() -> ModuleType:
    """The module that needs the SDK."""
    try:
        return import_module("guardsvc.cli.scan.live")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith(("mcp", "anyio", "httpx2")):
            raise
        _wrong("to ask a server, scan needs the MCP SDK: pip install 'guardsvc[scan]'; saved lists are read without")


def _read_file(target: str, bounds: Bounds) -> Catalog:
    try:
        if target == "-":
            data = sys.stdin.buffer.read(bounds.total_bytes + 1)
        else:
            with Path(target).open("rb") as file:
                data = file.read(bounds.total_bytes + 1)
    except OSError as error:
        _wrong(f"{target} cannot be read: {error.strerror}")
    try:
        return read_saved(Path(target), data, bounds)
    except ScanError as error:
        _wrong(str(error))


def _print(
    policy: Policy,
    scanned: list[Scanned],
    findings: list[Found],
    failed: dict[str, str],
    disguise: Disguise,
    output: str,
) -> None:
    if output == "json":
        print(json.dumps(disguise.of(described(policy, scanned, findings, failed)), ensure_ascii=False))
    elif output == "sarif":
        files = {each.catalog.target: _text(each.catalog.file) for each in scanned if each.catalog.file}
        print(json.dumps(disguise.of(sarif(findings, files=files, complete=not failed)), indent=2))
        for target, reason in failed.items():
            print(disguise(f"guardsvc: {plain(target)} not scanned: {plain(reason)}"), file=sys.stderr)
    else:
        for line in table(policy, scanned, findings, failed):
            print(disguise(line))


def _text(file: str) -> str:
    try:
        return "" if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _in_order(findings: Iterable[Found]) -> list[Found]:
    return sorted(
        findings, key=lambda each: (-ORDER.index(each.severity), each.target, each.kind, each.name, each.rule)
    )


def _at_least(found: Found, severity: Severity) -> bool:
    return ORDER.index(found.severity) >= ORDER.index(severity)


def _fails(found: Found, severity: Severity | None) -> bool:
    return severity is not None and _at_least(found, severity)


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    name = name.strip()
    if not colon or not _FIELD_NAME.fullmatch(name):
        _wrong('--header is not of the form "Name: value"')
    value = _resolved(value.strip(), f"--header {name}")
    if not _FIELD_VALUE.fullmatch(value):
        _wrong(f"--header {name}: the value has characters that a header field must not have")
    return name, value


def _variable(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not given:
        if name not in os.environ:
            _wrong(f"--env {name}: there is no such variable; NAME=VALUE sets one")
        value = os.environ[name]
    return name, _resolved(value, f"--env {name}")


def _resolved(value: str, option: str) -> str:
    """The value with what ``${env:NAME}`` and ``${file:/path}`` in it stand for."""
    for reference in _REFERENCE.findall(value):
        try:
            secret: Secret = TypeAdapter(Secret).validate_python(reference)
        except ValidationError as error:
            _wrong(f"{option}: {error.errors()[0]['msg']}")
        value = value.replace(reference, secret.reveal())
    return value


def _shown(url: str) -> str:
    """A URL without what may be secret in it."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path.partition('?')[0].partition('#')[0]}"


def _wrong(message: str) -> NoReturn:
    print(f"guardsvc: {plain(message)}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)
