"""Settings of the ``service`` section: what is fixed while the process runs, but for the log level."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from guardsvc.config import Secret
from guardsvc.guards.wasm import WasmOptions
from guardsvc.model import Settings, SettingsError
from guardsvc.observe.logs import LogFormat, LogLevel
from guardsvc.server.address import host_and_port
from guardsvc.server.audit_settings import AuditSettings
from guardsvc.server.capture_settings import CaptureSettings
from guardsvc.server.listener_settings import ListenerSettings
from guardsvc.server.load_settings import LargeBodySettings, OverloadSettings

__all__ = [
    "DEFAULT_LISTENER",
    "Address",
    "GrpcSettings",
    "HttpSettings",
    "LogSettings",
    "SealSettings",
    "ServiceSettings",
    "host_and_port",
]

MIB = 1_048_576
MAX_WORKERS = 64

DEFAULT_LISTENER = "default"
"""The listener there is where none is configured, and the one whose address flags and variables set."""


def _check_address(address: str) -> str:
    host_and_port(address)
    return address


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ValueError(f'"{name[:80]}" is not a name of letters, digits, - and _')
    return name


Address = Annotated[str, AfterValidator(_check_address)]
ListenerName = Annotated[str, AfterValidator(_check_name)]


class GrpcSettings(Settings):
    """What all gRPC listeners have in common."""

    max_message_bytes: int = Field(
        default=16 * MIB,
        ge=MIB,
        le=128 * MIB,
        description="Largest message accepted; must exceed what the gateway buffers, or large bodies become "
        "errors instead of refusals.",
    )
    max_connection_age_s: float | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="Seconds after which a connection is asked to be made anew, give or take a tenth; no limit by "
        "default. Calls under way finish.",
    )
    max_connection_age_grace_s: float | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="Seconds that calls under way may take on a connection that is too old; no limit by default.",
    )
    max_connections: int = Field(
        default=2048,
        ge=1,
        le=100_000,
        description="Connections that a listener of a worker takes; further ones are closed at once.",
    )
    max_concurrent_streams: int = Field(
        default=256,
        ge=1,
        le=100_000,
        description="Calls that one connection may have under way; gateways wait with more or open another one.",
    )
    keepalive_s: float = Field(
        default=60, ge=5, le=7200, description="Seconds of silence after which a gateway is asked whether it is there."
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

    workers: int = Field(
        default=1,
        ge=1,
        le=MAX_WORKERS,
        description="Processes that take decisions. With more than one, each worker has its own addresses: worker 0 "
        "those of `listeners`, each further one the next port, and in the path of a socket `{worker}` is its number.",
    )
    listeners: dict[ListenerName, ListenerSettings] = Field(
        default={DEFAULT_LISTENER: ListenerSettings()},
        min_length=1,
        description="The listeners that gateways ask, by name. `--grpc-address` sets the address of the one "
        "named `default`.",
    )
    grpc: GrpcSettings = Field(default=GrpcSettings(), description="What all gRPC listeners have in common.")
    metrics: HttpSettings = Field(default=HttpSettings(), description="The listener for metrics and probes.")
    log: LogSettings = Field(default=LogSettings(), description="Logs.")
    seal: SealSettings = Field(default=SealSettings(), description="The seal of correlation tokens.")
    audit: AuditSettings = Field(default=AuditSettings(), description="The record of every decision.")
    capture: CaptureSettings = Field(
        default=CaptureSettings(), description="Operations that are kept to be judged again, `guardsvc replay`."
    )
    worker_hang_s: float | None = Field(
        default=10,
        ge=0.5,
        le=3600,
        description="With several workers, seconds after which one whose event loop does not turn is killed and "
        "replaced; `null` lets it be, for debuggers.",
    )
    overload: OverloadSettings = Field(
        default=OverloadSettings(), description="Bounds of what a worker takes on at once."
    )
    large_bodies: LargeBodySettings = Field(
        default=LargeBodySettings(), description="Large bodies, which processes of their own judge."
    )
    wasm: WasmOptions = Field(default=WasmOptions(), description="Where WASM guards run.")
    shutdown_delay_s: float = Field(
        default=0,
        ge=0,
        le=300,
        description="Seconds after SIGTERM in which calls are still taken, while health and readiness say no: as long "
        "as gateways need to notice. `shutdown_grace_s` begins afterwards.",
    )
    shutdown_grace_s: float = Field(
        default=10, ge=0, le=300, description="Seconds that decisions under way may take after SIGTERM."
    )

    @property
    def connections(self) -> int:
        """Connections of gRPC that a worker takes at most."""
        return self.grpc.max_connections * sum(each.serves == "grpc" for each in self.listeners.values())

    @model_validator(mode="after")
    def _listen_apart(self) -> Self:
        if all(listener.serves != "grpc" for listener in self.listeners.values()):
            raise SettingsError(("listeners",), "none of them serves grpc")
        taken: dict[str, str] = {}
        for name, listener in self.listeners.items():
            other = taken.setdefault(listener.address, name)
            if other != name and not listener.takes_a_free_port:
                raise SettingsError(
                    ("listeners", name, "address"), f'"{listener.address}" is the address of listener "{other}" too'
                )
        return self
