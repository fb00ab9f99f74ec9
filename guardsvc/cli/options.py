"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

__all__ = [
    "ConfigOption",
    "GrpcAddressOption",
    "MetricsAddressOption",
    "OutputOption",
    "WorkersOption",
    "as_json",
    "one_of",
]

MAX_WORKERS = 64


def one_of(*legal: str) -> Callable[[str | None], str | None]:
    """A check that the value of an option is one of these."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in legal:
            raise typer.BadParameter(f'"{value}" is not one of {", ".join(legal)}')
        return value

    return check


def _address(value: str | None) -> str | None:
    from guardsvc.server.settings import host_and_port

    if value is not None:
        try:
            host_and_port(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    return value


def _listen_address(value: str | None) -> str | None:
    from guardsvc.server.address import UNIX, unix_path

    if value is None or not value.startswith(UNIX):
        return _address(value)
    try:
        unix_path(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return value


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


GrpcAddressOption = Annotated[
    str | None,
    typer.Option(
        envvar="GUARDSVC_GRPC_ADDRESS",
        callback=_listen_address,
        help="Where gateways ask, host:port or unix:/path [default: 127.0.0.1:9191].",
    ),
]
MetricsAddressOption = Annotated[
    str | None,
    typer.Option(
        envvar="GUARDSVC_METRICS_ADDRESS",
        callback=_address,
        help="Metrics and probes, host:port [default: 127.0.0.1:9192].",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        envvar="GUARDSVC_WORKERS",
        min=1,
        max=MAX_WORKERS,
        help="Processes that take decisions, each on a port of its own [default: 1].",
    ),
]


def as_json(output: str) -> bool:
    """Whether the value of ``OutputOption`` asks for JSON."""
    return output == "json"
