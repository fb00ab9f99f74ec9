"""Policy: the guards of a configuration in the order they run, immutable once built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from guardsvc.model import Direction, FailureMode, Guard, GuardType, Mode, Phase, RuleAction, Tier
from guardsvc.policy.identity import Identity
from guardsvc.policy.unlearned import Unlearned

if TYPE_CHECKING:
    from pathlib import Path

    from guardsvc.mcp import InterpretationRules
    from guardsvc.mcp.transport import TransportKind
    from guardsvc.model import FileState, Operation
    from guardsvc.policy.exceptions import Exceptions, FindingException
    from guardsvc.policy.scope import Scope, Window
    from guardsvc.policy.servers import ServerTable
    from guardsvc.policy.settings import PolicySettings

__all__ = ["BoundGuard", "Policy", "Step"]

Point = tuple[Direction, Phase]


@dataclass(frozen=True)
class BoundGuard:
    """A guard with everything the chain must know to run it.

    Attributes:
        id: name in metrics, audit and explanations.
        type: the guard type.
        guard: the guard itself.
        priority: order in the chain, lower first.
        failure_mode: what it counts as when it cannot answer.
        timeout: seconds it may take.
        mode: enforce or shadow.
        points: the directions and phases it runs on.
        scope: operations it judges, None for all.
        window: when it is active, None for always.
        exceptions: the policy's exceptions that concern it, None where there are none.
        actions: what a finding amounts to, by rule, where the operator says so.
        rules: ids of its rules, None where they are not known beforehand.
        response_timeout: seconds it may take for what a server sends; None for the same.
    """

    id: str
    type: GuardType  # type: ignore[type-arg]  # the settings type no longer matters
    guard: Guard
    priority: int
    failure_mode: FailureMode
    timeout: float
    mode: Mode
    points: frozenset[Point]
    scope: Scope | None = None
    window: Window | None = None
    exceptions: Exceptions | None = None
    actions: Mapping[str, RuleAction] = field(default_factory=dict)
    rules: frozenset[str] | None = None
    response_timeout: float | None = None

    def at(self, direction: Direction) -> BoundGuard:
        """The guard with the time it has in this direction."""
        if direction is Direction.REQUEST or self.response_timeout is None:
            return self
        return replace(self, timeout=self.response_timeout)

    @property
    def weighed(self) -> bool:
        """Whether the policy has a say in what its findings amount to."""
        return self.exceptions is not None or bool(self.actions)

    @property
    def inline(self) -> bool:
        """Whether it answers in the event loop itself."""
        return self.type.tier is Tier.NATIVE

    @property
    def stops(self) -> bool:
        """Whether it ends as soon as it is cancelled, so that its time needs no other watch."""
        return self.type.tier is not Tier.HTTP

    @cached_property
    def immediate(self) -> bool:
        """Whether it answers from the operation alone, at once."""
        return self.inline and not self.type.facts

    def judges(self, operation: Operation, now: float) -> bool:
        """Whether the operation is in scope at ``now``, seconds since the epoch."""
        return (self.scope is None or self.scope.covers(operation)) and (
            self.window is None or self.window.open_at(now)
        )


@dataclass(frozen=True)
class Step:
    """The guards of one priority: inline ones first in configuration order, then those run concurrently."""

    inline: tuple[BoundGuard, ...]
    concurrent: tuple[BoundGuard, ...]


@dataclass(frozen=True)
class Policy:
    """What is decided, and how; see ``policy.settings`` for the meaning of each attribute.

    Attributes:
        hash: hexadecimal digest of the settings.
        guards: every enabled guard, in configuration order.
        identity: names callers.
        transport: what becomes of each kind of request without a message.
        rules: bounds of interpretation.
        deadline: seconds for a decision where the gateway sets no deadline.
        reserve: seconds of the gateway's deadline kept for the way back.
        exceptions: findings that are set aside.
        unlearned: is told what its guards could not learn.
    """

    settings: PolicySettings
    hash: str
    guards: tuple[BoundGuard, ...]
    servers: ServerTable
    transport: Mapping[TransportKind, Literal["allow", "deny"]]
    rules: InterpretationRules
    deadline: float
    reserve: float
    exceptions: tuple[FindingException, ...] = ()
    identity: Identity = field(init=False, compare=False, repr=False)
    unlearned: Unlearned = field(default_factory=Unlearned, init=False, compare=False, repr=False)
    _chains: dict[Point, tuple[Step, ...]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", Identity(self.settings.identity))
        for direction in Direction:
            for phase in Phase:
                self._chains[direction, phase] = _steps(self.guards, (direction, phase))

    @cached_property
    def files(self) -> Mapping[Path, FileState]:
        """What its guards were loaded from, each file with its state of then."""
        return {path: state for bound in self.guards for path, state in getattr(bound.guard, "files", {}).items()}

    def expired_exceptions(self, now: float) -> tuple[FindingException, ...]:
        """Exceptions that have no effect any more at ``now``, seconds since the epoch."""
        return tuple(entry for entry in self.exceptions if entry.is_expired(now))

    def patient(self, seconds: float) -> Policy:
        """The same policy with that much time for each guard and decision, where a slow machine must not decide."""
        guards = tuple(replace(guard, timeout=seconds, response_timeout=None) for guard in self.guards)
        return replace(self, guards=guards, deadline=seconds, _chains={})

    def default_of(self, direction: Direction) -> Literal["allow", "deny"]:
        """The decision about an operation of this direction that no enforcing guard judged."""
        said = self.settings.responses.default if direction is Direction.RESPONSE else None
        return said or self.settings.default

    @cached_property
    def strictest(self) -> Policy:
        """The same policy with every guard judging everything, for operations of which nobody knows whose they are."""
        guards = tuple(replace(guard, scope=None) for guard in self.guards)
        return replace(self, guards=guards, _chains={})

    def chain(self, direction: Direction, phase: Phase) -> tuple[Step, ...]:
        """The guards that run at this point, by priority."""
        return self._chains[direction, phase]


def _steps(guards: tuple[BoundGuard, ...], point: Point) -> tuple[Step, ...]:
    here = [guard.at(point[0]) for guard in guards if point in guard.points]
    return tuple(
        Step(
            tuple(g for g in here if g.priority == priority and g.inline),
            tuple(g for g in here if g.priority == priority and not g.inline),
        )
        for priority in sorted({guard.priority for guard in here})
    )
