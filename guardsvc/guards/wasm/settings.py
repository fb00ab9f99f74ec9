"""Settings of the guard type ``wasm``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from guardsvc.guards.wasm.variants import VariantSettings
from guardsvc.model import Settings

__all__ = ["GrantSettings", "KvSettings", "LimitSettings", "QuarantineSettings", "WasmSettings"]

KIB = 1024
MIB = 1_048_576


class LimitSettings(Settings):
    """What one call may use up, and the module itself. Time is `timeout_ms` of the guard."""

    module_mib: float = Field(
        default=16,
        gt=0,
        le=512,
        description="Size of the component, and of what is compiled of it, in MiB; a larger one is refused. Compiling "
        "takes up to 16 times as much memory.",
    )
    memory_mib: float = Field(
        default=16, gt=0, le=4096, description="Largest linear memory, in MiB; beyond, it does not grow."
    )
    memories: int = Field(default=4, ge=1, le=16, description="Linear memories, each of at most `memory_mib`.")
    table_elements: int = Field(default=20_000, ge=0, le=1_000_000, description="Elements of a table.")
    tables: int = Field(default=8, ge=0, le=64, description="Tables.")
    instances: int = Field(default=64, ge=1, le=256, description="Core instances of the component.")
    stack_kib: int = Field(default=512, ge=64, le=1024, description="Stack of the guest, in KiB.")
    fuel: int | None = Field(
        default=None,
        ge=1,
        description="Instructions, as wasmtime counts them; not counted by default. A module with it is compiled apart "
        "and runs slower.",
    )
    output_kib: int = Field(default=256, ge=1, le=16 * KIB, description="Text of an answer, in KiB.")
    findings: int = Field(default=256, ge=1, le=1024, description="Texts of a `warn`.")
    log_lines: int = Field(default=16, ge=0, le=1024, description="Lines logged; more are counted and dropped.")
    log_bytes: int = Field(
        default=8 * KIB, ge=0, le=MIB, description="Bytes logged; what is beyond is counted and dropped."
    )
    host_calls: int = Field(default=1000, ge=0, le=1_000_000, description="Calls of host functions.")
    http_calls: int = Field(default=8, ge=0, le=64, description="Requests to hosts, where they are granted.")
    http_request_kib: int = Field(default=64, ge=1, le=4 * KIB, description="A request, in KiB: URL, fields and body.")
    http_response_kib: int = Field(default=256, ge=1, le=4 * KIB, description="An answer, in KiB: fields and body.")


class KvSettings(Settings):
    """What a guard may remember between calls; each tenant's is apart, and each process has its own."""

    entries: int = Field(default=1000, ge=1, le=100_000, description="Entries of a tenant; the oldest give way.")
    bytes: int = Field(default=256 * KIB, ge=KIB, le=16 * MIB, description="Bytes of a tenant's keys and values.")
    tenants: int = Field(default=100, ge=1, le=10_000, description="Tenants; the one longest unused gives way.")


class GrantSettings(Settings):
    """What a guard may reach beside its arguments and settings. Nothing, by default."""

    kv: KvSettings | None = Field(default=None, description="Memory between calls.")
    headers: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = Field(
        default=(), description="Header fields it may read, as metadata `header:NAME`."
    )
    http: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = Field(
        default=(),
        max_length=64,
        description="Hosts it may call, as `https://host[:port]`, `http://host[:port]` or `host[:port]` for https; and "
        "networks or addresses that are not public to which their names may lead all the same, as `10.1.0.0/16`.",
    )


class QuarantineSettings(Settings):
    """When a guard that keeps failing is not asked for a while; meanwhile it counts as failed."""

    failures: int = Field(default=5, ge=1, le=1000, description="Failures in a row.")
    timeouts: int = Field(
        default=2, ge=1, le=1000, description="Failures in a row that took all of the guard's time, which cost most."
    )
    first_s: float = Field(default=1, gt=0, le=3600, description="Seconds the first time; doubled each time after.")
    longest_s: float = Field(default=300, gt=0, le=86_400, description="Seconds at most.")


class WasmSettings(Settings):
    """Which component, what it may use up and reach, and its own settings."""

    module: str = Field(
        min_length=1,
        max_length=4096,
        description="The component: a file, a folder with one `*.wasm`, `oci-layout:PATH[:TAG|@DIGEST]` or "
        "`oci://HOST/REPOSITORY[:TAG][@DIGEST]`.",
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Digest of the component itself, `sha256:` and 64 hexadecimal digits, which it must have.",
    )
    allow_unsigned: bool = Field(
        default=False, description="Accept a component that is neither pinned nor signed: whoever can write it decides."
    )
    config: dict[str, Any] = Field(default={}, description="Settings for the component itself.")
    limits: LimitSettings = Field(default=LimitSettings(), description="What one call may use up.")
    grants: GrantSettings = Field(default=GrantSettings(), description="What it may reach.")
    quarantine: QuarantineSettings = Field(
        default=QuarantineSettings(), description="When it is not asked for a while."
    )
    variants: VariantSettings | None = Field(
        default=None, description="A candidate version beside this one, for a share of the callers."
    )
