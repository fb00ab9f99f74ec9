"""The command ``guardsvc scan``."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from guardsvc.cli.options import one_of
from guardsvc.model import Severity

__all__ = ["scan_app"]

scan_app = typer.Typer()

COMMAND = "guardsvc.scan.command"
NEVER = "never"
SEVERITIES = tuple(map(str, Severity))


class _WithCommand(TyperCommand):
    """A command whose arguments behind ``--`` are another program's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep what stands behind ``--`` apart."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[COMMAND] = tuple(args[at + 1 :])
            args = args[:at]
        left: list[str] = super().parse_args(ctx, args)
        return left

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Tell of it in the usage."""
        pieces: list[str] = super().collect_usage_pieces(ctx)
        return [*pieces, "[-- COMMAND...]"]


@scan_app.command(cls=_WithCommand)
def scan(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TARGET]...", help="URL of a server, or a file of saved lists; - is standard input."),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "-c",
            "--policy",
            "-p",
            envvar="GUARDSVC_CONFIG",
            help="Configuration file; the built-in policy without one.",
        ),
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="Id of the server in the policy, or its name; what it calls itself without.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Tenant that would be shown the lists.")] = None,
    principal: Annotated[str | None, typer.Option(help="Principal that would be shown them.")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header", "-H", help="Header field 'Name: value' of requests; ${env:NAME} and ${file:/path} are replaced."
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", help="Variable of the command: NAME for that of this process, or NAME=VALUE."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="FILE", help="Lockfile of `baseline export` to compare with.")
    ] = None,
    severity: Annotated[
        str, typer.Option(callback=one_of(*SEVERITIES), help=f"Least severity that is shown: {', '.join(SEVERITIES)}.")
    ] = "low",
    fail_on: Annotated[
        str,
        typer.Option(callback=one_of(*SEVERITIES, NEVER), help="Least severity that ends with code 1, or never."),
    ] = "medium",
    timeout: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds that a server may take.")] = 60.0,
    max_bytes: Annotated[int, typer.Option(min=1024, max=1 << 30, help="Bytes that a server may send.")] = 32 << 20,
    max_entries: Annotated[int, typer.Option(min=1, max=1_000_000, help="Entries that a list may have.")] = 20_000,
    max_pages: Annotated[int, typer.Option(min=1, max=100_000, help="Pages that a list may have.")] = 200,
    output: Annotated[
        str,
        typer.Option("--output", "-o", callback=one_of("human", "json", "sarif"), help="human, json or sarif."),
    ] = "human",
) -> None:
    """Judge all that MCP servers say of themselves. Each is judged as a whole catalog.

    That is its tools, prompts, resources and instructions. A command is started and asked over its standard input and
    output: guardsvc scan -- npx some-server. Exit code 1 if anything is found that counts (--fail-on) or differs from
    the baseline, 4 if a server cannot be asked.
    """
    from guardsvc.cli.scan.catalog import Bounds
    from guardsvc.cli.scan.run import ScanOptions, run_scan

    command: Any = ctx.meta.get(COMMAND, ())
    if not targets and not command:
        raise typer.BadParameter("name a URL or a file, or a command behind --")
    if env and not command:
        raise typer.BadParameter("--env is for a command behind --")
    bounds = Bounds(
        seconds=timeout,
        message_bytes=min(max_bytes, Bounds().message_bytes),
        total_bytes=max_bytes,
        pages=max_pages,
        entries=max_entries,
    )
    options = ScanOptions(
        targets=tuple(targets or ()),
        command=command,
        config=config,
        server=server,
        tenant=tenant,
        principal=principal,
        headers=tuple(header or ()),
        environment=tuple(env or ()),
        baseline=baseline,
        show=Severity(severity),
        fail_on=None if fail_on == NEVER else Severity(fail_on),
        bounds=bounds,
    )
    run_scan(options, output=output)
