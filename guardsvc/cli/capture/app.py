"""The commands ``guardsvc capture``."""

from __future__ import annotations

from typing import Annotated

import typer

from guardsvc.cli.options import ConfigOption, OutputOption, as_json

__all__ = ["Files", "Keys", "capture_app"]

capture_app = typer.Typer(
    help="Operations that the service captured (service.capture).", no_args_is_help=True, rich_markup_mode=None
)

Files = Annotated[list[str], typer.Argument(help="Capture files, rotated ones too, in any order.")]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", "-k", help="Key as env:NAME or file:PATH; may be given several times."),
]


@capture_app.command()
def keygen() -> None:
    """Print a new key for service.capture.key."""
    from guardsvc.observe.capture import new_key

    print(new_key())


@capture_app.command()
def show(
    files: Files,
    key: Keys = None,
    config: ConfigOption = None,
    decision: Annotated[str | None, typer.Option(help="Only this decision, with everything that is known.")] = None,
    output: OutputOption = "human",
) -> None:
    """Show what was captured. There is one line for each operation, or all of one."""
    from guardsvc.cli.capture.run import run_show

    run_show(files, key or (), config, decision, as_json=as_json(output))


@capture_app.command()
def export(
    files: Files,
    to: Annotated[str, typer.Option("--to", help="File to write with mode 0600; - is standard output.")] = "-",
    key: Keys = None,
    config: ConfigOption = None,
) -> None:
    """Write what was captured as JSON lines. Nobody needs a key for them; they hold what clients and servers sent."""
    from guardsvc.cli.capture.run import run_export

    run_export(files, key or (), config, to)
