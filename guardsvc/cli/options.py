"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

__all__ = ["ConfigOption", "OutputOption", "as_json", "one_of"]


def one_of(*legal: str) -> Callable[[str | None], str | None]:
    """A check that the value of an option is one of these."""

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
OutputOption = Annotated[str, typer.Option("--output", "-o", callback=one_of("human", "json"), help="human or json.")]


def as_json(output: str) -> bool:
    """Whether the value of ``OutputOption`` asks for JSON."""
    return output == "json"
