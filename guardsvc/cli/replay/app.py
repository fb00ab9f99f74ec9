"""The command ``guardsvc replay``."""

from __future__ import annotations

from typing import Annotated

import typer

from guardsvc.cli.capture.app import Files, Keys
from guardsvc.cli.options import OutputOption, as_json

__all__ = ["replay_app"]

replay_app = typer.Typer()


@replay_app.command()
def replay(
    files: Files,
    policy: Annotated[str, typer.Option("--policy", "-p", help="Configuration file to judge by.")],
    key: Keys = None,
    config: Annotated[
        str | None,
        typer.Option("--config", "-c", envvar="GUARDSVC_CONFIG", help="Configuration of the service, for its key."),
    ] = None,
    verdicts: Annotated[
        bool,
        typer.Option("--verdicts", help="Compare verdicts, also those that `mode: shadow` keeps from being applied."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Kinds of flips that are shown, of each direction.")] = 50,
    output: OutputOption = "human",
) -> None:
    """Judge captured operations again. Shown is what would be decided otherwise, DENY -> ALLOW first.

    Nothing is sent, consumed or learned. Exit code 1 if anything flips, 7 if nothing could be judged again.
    """
    from guardsvc.cli.replay.run import run_replay

    run_replay(files, policy, key or (), config, verdicts=verdicts, most=limit, as_json=as_json(output))
