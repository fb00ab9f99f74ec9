"""The command line application: its commands, and errors told in words instead of tracebacks."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, TextIO

import structlog
import typer

from guardsvc.cli.ab.app import ab_app
from guardsvc.cli.baseline import baseline_app
from guardsvc.cli.capture.app import capture_app
from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.offline import offline
from guardsvc.cli.options import (
    ConfigOption,
    GrpcAddressOption,
    MetricsAddressOption,
    OutputOption,
    WorkersOption,
    as_json,
    one_of,
)
from guardsvc.cli.replay.app import replay_app
from guardsvc.cli.scan.app import scan_app
from guardsvc.cli.wasm import wasm_app

__all__ = ["app", "main"]

app = typer.Typer(
    name="guardsvc",
    help="The decision service that an MCP gateway asks about each operation.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="The configuration's schema and reference.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(config_app, name="config")
audit_app = typer.Typer(help="The audit's files.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(audit_app, name="audit")
app.add_typer(ab_app, name="ab")
exception_app = typer.Typer(help="The policy's exceptions.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(exception_app, name="exception")
app.add_typer(offline)
app.add_typer(scan_app)
app.add_typer(replay_app)
app.add_typer(capture_app, name="capture")
app.add_typer(baseline_app, name="baseline")
app.add_typer(wasm_app, name="wasm")

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "console")


def _instant(value: str | None) -> str | None:
    from datetime import datetime

    if value is not None:
        try:
            aware = datetime.fromisoformat(value).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            raise typer.BadParameter(f'"{value}" is not an instant with a UTC offset, such as 2030-01-01T00:00:00Z')
    return value


@app.command()
def serve(
    config: ConfigOption = None,
    grpc_address: GrpcAddressOption = None,
    metrics_address: MetricsAddressOption = None,
    workers: WorkersOption = None,
    log_level: Annotated[
        str | None,
        typer.Option(envvar="GUARDSVC_LOG_LEVEL", callback=one_of(*LOG_LEVELS), help="debug, info, warning or error."),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(envvar="GUARDSVC_LOG_FORMAT", callback=one_of(*LOG_FORMATS), help="json or console."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no banner; logs say the same.")] = False,
) -> None:
    """Run the service."""
    from guardsvc.cli.serve import run_service

    overrides: dict[str, Any] = {} if workers is None else {"workers": workers}
    if grpc_address is not None:
        overrides["listeners"] = {"default": {"address": grpc_address}}
    for section, key, value in (
        ("metrics", "address", metrics_address),
        ("log", "level", log_level),
        ("log", "format", log_format),
    ):
        if value is not None:
            overrides.setdefault(section, {})[key] = value
    run_service(config, overrides, quiet=quiet)


@app.command()
def validate(file: Annotated[str, typer.Argument(help="Configuration file.")], output: OutputOption = "human") -> None:
    """Check a configuration. Every problem is told at once, and what is legal but seldom meant."""
    from guardsvc.cli.validate import run_validate

    run_validate(file, as_json=as_json(output))


@app.command()
def explain(
    config: ConfigOption = None,
    method: Annotated[str, typer.Option(help="JSON-RPC method of the operation.")] = "tools/call",
    subject: Annotated[str | None, typer.Option("--tool", "--subject", help="Tool, prompt or resource URI.")] = None,
    server: Annotated[str | None, typer.Option(help="Id of the MCP server, as a gateway gives it.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Tenant of the caller.")] = None,
    principal: Annotated[str | None, typer.Option(help="Principal of the caller.")] = None,
    output: OutputOption = "human",
) -> None:
    """Show the chain for an operation. It has the guards in order, which would run, and what becomes of failures."""
    from guardsvc.cli.explain import run_explain

    run_explain(
        config,
        method=method,
        subject=subject,
        server=server,
        tenant=tenant,
        principal=principal,
        as_json=as_json(output),
    )


@app.command()
def healthcheck(
    config: ConfigOption = None,
    address: GrpcAddressOption = None,
    workers: WorkersOption = None,
    metrics_address: MetricsAddressOption = None,
    service: Annotated[str, typer.Option(help="gRPC service of a single process; all of them by default.")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait.", min=0.01, max=60)] = 2.0,
) -> None:
    """Ask a running service for its health. Several workers are asked through /readyz. Exit code 4 unless it serves."""
    from guardsvc.cli.healthcheck import run_healthcheck

    run_healthcheck(
        config,
        address=address,
        metrics_address=metrics_address,
        workers=workers,
        service=service,
        timeout=timeout,
    )


@app.command()
def bench(
    rounds: Annotated[int, typer.Option(help="Times that every candidate is measured.", min=1, max=100)] = 3,
    seconds: Annotated[float, typer.Option(help="Seconds of load in each round.", min=0.1, max=60)] = 2.0,
    hostile: Annotated[
        bool, typer.Option("--hostile", help="Measure how the cost of hostile messages grows with their size instead.")
    ] = False,
    only: Annotated[str, typer.Option(help="Hostile messages built against this guard, or with this name.")] = "",
    wasm: Annotated[str, typer.Option(help="Measure a WASM guard instead: the path of its component.")] = "",
    wasm_config: Annotated[str, typer.Option(help="Settings of that component, a JSON object.")] = "{}",
    output: OutputOption = "human",
) -> None:
    """Measure what a decision costs. An empty gRPC handler is beside it, in one run on this machine (Linux)."""
    from guardsvc.cli.bench import run_bench, run_hostile

    if wasm:
        import json

        from guardsvc.cli.bench.wasm import run_wasm
        from guardsvc.cli.wasm.trial import quiet, trial

        with trial(), quiet():
            run_wasm(wasm, json.loads(wasm_config), rounds=rounds, as_json=as_json(output))
        return
    if hostile:
        run_hostile(repeats=rounds, only=only, as_json=as_json(output))
        return
    run_bench(rounds=rounds, seconds=seconds, as_json=as_json(output))


@app.command()
def version(output: OutputOption = "human") -> None:
    """Print the version."""
    import json

    import guardsvc

    print(json.dumps({"version": guardsvc.__version__}) if as_json(output) else f"guardsvc {guardsvc.__version__}")


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of the configuration. It has the guard types that are installed here."""
    from guardsvc.cli.reference import print_schema

    print_schema()


@config_app.command("reference")
def config_reference() -> None:
    """Print the reference of the configuration. It has the guard types that are installed here."""
    from guardsvc.cli.reference import print_reference

    print_reference()


@audit_app.command("verify")
def audit_verify(
    files: Annotated[list[str], typer.Argument(help="Files, rotated ones too, in any order.")],
    key: Annotated[
        list[str] | None,
        typer.Option("--key", "-k", help="Key as ID=env:NAME or ID=file:PATH; may be given several times."),
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = "human",
) -> None:
    """Check that no record was changed, removed or added. Exit code 6 if one was."""
    from guardsvc.cli.audit import run_verify

    run_verify(files, key or (), config, as_json=as_json(output))


@exception_app.command("add")
def exception_add(
    decision: Annotated[
        str, typer.Option("--from", metavar="DECISION_ID", help="Decision whose findings are false, from a denial.")
    ],
    audit: Annotated[list[str], typer.Option(help="File of the audit; may be given several times.")],
    config: Annotated[str, typer.Option("--config", "-c", envvar="GUARDSVC_CONFIG", help="Configuration file.")],
    reason: Annotated[str, typer.Option(help="Why they are false.")],
    until: Annotated[
        str | None,
        typer.Option(callback=_instant, help="Instant from which on they count again, such as 2030-01-01T00:00:00Z."),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Only findings of this rule; may be given several times. All of the refusing guard if none."),
    ] = None,
    for_caller: Annotated[bool, typer.Option("--for-caller", help="Only for the principal of the decision.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put it into the file instead of printing it.")] = False,
) -> None:
    """Make an exception of the findings of an audited decision. It is printed, or written into the file."""
    from guardsvc.cli.exception import AddOptions, run_add

    run_add(
        AddOptions(
            decision=decision,
            audit=tuple(audit),
            config=config,
            reason=reason,
            until=until,
            rules=tuple(rule or ()),
            for_caller=for_caller,
            write=write,
        )
    )


def main() -> None:
    """Run the command line; faults end with one line on standard error and an exit code of their kind."""
    from guardsvc.config import ConfigError
    from guardsvc.guards.registry import GuardLoadError

    stdout = sys.stdout
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))  # standard output is the command's
    try:
        app()
    except SystemExit:
        _say_the_rest(stdout)
        raise
    except (ConfigError, GuardLoadError) as error:
        _end(str(error), ExitCode.CONFIGURATION)
    except Exception as error:
        if os.environ.get("GUARDSVC_TRACEBACK"):
            raise
        _end(
            f"internal error: {type(error).__name__}: {error} (GUARDSVC_TRACEBACK=1 shows where)",
            ExitCode.INTERNAL,
        )


def _say_the_rest(stdout: TextIO) -> None:
    """Write out what is buffered. Whoever reads it may be gone, which is no fault and no news to anyone.

    Typer ends a command that writes to a closed pipe with code 1, which here means a refusal, and leaves
    another ``sys.stdout`` behind.
    """
    try:
        stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
    if sys.stdout is not stdout:
        sys.exit(ExitCode.CUT_SHORT)


def _end(message: str, code: ExitCode) -> None:
    print(f"guardsvc: {message}", file=sys.stderr)
    sys.exit(code)
