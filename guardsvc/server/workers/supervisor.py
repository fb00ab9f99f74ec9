"""Supervisor: starts workers, replaces those that end, and gives all of them the same policy.

It answers no gateway and does not import grpc. It has the listener for metrics and probes, watches the configuration
and handles signals.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import secrets
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

import guardsvc
from guardsvc.config import ConfigError, Problem, Secret
from guardsvc.observe import JointMetrics, Metrics, forget_worker, set_level, shows_debug
from guardsvc.server.http import HttpListener
from guardsvc.server.live_policy import LivePolicy
from guardsvc.server.watch import watch, watch_files
from guardsvc.server.workers.addresses import address_of, settings_at
from guardsvc.server.workers.backoff import Backoff
from guardsvc.server.workers.channel import Begin, Discard, Refresh, ShowLevel
from guardsvc.server.workers.child import Child, StartError, WorkerGoneError
from guardsvc.server.workers.metrics_folder import MetricsFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from guardsvc.observe.logs import LogLevel
    from guardsvc.server.configuration import Configuration
    from guardsvc.server.settings import ServiceSettings

__all__ = ["StartError", "Supervised", "Supervisor"]

log = structlog.get_logger(__name__)

MARGIN = 5.0
"""Seconds beyond the grace that a worker may take to end."""
STATES = ("starting", "serving", "down")
ENDED, HUNG, NOT_STARTED = REASONS = ("ended", "hung", "not_started")
"""Why a worker is started anew."""


@dataclass(frozen=True)
class Supervised:
    """Where a started service listens.

    Attributes:
        workers: address of each gRPC listener by name, for each worker.
        metrics: the listener for metrics and probes.
    """

    workers: tuple[Mapping[str, str], ...]
    metrics: str


class Supervisor:
    """A service of several workers.

    Args:
        configuration: what it runs.
        path: the file to watch, None where the configuration is built in.
        load: builds the configuration anew from its source.
        overrides: settings over the file's, as ``load`` has them.
    """

    def __init__(
        self,
        configuration: Configuration,
        path: Path | None,
        load: Callable[[], Configuration],
        overrides: Mapping[str, Any],
    ) -> None:
        self._in_force = configuration
        self._path = path
        self._overrides = dict(overrides)
        self._settings = _with_seal_key(configuration.service)
        self._kept = MetricsFolder()
        self._folder = self._kept.path
        self._metrics = Metrics(guardsvc.__version__, process=False)
        self._policy = LivePolicy(configuration, load, self._metrics, self._spread)
        self._http = HttpListener(
            self._settings.metrics.address,
            JointMetrics(self._metrics, self._folder, self._processes),
            self._policy,
            self._ready,
            self._about,
        )
        numbers = range(self._settings.workers)
        self._addresses = [
            {name: address_of(each.address, number) for name, each in self._settings.listeners.items()}
            for number in numbers
        ]
        self._children: list[Child | None] = [None for _ in numbers]
        self._states = ["starting" for _ in numbers]
        self._backoffs = [Backoff() for _ in numbers]
        self._swap = asyncio.Lock()
        self._ending = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        for number in numbers:
            for reason in REASONS:
                self._metrics.worker_restarts.labels(str(number), reason)
            self._note(number, "starting")

    async def start(self) -> Supervised | None:
        """Listen, start all workers and become ready.

        Returns:
            Where it listens; None where it was told to end meanwhile.

        Raises:
            StartError: an address is taken, or a worker cannot start. None is left.
        """
        try:
            try:
                metrics = await self._http.start()
            except OSError as error:
                address = self._settings.metrics.address
                raise StartError("address", f"metrics cannot listen on {address}: {error.strerror}") from error
            await self._launch_all()
        except StartError:
            ended = self._ending.is_set()
            await self._close()
            if ended:
                return None
            raise
        for number in range(len(self._children)):
            self._keep(self._keep_running(number))
        return Supervised(workers=tuple(self._addresses), metrics=metrics)

    def handle_signals(self) -> None:
        """From now on SIGTERM and SIGINT end the service, SIGHUP reloads, SIGUSR1 switches debug logs on and off."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        loop.add_signal_handler(signal.SIGUSR1, self._toggle_debug)

    async def run(self) -> None:
        """Keep the workers running until a signal ends the service; watch the configuration file meanwhile."""
        if self._path:
            self._keep(watch(self._path, self._in_force.content, self._policy.reload, self._ending))
            self._keep(watch_files(lambda: self._policy().files, self._policy.reload, self._ending))
        await self._ending.wait()
        await self.stop()

    async def stop(self) -> None:
        """Let the workers finish the decisions under way within the grace, and close."""
        log.info("stopping", delay_s=self._settings.shutdown_delay_s, grace_s=self._settings.shutdown_grace_s)
        await self._close()
        log.info("stopped")

    async def _close(self) -> None:
        self._ending.set()
        children = [child for child in self._children if child is not None]
        for child in children:
            child.end()
        await asyncio.gather(*map(self._end_of, children))
        await asyncio.gather(*self._tasks)
        await self._http.stop()
        self._kept.remove()

    async def _launch_all(self) -> None:
        """Start all workers at once; those that can start do not matter where one cannot."""
        launches = await asyncio.gather(*map(self._launch, range(len(self._children))), return_exceptions=True)
        for failed in launches:
            if failed is not None:
                raise failed

    async def _launch(self, number: int) -> None:
        """Start a worker and bring it to the policy in force.

        Raises:
            StartError: it cannot serve; its process has ended.
        """
        self._note(number, "starting")
        child = self._children[number] = await Child.spawn()
        if self._ending.is_set():
            child.kill()
        try:
            await child.begin(self._beginning(number))
            async with self._swap:
                await _catch_up(child, self._in_force)
                self._addresses[number] = child.listeners
                self._note(number, "serving")
            log.info("worker_serving", worker=number, pid=child.pid, policy=child.policy, listeners=child.listeners)
        except (StartError, WorkerGoneError) as error:
            self._note(number, "down")
            child.kill()
            await child.wait()
            if isinstance(error, StartError):
                raise
            raise StartError("fault", f"worker {number} {error}") from error

    def _beginning(self, number: int) -> Begin:
        return Begin(
            worker=number,
            source=None if self._path is None else str(self._path),
            content=self._in_force.content,
            overrides=self._overrides,
            service=pickle.dumps(settings_at(self._settings, self._addresses[number])),
            metrics=str(self._folder),
            level="debug" if shows_debug() else self._policy.log_level,
        )

    async def _keep_running(self, number: int) -> None:
        """Replace a worker whenever it ends, until the service ends."""
        while (child := self._children[number]) is not None:
            watching = asyncio.create_task(self._watch(number, child))
            code = await child.wait()
            watching.cancel()
            self._note(number, "down")
            forget_worker(self._folder, number)
            if self._ending.is_set():
                return
            log.error("worker_ended", worker=number, pid=child.pid, cause=_cause(code), after_s=round(child.lasted, 1))
            if not await self._replace(number, child.lasted, HUNG if child.hung else ENDED):
                return

    async def _watch(self, number: int, child: Child) -> None:
        """Kill a worker whose event loop hangs. At the end of the service the grace bounds what it may take."""
        hang_s = self._settings.worker_hang_s
        if hang_s is None:
            return
        await child.hangs(hang_s)
        if not self._ending.is_set():
            log.error("worker_hung", worker=number, pid=child.pid, silent_s=hang_s)
            self._give_up(number, child)

    async def _replace(self, number: int, lasted: float, reason: str) -> bool:
        """Start a worker in the place of one that ended; whether it serves, or the service ends before it can."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._backoffs[number].wait(lasted)):
                    await self._ending.wait()
                return False
            self._metrics.worker_restarts.labels(str(number), reason).inc()
            try:
                await self._launch(number)
            except StartError as error:
                if self._ending.is_set():
                    return False
                log.error("worker_not_started", worker=number, problem=str(error))  # noqa: TRY400  no trace of ours
            else:
                return True
            lasted, reason = 0.0, NOT_STARTED

    async def _spread(self, loaded: Configuration) -> None:
        """Give a configuration to all workers: each builds it from the same bytes, and then all swap or none.

        A worker that ends meanwhile is no reason to keep the old one if the others can take the new.

        Raises:
            ConfigError: a worker cannot take it.
        """
        async with self._swap:
            gone: list[str] = []
            problems: list[str] = []
            for _ in range(2):
                serving = self._serving()
                if gone and not serving:
                    break
                gone, problems = await self._prepare(serving, loaded)
                if problems or not gone:
                    break
            if found := problems + gone:
                for child in self._serving().values():
                    child.tell(Discard())
                raise ConfigError(loaded.source, [Problem("", problem) for problem in found])
            self._in_force = loaded
            await asyncio.gather(*(self._commit(number, child) for number, child in self._serving().items()))

    async def _prepare(self, serving: Mapping[int, Child], loaded: Configuration) -> tuple[list[str], list[str]]:
        """Let workers build a configuration: which of them are gone, and why others cannot."""
        gone: list[str] = []
        problems: list[str] = []

        async def prepare(number: int, child: Child) -> None:
            try:
                done = await child.prepare(loaded.content)
            except WorkerGoneError as error:
                gone.append(f"worker {number} {error}")
                self._give_up(number, child)
                return
            problems.extend(f"worker {number}: {problem}" for problem in done.problems)
            if not done.problems and done.policy != loaded.policy.hash:
                problems.append(f"worker {number}: the same content is policy {done.policy}, not {loaded.policy.hash}")

        await asyncio.gather(*(prepare(number, child) for number, child in serving.items()))
        return gone, problems

    async def _commit(self, number: int, child: Child) -> None:
        try:
            await child.commit(self._in_force.content)
        except WorkerGoneError:
            self._give_up(number, child)

    def _give_up(self, number: int, child: Child) -> None:
        """End a worker that does not follow; another takes its place."""
        self._note(number, "down")
        child.kill()

    async def _end_of(self, child: Child) -> None:
        try:
            async with asyncio.timeout(self._settings.shutdown_delay_s + self._settings.shutdown_grace_s + MARGIN):
                await child.wait()
        except TimeoutError:
            log.error("worker_killed", pid=child.pid)  # noqa: TRY400  no trace of ours
            child.kill()
            await child.wait()

    def _end(self) -> None:
        self._ending.set()
        for child, state in zip(self._children, self._states, strict=True):
            if child is not None and state == "starting":
                child.kill()

    def _reload_soon(self) -> None:
        self._keep(self._policy.reload())
        for child in self._serving().values():
            child.tell(Refresh())

    def _toggle_debug(self) -> None:
        level: LogLevel = self._policy.log_level if shows_debug() else "debug"
        set_level(level)
        for child in self._serving().values():
            child.tell(ShowLevel(level=level))
        log.warning("log_level", shown=level)

    def _serving(self) -> dict[int, Child]:
        return {
            number: child
            for number, (child, state) in enumerate(zip(self._children, self._states, strict=True))
            if child is not None and state == "serving"
        }

    def _ready(self) -> bool:
        """Whether all workers serve, and by the same policy."""
        serving = self._serving()
        return (
            not self._ending.is_set()
            and len(serving) == len(self._children)
            and {child.policy for child in serving.values()} == {self._policy().hash}
        )

    def _about(self) -> dict[str, Any]:
        return {"workers": {"serving": len(self._serving()), "of": len(self._children)}}

    def _processes(self) -> dict[str, int]:
        workers = {f"worker-{number}": child.pid for number, child in self._serving().items()}
        return {"supervisor": os.getpid(), **workers}

    def _note(self, number: int, state: str) -> None:
        self._states[number] = state
        for each in STATES:
            self._metrics.workers.labels(each).set(self._states.count(each))

    def _keep(self, task: Coroutine[Any, Any, None]) -> None:
        kept = asyncio.create_task(task)
        self._tasks.add(kept)
        kept.add_done_callback(self._tasks.discard)


def _with_seal_key(service: ServiceSettings) -> ServiceSettings:
    """The settings with a random key for the seal where none is configured, so that all workers have the same."""
    if service.seal.keys:
        return service
    seal = service.seal.model_copy(update={"keys": (Secret(secrets.token_hex(32)),)})
    return service.model_copy(update={"seal": seal})


async def _catch_up(child: Child, in_force: Configuration) -> None:
    """Bring a worker that began with an older configuration to the one in force."""
    if child.content == in_force.content:
        return
    done = await child.prepare(in_force.content)
    if done.problems:
        raise StartError("configuration", "; ".join(done.problems))
    await child.commit(in_force.content)


def _cause(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
