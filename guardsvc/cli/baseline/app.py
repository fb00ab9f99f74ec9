"""The commands of ``guardsvc baseline``."""

from __future__ import annotations

from typing import Annotated

import typer

from guardsvc.cli.options import OutputOption, as_json

__all__ = ["baseline_app"]

baseline_app = typer.Typer(
    help="The pins of rug_pull: what is trusted of each server.", no_args_is_help=True, rich_markup_mode=None
)

ConfigFile = Annotated[str, typer.Option("--config", "-c", envvar="GUARDSVC_CONFIG", help="Configuration file.")]
GuardId = Annotated[str | None, typer.Option("--guard", help="Id of the guard, where there are several.")]
Tenant = Annotated[str | None, typer.Option(help='Only of this tenant; "" is who is of none.')]
Server = Annotated[str | None, typer.Option(help="Only of this server.")]
Shadow = Annotated[bool, typer.Option("--shadow", help="What was learned in shadow mode, which is kept apart.")]
Names = Annotated[list[str] | None, typer.Argument(help="Names of tools, prompts and resources.")]
All = Annotated[bool, typer.Option("--all", help="All of them, in place of names.")]


@baseline_app.command("list")
def list_(
    config: ConfigFile,
    guard: GuardId = None,
    tenant: Tenant = None,
    server: Server = None,
    shadow: Shadow = False,
    output: OutputOption = "human",
) -> None:
    """Show what is pinned and how far it is trusted."""
    from guardsvc.cli.baseline.run import Selection, run_list

    run_list(Selection(config, guard, tenant, server, shadow), as_json=as_json(output))


@baseline_app.command()
def diff(
    config: ConfigFile,
    file: Annotated[
        str | None, typer.Argument(help="Lockfile to compare with; what has changed since it was pinned without one.")
    ] = None,
    guard: GuardId = None,
    tenant: Tenant = None,
    server: Server = None,
    shadow: Shadow = False,
    output: OutputOption = "human",
) -> None:
    """Show what has changed, by kinds of change. Exit code 1 if anything has."""
    from guardsvc.cli.baseline.changes import run_diff
    from guardsvc.cli.baseline.run import Selection

    run_diff(Selection(config, guard, tenant, server, shadow), file, as_json=as_json(output))


@baseline_app.command()
def approve(
    config: ConfigFile,
    names: Names = None,
    every: All = False,
    by: Annotated[str, typer.Option(help="Who approves; kept with the pin.")] = "",
    guard: GuardId = None,
    tenant: Tenant = None,
    server: Server = None,
    shadow: Shadow = False,
) -> None:
    """Approve what servers show now. That is what was learned, and what has changed."""
    from guardsvc.cli.baseline.run import Selection, run_approve

    run_approve(Selection(config, guard, tenant, server, shadow), names or (), every=every, by=by)


@baseline_app.command()
def reset(
    config: ConfigFile,
    names: Names = None,
    every: All = False,
    guard: GuardId = None,
    tenant: Tenant = None,
    server: Server = None,
    shadow: Shadow = False,
) -> None:
    """Forget pins, so that what they named is unknown again."""
    from guardsvc.cli.baseline.run import Selection, run_reset

    run_reset(Selection(config, guard, tenant, server, shadow), names or (), every=every)


@baseline_app.command()
def export(
    config: ConfigFile,
    file: Annotated[str, typer.Argument(help="Lockfile to write; - for standard output.")] = "-",
    learning: Annotated[
        bool, typer.Option("--learning", help="Also what nobody has approved; in the file it counts as approved.")
    ] = False,
    guard: GuardId = None,
    tenant: Tenant = None,
    server: Server = None,
    shadow: Shadow = False,
) -> None:
    """Write a lockfile of what is approved."""
    from guardsvc.cli.baseline.files import run_export
    from guardsvc.cli.baseline.run import Selection

    run_export(Selection(config, guard, tenant, server, shadow), file, learning=learning)


@baseline_app.command("import")
def import_(
    config: ConfigFile,
    file: Annotated[str, typer.Argument(help="Lockfile to read.")],
    guard: GuardId = None,
    tenant: Tenant = None,
    server: Server = None,
    shadow: Shadow = False,
) -> None:
    """Approve everything that a lockfile names."""
    from guardsvc.cli.baseline.files import run_import
    from guardsvc.cli.baseline.run import Selection

    run_import(Selection(config, guard, tenant, server, shadow), file)
