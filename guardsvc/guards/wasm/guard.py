"""Guard: a component as a guard of the engine, and beside it the candidate that is to follow it, where there is one."""

from __future__ import annotations

import asyncio
import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

import structlog

from guardsvc.guards.wasm.arm import Arm, files_of
from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.host.host import LogBudget
from guardsvc.guards.wasm.reports import report
from guardsvc.guards.wasm.runtime import runtime
from guardsvc.guards.wasm.variants import (
    CANDIDATE,
    CURRENT,
    ERROR,
    NONE,
    Assignment,
    Told,
    VariantSettings,
    told_of,
)
from guardsvc.model import Mode, SettingsError, give_up_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from guardsvc.guards.wasm.settings import WasmSettings
    from guardsvc.model import Facts, FileState, GuardContext, Operation, Verdict

__all__ = ["WasmGuard"]

log = structlog.get_logger(__name__)

TOLD_A_SECOND = 5
"""Differences that are logged, of one guard."""


class WasmGuard:
    """A component that judges, see ``model.Loaded`` for its attributes.

    Attributes:
        assignment: who is in the share of the candidate; None where there is none.

    Args:
        settings: which component.
        context: of the policy.

    Raises:
        SettingsError: the component cannot be used.
    """

    def __init__(self, settings: WasmSettings, context: GuardContext) -> None:
        self._id = context.guard_id
        self._timeout = context.timeout
        self._runtime = runtime()
        variant = settings.variants
        self._enforced = variant is not None and variant.mode is Mode.ENFORCE
        self._current = Arm(
            settings, context, self._runtime, beside=self._enforced, took=self._took(CURRENT) if variant else None
        )
        self._candidate = None if variant is None else self._make_candidate(settings, variant, context)
        self.assignment = Assignment(variant.salt, variant.share) if variant else None
        self._comparing: set[asyncio.Task[None]] = set()
        self._lines = LogBudget(TOLD_A_SECOND)
        arms = [self._current] if self._candidate is None else [self._current, self._candidate]
        self.points = frozenset().union(*(arm.points for arm in arms))
        self.fingerprint = "+".join(arm.digest for arm in arms)
        self.described: Mapping[str, Any] = self._current.described
        if variant is not None and self._candidate is not None:
            candidate = {"mode": variant.mode.value, "share": variant.share, **self._candidate.described}
            self.described = {**self._current.described, CANDIDATE: candidate}
        self.files: Mapping[Path, FileState] = files_of(arms)

    async def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Have the component judge. The time in line counts.

        Raises:
            WasmFailure: it did not answer.
        """
        del facts
        until = give_up_at.get()
        deadline = until if until < math.inf else perf_counter() + self._timeout
        if self._candidate is None or self.assignment is None:
            return await self._current.ask(operation, deadline, self._runtime.pool)
        caller = operation.caller
        if not self.assignment.chooses(caller.tenant, caller.principal, verified=caller.verified):
            return await self._decide(self._current, CURRENT, None, operation, deadline)
        if self._enforced:
            return await self._decide(self._candidate, CANDIDATE, self._current, operation, deadline)
        return await self._decide(self._current, CURRENT, self._candidate, operation, deadline)

    def decides(self, tenant: str | None, principal: str | None, *, verified: bool) -> str:
        """Which version's verdict a caller gets."""
        if not self._enforced or self.assignment is None:
            return CURRENT
        return CANDIDATE if self.assignment.chooses(tenant, principal, verified=verified) else CURRENT

    async def compared(self) -> None:
        """Wait until all comparisons are made that are under way."""
        await asyncio.gather(*self._comparing)

    def _make_candidate(self, settings: WasmSettings, variant: VariantSettings, context: GuardContext) -> Arm:
        more: dict[str, Any] = {
            "module": variant.module,
            "digest": variant.digest,
            "allow_unsigned": variant.allow_unsigned,
        }
        if variant.config is not None:
            more["config"] = variant.config
        try:
            return Arm(
                settings.model_copy(update={**more, "variants": None}),
                context,
                self._runtime,
                name=CANDIDATE,
                took=self._took(CANDIDATE),
            )
        except SettingsError as error:
            own = bool(error.path) and error.path[0] in more
            raise SettingsError(("variants", *error.path) if own else error.path, str(error)) from None

    def _took(self, arm: str) -> Any:
        return lambda seconds: report().variant_took(self._id, arm, seconds)

    async def _decide(self, arm: Arm, name: str, other: Arm | None, operation: Operation, deadline: float) -> Verdict:
        """What one arm says, counted; once it is there, the other is asked the same."""
        told = Told(ERROR, "cancelled")
        try:
            verdict = await arm.ask(operation, deadline, self._runtime.pool)
            told = told_of(verdict) if arm.judges(operation) else Told(NONE)
        except WasmFailure as failure:
            told = Told(ERROR, failure.name)
            raise
        finally:
            report().variant_told(self._id, name, told.outcome)
            if other is not None:
                self._begin(name, told, other, operation)
        return verdict

    def _begin(self, name: str, told: Told, other: Arm, operation: Operation) -> None:
        """Have the other arm judge it too, in the thread for what nobody waits for, unless all threads are busy."""
        if self._runtime.pool.waiting:
            report().variant_shed(self._id)
            return
        task = asyncio.get_running_loop().create_task(self._compare(name, told, other, operation))
        self._comparing.add(task)
        task.add_done_callback(self._comparing.discard)

    async def _beside(self, arm: Arm, operation: Operation) -> Told:
        if not arm.judges(operation):
            return Told(NONE)
        deadline = perf_counter() + self._timeout
        try:
            return told_of(await arm.ask(operation, deadline, self._runtime.beside, beside=True))
        except WasmFailure as failure:
            return Told(ERROR, failure.name)

    async def _compare(self, name: str, told: Told, arm: Arm, operation: Operation) -> None:
        other = await self._beside(arm, operation)
        if other == (ERROR, "busy"):
            report().variant_shed(self._id)
            return
        report().variant_told(self._id, CANDIDATE if name == CURRENT else CURRENT, other.outcome)
        current, candidate = (told, other) if name == CURRENT else (other, told)
        differs = current != candidate
        report().variants_compared(self._id, current.outcome, candidate.outcome, differs=differs)
        if differs and self._lines.take(1, 0)[0]:
            log.info(
                "wasm_variants_differ",
                guard=self._id,
                current=_said(current),
                candidate=_said(candidate),
                method=operation.method[:64],
                phase=operation.phase.value,
                server=operation.server,
            )


def _said(told: Told) -> str:
    return f"{told.outcome}: {told.more}" if isinstance(told.more, str) else told.outcome
