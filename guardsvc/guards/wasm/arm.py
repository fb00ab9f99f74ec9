"""Arm: one version of a guard, with what is its own and shared with no other: module, settings, memory, connections."""

from __future__ import annotations

import time
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from guardsvc.guards.wasm.calls.answers import verdict_of
from guardsvc.guards.wasm.calls.arguments import arguments_of, metadata_of
from guardsvc.guards.wasm.calls.call import run
from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.host.host import HostCalls, LogBudget
from guardsvc.guards.wasm.loading.load import load
from guardsvc.guards.wasm.pool import Job
from guardsvc.guards.wasm.reports import report
from guardsvc.model import ALLOW, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from guardsvc.guards.wasm.contract.shape import Function
    from guardsvc.guards.wasm.host.kv import Memory
    from guardsvc.guards.wasm.http.client import HttpAccess
    from guardsvc.guards.wasm.pool import Pool
    from guardsvc.guards.wasm.quarantine import Quarantine
    from guardsvc.guards.wasm.runtime import Runtime
    from guardsvc.guards.wasm.settings import WasmSettings
    from guardsvc.model import GuardContext, Operation, Verdict

__all__ = ["Arm"]


class Arm:
    """A version of a guard.

    Args:
        settings: which component, and its bounds.
        context: of the policy.
        runtime: of the process.
        name: which version, where there are several; empty where there is one.
        beside: whether it is asked for comparison too, with memory and quarantine apart from those of decisions.
        took: is told how many seconds each call took in its thread.

    Raises:
        SettingsError: the component cannot be used.
    """

    def __init__(
        self,
        settings: WasmSettings,
        context: GuardContext,
        runtime: Runtime,
        *,
        name: str = "",
        beside: bool = False,
        took: Callable[[float], None] | None = None,
    ) -> None:
        self._id = f"{context.guard_id}/{name}" if name else context.guard_id
        self._took = took
        self._limits = settings.limits
        self._headers = tuple(header.lower() for header in settings.grants.headers)
        self._runtime = runtime
        self._budget = LogBudget()
        self.loaded = load(settings, replace(context, guard_id=self._id), runtime)
        self._module, self._config = self.loaded.module, self.loaded.config
        self._functions = self._module.shape.functions
        self._http = _access(settings, wanted=self._module.shape.wants("http"))
        self._deciding = self._role(self._id, settings)
        self._beside = self._role(f"{self._id}/beside", settings) if beside else self._deciding
        self.points = frozenset(self._functions)
        self.digest = self._module.digest

    def _role(self, name: str, settings: WasmSettings) -> _Role:
        kv = settings.grants.kv
        return _Role(
            name,
            None if kv is None else self._runtime.memory(name, kv),
            self._runtime.quarantine(name, self._module.digest, settings.quarantine),
        )

    @property
    def described(self) -> dict[str, Any]:
        """What ``explain`` tells of it."""
        shape = self._module.shape
        return {**self.loaded.described, "interface": shape.version, "judges": shape.kinds}

    def judges(self, operation: Operation) -> bool:
        """Whether it has something that judges such an operation."""
        return (operation.direction, operation.phase) in self._functions

    async def ask(self, operation: Operation, deadline: float, pool: Pool, *, beside: bool = False) -> Verdict:
        """Have the component judge. The time in line counts.

        Args:
            operation: what is judged.
            deadline: when the verdict must be there, on the clock of ``time.perf_counter``.
            pool: in which it runs.
            beside: whether the verdict is only compared; what it then remembers is apart.

        Raises:
            WasmFailure: it did not answer.
        """
        function = self._functions.get((operation.direction, operation.phase))
        if function is None:
            return ALLOW
        role = self._beside if beside else self._deciding
        tenant = operation.caller.tenant
        role.quarantine.enter(tenant)
        # The work knows nothing of its job: a cycle would keep the operation until garbage is collected.
        job = Job(role.name, tenant, lambda: self._judge(function, operation, role, deadline), deadline, role.ended)
        try:
            pool.submit(job)
            verdict: Verdict = await job.future
        except WasmFailure as failure:
            if failure.name == "busy":
                report().trapped(role.name, "busy")
            raise
        finally:
            pool.cancel(job)
            if not job.started:
                role.quarantine.abandoned(tenant)
            del job  # what it failed with leads here
        return verdict

    def _judge(self, function: Function, operation: Operation, role: _Role, deadline: float) -> Verdict:
        """Judge, in a thread of the pool."""
        tenant = operation.caller.tenant
        if role.quarantine.is_on(tenant):
            raise WasmFailure("quarantined", "while the call waited")
        metadata = metadata_of(operation, self._headers)
        calls = HostCalls(
            role.name,
            self._limits,
            now=time.time_ns() // 1_000_000,
            metadata=metadata,
            config=self._config,
            budget=self._budget,
            memory=None if role.memory is None else role.memory.of(tenant),
            http=None if self._http is None else _http_calls(self._http, deadline),
        )
        begun = perf_counter()
        try:
            answer = run(
                self._module,
                function,
                arguments_of(function, operation, metadata),
                limits=self._limits,
                calls=calls,
                clock=self._runtime.engines.clock,
                deadline=deadline,
            )
            return verdict_of(function, operation, answer)
        finally:
            if self._took is not None:
                self._took(perf_counter() - begun)


class _Role(NamedTuple):
    """In which a version is asked, to decide or to be compared, with what it may not take from the other."""

    name: str
    memory: Memory | None
    quarantine: Quarantine

    def ended(self, job: Job, error: BaseException | None) -> None:
        """A call has ended."""
        report().waited(job.waited)
        if error is None:
            self.quarantine.succeeded(job.tenant)
            return
        kind = error.name if isinstance(error, WasmFailure) else "trap"
        report().trapped(self.name, kind)
        if kind in ("queue", "quarantined"):
            self.quarantine.abandoned(job.tenant)
        else:
            self.quarantine.failed(job.tenant, timeout=kind == "deadline")


def _access(settings: WasmSettings, *, wanted: bool) -> HttpAccess | None:
    """What the component may call, None where it asks for nothing of it.

    Raises:
        SettingsError: it asks for what is not granted, or the grant is none.
    """
    hosts = settings.grants.http
    from guardsvc.guards.wasm.http.grants import Grants  # noqa: PLC0415  few guards have it

    try:
        grants = Grants(hosts)
    except ValueError as error:
        raise SettingsError(("grants", "http"), str(error)) from None
    if not wanted:
        return None
    if not hosts:
        raise SettingsError(("grants", "http"), f"{settings.module} needs http, which is not granted")
    from guardsvc.guards.wasm.http.client import HttpAccess  # noqa: PLC0415  without http no client is loaded

    return HttpAccess(grants, settings.limits)


def _http_calls(access: HttpAccess, deadline: float) -> Any:
    from guardsvc.guards.wasm.http.calls import HttpCalls  # noqa: PLC0415  the same

    return HttpCalls(access, deadline)


def files_of(arms: list[Arm]) -> Mapping[Any, Any]:
    """The files that arms were loaded from."""
    return {path: state for arm in arms for path, state in arm.loaded.files.items()}
