"""Options: what all WASM guards of a process share, settled once before the first of them is built."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from guardsvc.config import Secret
from guardsvc.model import Settings

__all__ = [
    "RegistrySettings",
    "TrustSettings",
    "WasmOptions",
    "cache_folder",
    "configure",
    "of_configuration",
    "options",
]

Text = Annotated[str, Field(min_length=1, max_length=4096)]


class TrustSettings(Settings):
    """Whose signatures count for which components."""

    modules: tuple[Text, ...] = Field(
        default=("*",),
        min_length=1,
        description="Globs of places without tag and digest: `oci://HOST/REPOSITORY`, or a path that is absolute.",
    )
    keys: tuple[Annotated[str, Field(min_length=1, max_length=65536)], ...] = Field(
        min_length=1,
        description="Public keys in PEM, ECDSA P-256 or Ed25519, or paths of their files. One must have signed.",
    )
    required: bool = Field(
        default=False, description="Whether a signature is needed even where a policy has `digest` or `allow_unsigned`."
    )


class RegistrySettings(Settings):
    """How a registry is reached."""

    username: str | None = Field(
        default=None, min_length=1, description="Name; by default what Docker's client has for the host."
    )
    password: Secret | None = Field(default=None, description="Password or token.")
    ca: str | None = Field(
        default=None, min_length=1, description="File of certificates in PEM to trust in place of the system's."
    )
    insecure: bool = Field(default=False, description="HTTP without TLS; for a loopback address only.")

    @model_validator(mode="after")
    def _whole(self) -> RegistrySettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        return self


class WasmOptions(Settings):
    """Where WASM guards run and what is kept of them, in each worker."""

    threads: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Threads that WASM guards run in. Where there are several, no guard and no tenant has them all.",
    )
    queue: int = Field(
        default=256, ge=1, le=100_000, description="Calls that may wait for a thread; what is beyond is `wasm_busy`."
    )
    nice: int = Field(default=5, ge=0, le=19, description="How much lower the priority of these threads is.")
    cache: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="Folder for compiled modules, of this user alone; `guardsvc/wasm` in the user's cache folder by "
        "default. Where it cannot be written they are kept in memory only.",
    )
    trust: tuple[TrustSettings, ...] = Field(default=(), description="Who may sign components.")
    registries: dict[str, RegistrySettings] = Field(
        default={}, description="OCI registries by host, with the port where there is one. Others are asked over TLS."
    )
    fetch_timeout_s: float = Field(
        default=30, gt=0, le=600, description="Seconds that reading one component from a registry may take."
    )

    def registry(self, host: str) -> RegistrySettings:
        """How a registry is reached."""
        return self.registries.get(host, RegistrySettings())

    def settled(self) -> WasmOptions:
        """These without what counts whenever a module is loaded: the rest does so from the start of a process on."""
        return WasmOptions(threads=self.threads, queue=self.queue, nice=self.nice, cache=self.cache)


@dataclass
class _Current:
    options: WasmOptions
    configuration: Path | None = None


_current = _Current(WasmOptions())


def configure(options: WasmOptions, configuration: Path | None = None) -> None:
    """Settle the options. What runs already keeps those it began with.

    Args:
        options: the options.
        configuration: the file they are of, None where there is none.
    """
    _current.options = options
    _current.configuration = configuration


def options() -> WasmOptions:
    """The options that were settled last."""
    return _current.options


def of_configuration(guard: str) -> str:
    """The name of a guard that no guard of another configuration file has, whatever services share a folder."""
    path = _current.configuration
    return f"{'' if path is None else path.absolute()}|{guard}"


def cache_folder() -> Path:
    """Where compiled modules are kept."""
    if (given := _current.options.cache) is not None:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118
    return Path(base) / "guardsvc" / "wasm"
