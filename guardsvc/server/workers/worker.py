"""Worker: the process that decides, as ``python -m guardsvc.server.workers.worker DESCRIPTOR PULSE``.

It does what the supervisor says and ends with it. A terminal's or an operator's signals are the supervisor's to
handle; only SIGTERM ends a worker, and the supervisor replaces it unless everything is to end.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop

from guardsvc.config import ConfigError, in_turns
from guardsvc.guards.registry import GuardLoadError
from guardsvc.observe import configure_logging, join_metrics, set_level
from guardsvc.server.configuration import Configuration, load_configuration
from guardsvc.server.warm_up import warm_up
from guardsvc.server.workers.channel import (
    Begin,
    Commit,
    Discard,
    Done,
    Prepare,
    Refresh,
    Refused,
    Serving,
    ShowLevel,
    receive,
    send,
)
from guardsvc.server.workers.pulse import beat

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.server.service import Service
    from guardsvc.server.workers.channel import FaultKind

__all__ = ["main"]

log = structlog.get_logger(__name__)

MARGIN = 5.0
"""Seconds beyond the grace after which a worker without a supervisor ends, whatever it is doing."""
IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def main(descriptor: int, pulse: int) -> int:
    """Serve until told to end, or until the supervisor is gone.

    Args:
        descriptor: of the socket that leads to the supervisor.
        pulse: descriptor of the pipe in which the supervisor looks for signs of life.

    Returns:
        The exit code.
    """
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    supervisor = socket.socket(fileno=descriptor)
    supervisor.set_inheritable(False)
    os.set_inheritable(pulse, False)
    begin = receive(supervisor)
    if not isinstance(begin, Begin):
        return 1
    refuse = partial(_refuse, supervisor)
    try:
        configuration, load = _configuration(begin)
        _serve(supervisor, pulse, begin, configuration, load)
    except (ConfigError, GuardLoadError) as error:
        return refuse("configuration", str(error))
    except _ListenError as error:
        return refuse("address", str(error))
    except Exception as error:
        log.exception("worker_failed")
        return refuse("fault", f"{type(error).__name__}: {error}")
    return 0


class _ListenError(Exception):
    """An address cannot be bound. The service's own exception comes with grpc."""


def _configuration(begin: Begin) -> tuple[Configuration, Callable[[bytes], Configuration]]:
    """The configuration to begin with, and how another is built; both with the settings of the running service."""
    service = pickle.loads(begin.service)  # noqa: S301  from the supervisor alone
    configure_logging(begin.level, service.log.format, worker=begin.worker)
    join_metrics(Path(begin.metrics), begin.worker)
    path = None if begin.source is None else Path(begin.source)

    def load(content: bytes) -> Configuration:
        return load_configuration(path, begin.overrides, content=content if path else None, workers=service.workers)

    configuration = load(begin.content)
    service = service.model_copy(update={"log": configuration.service.log})
    return replace(configuration, service=service), load


def _serve(
    supervisor: socket.socket,
    pulse: int,
    begin: Begin,
    configuration: Configuration,
    load: Callable[[bytes], Configuration],
) -> None:
    from guardsvc.server.service import ListenError, Service  # noqa: PLC0415  brings grpc, which metrics come before

    async def serve() -> None:
        service = Service(configuration, None, lambda: configuration, worker=begin.worker)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, service.end)
        try:
            listening = await service.start()
        except ListenError as error:
            raise _ListenError(str(error)) from error
        send(supervisor, Serving(listeners=dict(listening.listeners), policy=configuration.policy.hash))
        orders = _Orders(supervisor, service, load, loop)
        threading.Thread(target=orders.follow, args=(begin.metrics,), daemon=True, name="orders").start()
        hang_s = configuration.service.worker_hang_s
        beating = None if hang_s is None else asyncio.create_task(beat(pulse, hang_s))
        await service.run()
        if beating is not None:
            beating.cancel()

    warm_up()
    uvloop.run(serve())


class _Orders:
    """Follows the supervisor's orders in a thread of its own, so that building a policy holds up no decision."""

    def __init__(
        self,
        supervisor: socket.socket,
        service: Service,
        load: Callable[[bytes], Configuration],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._supervisor = supervisor
        self._service = service
        self._load = load
        self._loop = loop
        self._prepared: Configuration | None = None

    def follow(self, metrics: str) -> None:
        """Follow orders until there is no supervisor any more, and then end the process."""
        while (order := receive(self._supervisor)) is not None:
            match order:
                case Prepare(content=content):
                    self._answer(self._prepare(content))
                case Commit():
                    self._commit()
                case Discard():
                    self._prepared = None
                case ShowLevel(level=level):
                    set_level(level)
                case Refresh():
                    self._loop.call_soon_threadsafe(self._service.refresh_soon)
        log.error("supervisor_gone")
        shutil.rmtree(metrics, ignore_errors=True)
        self._loop.call_soon_threadsafe(self._service.end)
        time.sleep(self._service.delay + self._service.grace + MARGIN)
        os._exit(1)

    def _prepare(self, content: bytes) -> Done:
        try:
            self._prepared = in_turns(partial(self._load, content))
        except ConfigError as error:
            return Done(problems=[str(problem) for problem in error.problems])
        except Exception as error:
            return Done(problems=[f"{type(error).__name__}: {error}"])
        return Done(policy=self._prepared.policy.hash)

    def _commit(self) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            self._loop.call_soon_threadsafe(self._adopt, prepared)

    def _adopt(self, prepared: Configuration) -> None:
        self._service.adopt(prepared)
        self._answer(Done(policy=prepared.policy.hash))

    def _answer(self, done: Done) -> None:
        try:
            send(self._supervisor, done)
        except OSError:
            log.warning("supervisor_not_answered")


def _refuse(supervisor: socket.socket, kind: FaultKind, text: str) -> int:
    with suppress(OSError):
        send(supervisor, Refused(kind=kind, text=text))
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
