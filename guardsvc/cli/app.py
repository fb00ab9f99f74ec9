"""The command line application: its commands, and errors told in words instead of tracebacks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, TextIO

import typer

from guardsvc.cli.exit_codes import ExitCode

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

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "console")


def _address(value: str | None) -> str | None:
    from guardsvc.server.settings import host_and_port

    if value is not None:
        try:
            host_and_port(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    return value


def _one_of(*legal: str) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and value not in legal:
            raise typer.BadParameter(f'"{value}" is not one of {", ".join(legal)}')
        return value

    return check


ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        envvar="GUARDSVC_CONFIG",
        help="Configuration file; the built-in policy without one.",
    ),
]
OutputOption = Annotated[str, typer.Option("--output", "-o", callback=_one_of("human", "json"), help="human or json.")]


@app.command()
def serve(
    config: ConfigOption = None,
    grpc_address: Annotated[
        str | None,
        typer.Option(
            envvar="GUARDSVC_GRPC_ADDRESS",
            callback=_address,
            help="Where gateways ask, host:port [default: 127.0.0.1:9191].",
        ),
    ] = None,
    metrics_address: Annotated[
        str | None,
        typer.Option(
            envvar="GUARDSVC_METRICS_ADDRESS",
            callback=_address,
            help="Metrics and probes, host:port [default: 127.0.0.1:9192].",
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(envvar="GUARDSVC_LOG_LEVEL", callback=_one_of(*LOG_LEVELS), help="debug, info, warning or error."),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(envvar="GUARDSVC_LOG_FORMAT", callback=_one_of(*LOG_FORMATS), help="json or console."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no banner; logs say the same.")] = False,
) -> None:
    """Run the service."""
    from guardsvc.cli.serve import run_service

    overrides: dict[str, dict[str, str]] = {}
    for section, key, value in (
        ("grpc", "address", grpc_address),
        ("metrics", "address", metrics_address),
        ("log", "level", log_level),
        ("log", "format", log_format),
    ):
        if value is not None:
            overrides.setdefault(section, {})[key] = value
    run_service(config, overrides, quiet=quiet)


@app.command()
def validate(file: Annotated[str, typer.Argument(help="Configuration file.")], output: OutputOption = "human") -> None:
    """Check a configuration: every problem at once, and what the policy amounts to."""
    from guardsvc.cli.validate import run_validate

    run_validate(file, as_json=_as_json(output))


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="File of JSON-RPC; - is standard input.")] = "-",
    config: ConfigOption = None,
    lines: Annotated[bool, typer.Option("--lines", "-l", help="Each line is a message of its own.")] = False,
    server: Annotated[str | None, typer.Option(help="Id of the MCP server, as a gateway gives it.")] = None,
    host: Annotated[str, typer.Option(help="Host of the request.")] = "localhost",
    tenant: Annotated[str | None, typer.Option(help="Tenant of the caller.")] = None,
    principal: Annotated[str | None, typer.Option(help="Principal of the caller.")] = None,
    verified: Annotated[bool, typer.Option(help="Whether the gateway proved the identity.")] = False,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help="Request header 'Name: value' in place of what a client would send."),
    ] = None,
    output: OutputOption = "human",
) -> None:
    """Judge JSON-RPC messages by a policy, as if a client had posted them. Exit code 1 if any is refused."""
    from guardsvc.cli.check import CheckOptions, run_check

    options = CheckOptions(
        file=file,
        config=config,
        lines=lines,
        server=server,
        host=host,
        tenant=tenant,
        principal=principal,
        verified=verified,
        headers=tuple(header or ()),
    )
    run_check(options, as_json=_as_json(output))


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
    """Show the chain for an operation: the guards in order, which would run, and what becomes of each one's failure."""
    from guardsvc.cli.explain import run_explain

    run_explain(
        config,
        method=method,
        subject=subject,
        server=server,
        tenant=tenant,
        principal=principal,
        as_json=_as_json(output),
    )


@app.command()
def healthcheck(
    address: Annotated[
        str,
        typer.Option(envvar="GUARDSVC_GRPC_ADDRESS", callback=_address, help="The gRPC listener, host:port."),
    ] = "127.0.0.1:9191",
    service: Annotated[str, typer.Option(help="gRPC service; all of them by default.")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait.", min=0.01, max=60)] = 2.0,
) -> None:
    """Ask a running service for its health (grpc.health.v1). Exit code 4 unless it serves."""
    from guardsvc.cli.healthcheck import run_healthcheck

    run_healthcheck(address, service, timeout)


@app.command()
def version(output: OutputOption = "human") -> None:
    """Print the version."""
    import json

    import guardsvc

    print(json.dumps({"version": guardsvc.__version__}) if _as_json(output) else f"guardsvc {guardsvc.__version__}")


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of the configuration, with the guard types installed here."""
    from guardsvc.cli.reference import print_schema

    print_schema()


@config_app.command("reference")
def config_reference() -> None:
    """Print the reference of the configuration, with the guard types installed here."""
    from guardsvc.cli.reference import print_reference

    print_reference()


def _as_json(output: str) -> bool:
    return output == "json"


def main() -> None:
    """Run the command line; faults end with one line on standard error and an exit code of their kind."""
    from guardsvc.config import ConfigError
    from guardsvc.guards.registry import GuardLoadError

    stdout = sys.stdout
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
