"""Guard: the protocol every guard follows, native, third-party, WASM or hook, and how a type of guard is declared."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
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
    "FileState",
    "Guard",
    "GuardContext",
    "GuardFailure",
    "GuardType",
    "Loaded",
    "Mode",
    "Rechecks",
    "Reconsiders",
    "RuleAction",
    "ServerNames",
    "Settings",
    "SettingsError",
    "Tier",
    "file_state",
    "give_up_at",
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
    WASM_BUSY = "wasm_busy"
    QUARANTINED = "quarantined"


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
class ServerNames:
    """How gateways name a server of the policy.

    Attributes:
        ids: what gateways call it.
        hosts: host names it is reached by, as globs in lower case.
        tool_prefixes: what gateways put in front of its tools' and prompts' names.
        uri_prefixes: the same of its resources' URIs.
    """

    ids: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    tool_prefixes: tuple[str, ...] = ()
    uri_prefixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuardContext:
    """What a guard may know of its policy when it is built.

    Attributes:
        guard_id: the id under which it is configured.
        servers: canonical names of the servers the policy declares.
        names: how gateways name those servers.
        input_schemas: ``inputSchema`` of the tools whose definition is configured, by server and tool.
        output_schemas: their ``outputSchema``, the same way.
        workers: how many processes serve the policy, each with a memory of its own.
        actions: what the operator makes of findings, by rule. The engine sees to ``deny`` and ``log``;
            ``redact`` is the guard's to do.
        timeout: seconds the guard may take.
    """

    guard_id: str
    servers: frozenset[str] = frozenset()
    names: Mapping[str, ServerNames] = field(default_factory=dict)
    input_schemas: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    output_schemas: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    workers: int = 1
    actions: Mapping[str, RuleAction] = field(default_factory=dict)
    timeout: float = 0.1


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


class Rechecks(Protocol):
    """A guard that knows what form a payload has, and is asked once more where other guards have changed one.

    It is asked about requests and answers alike, wherever it runs, and what it then refuses is denied as
    ``modification_unsupported``.
    """

    def recheck_needs(self, operation: Operation) -> Mapping[str, Any]:
        """The facts it needs for that, as ``needs`` tells those for ``evaluate``."""

    def recheck(self, operation: Operation, facts: Facts) -> Verdict:
        """Judge an operation with the payload that is to go on."""


class Loaded(Protocol):
    """A guard that was loaded from a file, which says what it is and where it can judge at all.

    Attributes:
        points: directions and phases for which it has something that judges; it runs nowhere else.
        fingerprint: what it is, in a policy's hash: another content is another policy.
        described: what ``explain`` tells of it.
        files: the files it was loaded from, each with ``file_state`` of when it was.
    """

    points: frozenset[tuple[Direction, Phase]]
    fingerprint: str
    described: Mapping[str, Any]
    files: Mapping[Path, FileState]


FileState = tuple[int, int, int] | None
"""Modification time in nanoseconds, size and inode of a file, None where there is none: by what a change is noticed."""


def file_state(path: Path) -> FileState:
    """The state of a file now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


give_up_at: ContextVar[float] = ContextVar("give_up_at", default=math.inf)
"""When the guard that is asked must have answered, on the clock of ``time.perf_counter``."""


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
