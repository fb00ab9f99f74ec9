"""Guard: the protocol every guard follows, native, third-party, WASM or hook, and how a type of guard is declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from guardsvc.model.facts import Facts
from guardsvc.model.operation import Operation
from guardsvc.model.phase import Direction, Phase
from guardsvc.model.verdict import Finding, Verdict
from guardsvc.model.word import Word

__all__ = [
    "ErrorKind",
    "FailureMode",
    "Guard",
    "GuardContext",
    "GuardFailure",
    "GuardType",
    "Mode",
    "Reconsiders",
    "RuleAction",
    "Settings",
    "SettingsError",
    "Tier",
]


class Tier(Word):
    """How a guard runs: inline, in the WASM sandbox, or in an external service."""

    NATIVE = "native"
    WASM = "wasm"
    HTTP = "http"


class Mode(Word):
    """Whether a verdict is applied, or only recorded as what would have happened."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class FailureMode(Word):
    """What a guard that could not answer counts as: a denial, or an allow."""

    FAIL_CLOSED = "fail_closed"
    FAIL_OPEN = "fail_open"


class ErrorKind(Word):
    """Why a guard could not answer; the columns of the fail matrix."""

    TIMEOUT = "timeout"
    EXCEPTION = "exception"
    BREAKER_OPEN = "breaker_open"
    TRAP = "trap"
    BAD_ANSWER = "bad_answer"
    OVER_BUDGET = "over_budget"
    STATE_UNAVAILABLE = "state_unavailable"


class RuleAction(Word):
    """What a finding of one rule amounts to, where the operator does not leave it to the guard."""

    DENY = "deny"
    REDACT = "redact"
    LOG = "log"


class GuardFailure(Exception):
    """Raised by a guard or a fact source that cannot answer and knows why.

    Any other exception counts as ``ErrorKind.EXCEPTION``.
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class SettingsError(ValueError):
    """A setting that only the guard itself can judge is wrong.

    Attributes:
        path: keys and indexes below the guard's ``settings``.
    """

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


class Settings(BaseModel):
    """Base of every guard's settings: an unknown key is an error, the object cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class GuardContext:
    """What a guard may know of its policy when it is built.

    Attributes:
        guard_id: the id under which it is configured.
        servers: canonical names of the servers the policy declares.
        input_schemas: ``inputSchema`` of the tools whose definition is configured, by server and tool.
        workers: how many processes serve the policy, each with a memory of its own.
        actions: what the operator makes of findings, by rule. The engine sees to ``deny`` and ``log``;
            ``redact`` is the guard's to do.
    """

    guard_id: str
    servers: frozenset[str] = frozenset()
    input_schemas: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    workers: int = 1
    actions: Mapping[str, RuleAction] = field(default_factory=dict)


class Guard(Protocol):
    """Judges operations. It does no I/O, keeps no global state and may be called from one thread only."""

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict | Awaitable[Verdict]:
        """Judge one operation.

        A guard of the native tier returns the verdict itself; one of the other tiers returns an
        awaitable of it.

        Raises:
            GuardFailure: the guard cannot answer; its failure mode decides.
        """


class Reconsiders(Protocol):
    """A guard whose verdict rests on several findings together, such as a count or a threshold."""

    def reconsider(self, operation: Operation, findings: tuple[Finding, ...]) -> Verdict:
        """What the guard says if these of its findings are all that it noticed. Asked where others are set aside."""


S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True)
class GuardType(Generic[S]):
    """How a type of guard is named, configured and built.

    Attributes:
        name: the ``type`` of configurations, metrics, audit and docs.
        settings: model of the ``settings`` block.
        build: makes a guard of checked settings. Raises SettingsError for what the model cannot express.
        runs_on: where the guard runs unless the configuration says otherwise: phases of both directions, or
            a whole direction.
        tier: native unless the guard leaves the process or the interpreter.
        facts: names of the facts it needs; see ``FactNeeds``.
        summary: one sentence for ``explain`` and the reference.
        suppressible: whether its verdicts rest on findings that may be false, so that a policy's exceptions
            and rule actions can set them aside. Every verdict other than allow must then name its findings.
        redacts: whether ``redact`` may be the action of its rules.
        code: reason code where the operator has it deny for a finding.
        rules: ids of the rules a guard of these settings has, where they are known beforehand.
        unexceptable: ids of the rules whose findings say that not all was looked at, so that neither exceptions
            nor rule actions can set them aside.
    """

    name: str
    settings: type[S]
    build: Callable[[S, GuardContext], Guard]
    runs_on: frozenset[Phase | Direction] = frozenset({Direction.REQUEST})
    tier: Tier = Tier.NATIVE
    facts: tuple[str, ...] = ()
    summary: str = ""
    suppressible: bool = True
    redacts: bool = False
    code: str = "access_denied"
    rules: Callable[[S], Collection[str]] | None = None
    unexceptable: frozenset[str] = frozenset()
