"""Form: the members of a suite, of its cases and of what they expect."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from guardsvc.mcp import BodyState
from guardsvc.model import Direction, GatewayProtocol, Kind, Phase, RequestId, Settings, SettingsError, Severity
from guardsvc.model.decision import VerdictName
from guardsvc.policy.settings import RuleSettings

__all__ = [
    "CallerForm",
    "CaseForm",
    "Expectation",
    "FindingForm",
    "MessageForm",
    "OperationForm",
    "RequestForm",
    "SuiteForm",
]

Text = Annotated[str, Field(min_length=1, max_length=1024)]

MAX_TIMES = 100_000
"""Most often that an item or a text is repeated."""
_GIVEN = ("operation", "request", "message")


class CallerForm(Settings):
    """Who calls; see ``guardsvc.model.Caller``."""

    tenant: str | None = None
    principal: str | None = None
    verified: bool = False
    address: str | None = None
    source: str | None = None


class OperationForm(Settings):
    """An operation as guards see it; see ``guardsvc.model.Operation``."""

    protocol: GatewayProtocol = GatewayProtocol.EXT_AUTHZ
    direction: Direction = Direction.REQUEST
    phase: Phase | None = None
    kind: Kind = Kind.REQUEST
    method: str = ""
    id: RequestId | None = None
    subject: str | None = None
    payload: Any = None
    headers: dict[str, Any] = Field(default={})
    revision: str = "2025-11-25"
    http_method: str = ""
    path: str = ""
    host: str = ""


class RequestForm(Settings):
    """An HTTP request; of ``body`` (JSON), ``body_text`` and ``body_base64`` at most one."""

    method: str = "POST"
    path: str = "/mcp"
    host: str = "files.example"
    headers: dict[str, Any] = Field(default={})
    body: Any = None
    body_text: Any = None
    body_base64: str | None = None
    body_state: BodyState | None = None

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        given = [name for name in ("body", "body_text", "body_base64") if name in self.model_fields_set]
        if len(given) > 1:
            raise SettingsError((given[1],), f"there is a {given[0]} already; a request has one body")
        if self.body_text is not None and not isinstance(self.body_text, str):
            raise SettingsError(("body_text",), "the value is not a string; JSON values stand in body")
        return self


class MessageForm(Settings):
    """A JSON-RPC message that a conforming client posts; ``jsonrpc`` and, of requests, ``id`` may be left out."""

    jsonrpc: str = "2.0"
    id: RequestId | None = None
    method: str | None = None
    params: Any = None
    result: Any = None
    error: Any = None


class FindingForm(Settings):
    """A finding; only what is given is compared."""

    rule: str
    guard: str | None = None
    severity: Severity | None = None
    where: str | None = None
    threats: tuple[str, ...] | None = None
    excerpt: Any = None
    suppressed_by: str | None = None


class Expectation(Settings):
    """What must come of a case; only what is given is compared."""

    verdict: VerdictName
    applied: VerdictName | None = None
    code: str | None = None
    guard: str | None = None
    message: Any = None
    details: Any = None
    rule: str | None = None
    rules: tuple[str, ...] | None = None
    includes: tuple[str, ...] | None = None
    where: str | None = None
    findings: tuple[FindingForm, ...] | None = None
    payload: Any = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ways = [name for name in ("rule", "rules", "includes", "findings") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise SettingsError((ways[1],), f"{ways[0]} says what is found already")
        if self.code is not None and self.verdict not in ("deny", "pending"):
            raise SettingsError(("code",), f"a verdict of {self.verdict} has no code")
        if "payload" in self.model_fields_set and self.verdict != "modify":
            raise SettingsError(("payload",), "only a verdict of modify has a payload")
        return self


class CaseForm(Settings):
    """One case; what the template that it is ``like`` says has been merged in."""

    description: Text | None = None
    like: Text | None = None
    near: Text | tuple[Text, ...] = ()
    guard: Text | None = None
    settings: dict[str, Any] = Field(default={})
    rules: dict[str, RuleSettings] = Field(default={})
    servers: tuple[Text, ...] | None = None
    hosts: dict[Text, tuple[Text, ...]] = Field(default={})
    tool_prefixes: dict[Text, tuple[Text, ...]] = Field(default={})
    reaches: tuple[Text, ...] | None = None
    schemas: dict[Text, dict[Text, dict[str, Any]]] = Field(default={})
    server: Text | None = None
    host: str | None = None
    caller: CallerForm = CallerForm()
    at: float = Field(default=0, ge=0, le=1e9)
    operation: OperationForm | None = None
    request: Any = None
    message: Any = None
    repeat: dict[Text, Annotated[int, Field(ge=0, le=MAX_TIMES)]] = Field(default={})
    before: tuple[dict[str, Any], ...] = ()
    expect: Expectation | None = None

    @model_validator(mode="after")
    def _one_given(self) -> Self:
        given = [name for name in _GIVEN if getattr(self, name) is not None]
        if len(given) > 1:
            raise SettingsError((given[1],), f"there is {given[0]} already; a case has one of {', '.join(_GIVEN)}")
        return self

    @property
    def near_rules(self) -> tuple[str, ...]:
        """Ids of the rules that it is a near miss of."""
        return (self.near,) if isinstance(self.near, str) else self.near


class SuiteForm(Settings):
    """A file of cases. Templates and cases are checked one by one, when they are merged."""

    description: str | None = None
    guard: Text | None = None
    policy: Text | dict[str, Any] | None = None
    fixtures: Text | tuple[Text, ...] = ()
    templates: dict[Text, dict[str, Any]] = Field(default={})
    cases: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        if self.guard is not None and self.policy is not None:
            raise SettingsError(("policy",), "guard says already what is tested; a suite tests a guard or a policy")
        return self
