"""Settings of the ``policy`` section, as an operator writes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, SerializeAsAny, model_validator

from guardsvc.model import Direction, FailureMode, Mode, Phase, RuleAction, Settings, SettingsError
from guardsvc.policy.denials import DenialSettings
from guardsvc.policy.exceptions import ExceptionSettings
from guardsvc.policy.identity_settings import IdentitySettings
from guardsvc.policy.presets import PresetName
from guardsvc.policy.response_settings import ResponseSettings

__all__ = [
    "USUAL_MS",
    "ActiveSettings",
    "DenialSettings",
    "GuardEntry",
    "IntegritySettings",
    "MatchSettings",
    "PolicySettings",
    "RuleSettings",
    "ServerSettings",
    "ToolSettings",
    "TransportSettings",
]

Action = Literal["allow", "deny"]
Name = Annotated[str, Field(min_length=1, max_length=256)]
RunsOn = Phase | Literal[Direction.REQUEST, Direction.RESPONSE]


class MatchSettings(Settings):
    """Scope of a guard. Each list is of globs (``*`` is any run of characters); all that are given must match."""

    tenants: tuple[Name, ...] | None = Field(default=None, min_length=1, description="Tenants the guard judges.")
    principals: tuple[Name, ...] | None = Field(default=None, min_length=1, description="Principals the guard judges.")
    servers: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Servers of `policy.servers` the guard judges."
    )
    tools: tuple[Name, ...] | None = Field(
        default=None,
        min_length=1,
        description="Tools the guard judges, as their server names them: their calls and results, and what the server "
        "says or asks while they run. Other operations, lists among them, are out of scope.",
    )
    methods: tuple[Name, ...] | None = Field(default=None, min_length=1, description="Methods the guard judges.")


class ActiveSettings(Settings):
    """Time window in which a guard runs; instants with a UTC offset."""

    from_: AwareDatetime | None = Field(default=None, alias="from", description="First instant, inclusive.")
    until: AwareDatetime | None = Field(default=None, description="Last instant, exclusive.")

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if self.from_ is not None and self.until is not None and self.until <= self.from_:
            raise SettingsError(("until",), "the window never opens; until must come after from")
        return self


class RuleSettings(Settings):
    """What the operator makes of the findings of one rule."""

    action: RuleAction = Field(
        description="`deny`: any finding of the rule denies. `log`: its findings are recorded and deny nothing. "
        "`redact`: what was found is taken out, by guards that can."
    )


USUAL_MS = 100
"""Time of a guard that is given none."""


class GuardEntry(Settings):
    """One guard of the chain."""

    type: str = Field(description="Type of guard.")
    id: Name | None = Field(default=None, description="Name in metrics, audit and explanations; the type by default.")
    enabled: bool = Field(default=True, description="Whether the guard is part of the policy.")
    priority: int = Field(default=100, ge=0, le=10_000, description="Order in the chain, lower first.")
    failure_mode: FailureMode = Field(
        default=FailureMode.FAIL_CLOSED, description="What a guard that cannot answer counts as."
    )
    timeout_ms: float | None = Field(
        default=None,
        gt=0,
        le=60_000,
        description=f"Time the guard may take, in milliseconds; {USUAL_MS} by default, but for a native guard that "
        "judges what a server sends `responses.deadline_ms`.",
    )
    runs_on: tuple[RunsOn, ...] | None = Field(
        default=None,
        min_length=1,
        description="Phases the guard judges; `request` and `response` stand for a direction.",
    )
    mode: Mode = Field(default=Mode.ENFORCE, description="`shadow`: evaluated and recorded, never applied.")
    match: MatchSettings = Field(default=MatchSettings(), description="Scope of the guard.")
    active: ActiveSettings = Field(default=ActiveSettings(), description="Time window of the guard.")
    rules: dict[Name, RuleSettings] = Field(
        default={}, description="What findings amount to, by rule; the guard's own judgement for the others."
    )
    settings: SerializeAsAny[Settings] = Field(default=Settings(), description="Settings of the guard type.")

    @property
    def name(self) -> str:
        """The id, or the type where no id is given."""
        return self.id or self.type


class ToolSettings(Settings):
    """What is known of a tool before its server lists it."""

    input_schema: dict[str, Any] | None = Field(
        default=None, description="The tool's `inputSchema`, JSON Schema 2020-12."
    )
    output_schema: dict[str, Any] | None = Field(
        default=None,
        description="The tool's `outputSchema`: a structured result that guards change is refused where it breaks it.",
    )


class ServerSettings(Settings):
    """How gateways show one MCP server."""

    ids: tuple[Name, ...] | None = Field(
        default=None,
        description="Ids under which gateways name the server (context extension `mcp_server`, backend name); "
        "the server's own name by default.",
    )
    hosts: tuple[Name, ...] = Field(
        default=(), description="Host names without port that lead to the server, as globs."
    )
    tool_prefixes: tuple[Name, ...] = Field(
        default=(), description="What gateways put in front of its tool and prompt names."
    )
    uri_prefixes: tuple[Name, ...] = Field(default=(), description="What gateways put in front of its resource URIs.")
    tools: dict[Name, ToolSettings] = Field(default={}, description="Tools whose definition is configured, by name.")


class IntegritySettings(Settings):
    """Bounds of what is read at all."""

    max_bytes: int = Field(default=1_048_576, ge=1024, le=67_108_864, description="Largest body, in bytes.")
    max_depth: int = Field(default=64, ge=4, le=256, description="Deepest nesting of a body.")
    max_keys: int = Field(default=10_000, ge=16, le=1_000_000, description="Most object members of a body.")
    max_containers: int = Field(
        default=10_000, ge=16, le=1_000_000, description="Most objects and arrays of a body together."
    )
    batches: bool = Field(
        default=False, description="Accept batches of revision 2025-03-26, the only one that has them."
    )
    lossy_body: bool = Field(
        default=False, description="Accept a body that the gateway passes on as text, with unreadable bytes replaced."
    )
    mcp_paths: tuple[Name, ...] = Field(
        default=("*",),
        min_length=1,
        description="Paths of MCP endpoints as globs; a POST elsewhere is no MCP message.",
    )


class TransportSettings(Settings):
    """What becomes of HTTP requests that carry no MCP message; the guards judge those that are allowed."""

    get_stream: Action = Field(default="deny", description="GET that listens for server messages.")
    session_end: Action = Field(default="deny", description="DELETE that ends a session.")
    well_known: Action = Field(
        default="deny", description="GET below `/.well-known/`, where authorization metadata lives."
    )
    preflight: Action = Field(default="deny", description="CORS preflight.")
    other: Action = Field(default="deny", description="Every other request.")


class PolicySettings(Settings):
    """What is decided, and how."""

    preset: PresetName | None = Field(
        default=None,
        description="The preset that this policy builds on; what is said here counts over it, guards by their name.",
    )
    name: Name = Field(default="policy", description="Name of the policy in logs and explanations.")
    mode: Mode = Field(default=Mode.ENFORCE, description="`shadow`: every decision is recorded and none is applied.")
    default: Action = Field(default="deny", description="Decision about an operation that no enforcing guard judged.")
    deadline_ms: float = Field(
        default=500,
        gt=0,
        le=60_000,
        description="Time for a decision where the gateway sets no deadline, in milliseconds.",
    )
    deadline_reserve_ms: float = Field(
        default=10,
        ge=0,
        le=10_000,
        description="Part of the gateway's deadline kept for the way back, in milliseconds.",
    )
    denials: DenialSettings = Field(default=DenialSettings(), description="How a refusal is told.")
    integrity: IntegritySettings = Field(default=IntegritySettings(), description="Bounds of what is read at all.")
    transport: TransportSettings = Field(
        default=TransportSettings(), description="HTTP requests that carry no MCP message."
    )
    responses: ResponseSettings = Field(default=ResponseSettings(), description="What servers answer.")
    identity: IdentitySettings = Field(default=IdentitySettings(), description="Who is calling.")
    servers: dict[Name, ServerSettings] = Field(default={}, description="The MCP servers by canonical name.")
    guards: tuple[GuardEntry, ...] = Field(default=(), description="The guards of the chain.")
    exceptions: tuple[ExceptionSettings, ...] = Field(
        default=(), description="Findings that are false: they are recorded and count for nothing."
    )
