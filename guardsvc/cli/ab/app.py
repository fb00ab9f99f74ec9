"""The command ``guardsvc ab``."""

from __future__ import annotations

from typing import Annotated

import typer

from guardsvc.cli.options import ConfigOption, OutputOption, as_json

__all__ = ["ab_app"]

ab_app = typer.Typer(
    help="Guards with a candidate version (A/B).", no_args_is_help=True, rich_markup_mode=None, callback=lambda: None
)


@ab_app.command("report")
def report(
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics", "-m", metavar="URL|FILE", help="Metrics of a service, - for standard input; one or several."
        ),
    ] = None,
    audit: Annotated[
        list[str] | None,
        typer.Option("--audit", "-a", metavar="FILE", help="File of the audit, with --config; one or several."),
    ] = None,
    config: ConfigOption = None,
    guard: Annotated[str | None, typer.Option(help="Only the guard of this id.")] = None,
    output: OutputOption = "human",
) -> None:
    """Tell how the versions of guards judged. Told are calls and failures of each, times, and how they differ.

    Differences are in the metrics; the audit has what was decided, with exact times, and its arms are told by the
    share and salt of the configuration.
    """
    from guardsvc.cli.ab.report import run_report

    if not metrics and not audit:
        raise typer.BadParameter("--metrics or --audit is needed")
    if audit and config is None:
        raise typer.BadParameter("--audit goes with --config, which says who is in the share")
    run_report(metrics or [], audit or [], config, guard=guard, as_json=as_json(output))
