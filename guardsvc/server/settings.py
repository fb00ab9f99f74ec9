"""Settings of the ``service`` section: what is fixed while the process runs, but for the log level."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from guardsvc.config import Secret
from guardsvc.model import Settings
from guardsvc.observe.logs import LogFormat, LogLevel

__all__ = [
    "Address",
    "GrpcSettings",
    "HttpSettings",
    "LogSettings",
    "SealSettings",
    "ServiceSettings",
    "host_and_port",
]

ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})")
MIB = 1_048_576


def host_and_port(address: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[IPv6]:port``.

    Raises:
        ValueError: it is neither, or the port is above 65535.
    """
    found = ADDRESS.fullmatch(address)
    if found is None or int(found[3]) > 65_535:  # noqa: PLR2004
        raise ValueError(f'"{address[:80]}" is not host:port or [IPv6]:port with a port from 0 to 65535')
    return found[1] or found[2], int(found[3])


def _check_address(address: str) -> str:
    host_and_port(address)
    return address


Address = Annotated[str, AfterValidator(_check_address)]


class GrpcSettings(Settings):
    """The listener that gateways ask."""

    address: Address = Field(default="127.0.0.1:9191", description="Where it listens; port 0 takes a free one.")
    max_message_bytes: int = Field(
        default=16 * MIB,
        ge=MIB,
        le=128 * MIB,
        description="Largest message accepted; must exceed what the gateway buffers, or large bodies become "
        "errors instead of refusals.",
    )


class HttpSettings(Settings):
    """The listener for `/metrics`, `/livez`, `/readyz` and `/version`."""

    address: Address = Field(default="127.0.0.1:9192", description="Where it listens; port 0 takes a free one.")


class LogSettings(Settings):
    """Logs, on standard error."""

    level: LogLevel = Field(default="info", description="Lowest level shown; changes on reload.")
    format: LogFormat = Field(default="json", description="One JSON object per line, or lines for a person.")


class SealSettings(Settings):
    """The seal of correlation tokens."""

    keys: tuple[Secret, ...] = Field(
        default=(),
        description="Keys of at least 16 characters; the first seals, all open. Without one a random key is "
        "made at start, which no other worker, replica or later process shares.",
    )
    lifetime_s: float = Field(default=3600, gt=0, le=604_800, description="Seconds a token is good for.")


class ServiceSettings(Settings):
    """How the process runs."""

    grpc: GrpcSettings = Field(default=GrpcSettings(), description="The listener that gateways ask.")
    metrics: HttpSettings = Field(default=HttpSettings(), description="The listener for metrics and probes.")
    log: LogSettings = Field(default=LogSettings(), description="Logs.")
    seal: SealSettings = Field(default=SealSettings(), description="The seal of correlation tokens.")
    shutdown_grace_s: float = Field(
        default=10, ge=0, le=300, description="Seconds that decisions under way may take after SIGTERM."
    )
