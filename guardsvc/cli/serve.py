"""``guardsvc serve``."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import guardsvc
from guardsvc.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from guardsvc.server.configuration import Configuration

__all__ = ["run_service"]

_SPOKEN = {"grpc": "gRPC", "http": "HTTP"}
"""How listeners are told, by what they serve."""

GRPC_EXPERIMENTS = "-event_engine_listener,-event_engine_client"
"""grpcio 1.85 spends a fifth less CPU per call without its event engine; read when grpc is first imported."""


def run_service(config: str | None, overrides: Mapping[str, Any], *, quiet: bool) -> None:
    """Run the service until it is told to end, in this process or in several workers."""
    os.environ.setdefault("GRPC_EXPERIMENTS", GRPC_EXPERIMENTS)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    from guardsvc.observe import configure_logging
    from guardsvc.server.live_policy import tell_expired_exceptions
    from guardsvc.server.open_files import make_room_for_connections
    from guardsvc.server.storage import load_to_serve

    path = None if config is None else Path(config)
    load = partial(load_to_serve, path, overrides)
    configuration = load()
    configure_logging(configuration.service.log.level, configuration.service.log.format)
    tell_expired_exceptions(configuration.policy)
    make_room_for_connections(configuration.service)
    run = _run_alone if configuration.service.workers == 1 else _run_workers
    run(configuration, path, load, quiet=quiet)


def _run_alone(configuration: Configuration, path: Path | None, load: partial[Configuration], *, quiet: bool) -> None:
    import uvloop

    from guardsvc.server.service import ListenError, Service
    from guardsvc.server.warm_up import warm_up

    async def serve() -> None:
        service = Service(configuration, path, load)
        service.handle_signals()
        listening = await service.start()
        _say_ready(configuration, (listening.listeners,), listening.metrics, quiet=quiet)
        await service.run()

    warm_up()
    try:
        uvloop.run(serve())
    except ListenError as error:
        _end(str(error), ExitCode.UNAVAILABLE)


def _run_workers(configuration: Configuration, path: Path | None, load: partial[Configuration], *, quiet: bool) -> None:
    """Run the supervisor, which must not import grpc: nothing here may."""
    from guardsvc.server.workers.supervisor import StartError, Supervisor

    overrides = load.args[1]
    reload = partial(load, workers=configuration.service.workers)

    async def supervise() -> None:
        supervisor = Supervisor(configuration, path, reload, overrides)
        supervisor.handle_signals()
        listening = await supervisor.start()
        if listening is not None:
            _say_ready(configuration, listening.workers, listening.metrics, quiet=quiet)
            await supervisor.run()

    codes = {
        "address": ExitCode.UNAVAILABLE,
        "configuration": ExitCode.CONFIGURATION,
        "fault": ExitCode.INTERNAL,
    }
    try:
        asyncio.run(supervise())
    except StartError as error:
        _end(str(error), codes[error.kind])


def _end(message: str, code: ExitCode) -> None:
    print(f"guardsvc: {message}", file=sys.stderr)
    sys.exit(code)


def _say_ready(
    configuration: Configuration, workers: Sequence[Mapping[str, str]], metrics: str, *, quiet: bool
) -> None:
    """Say in the banner and then in the log that the service is ready, and where each worker listens."""
    import structlog

    from guardsvc.server.memory import memory_bound

    settings = configuration.service.listeners
    first = [next(at for name, at in each.items() if settings[name].serves == "grpc") for each in workers]
    policy = configuration.policy
    parts = memory_bound(configuration)
    if not quiet and configuration.service.audit.output != "stdout":
        with suppress(BrokenPipeError):  # whoever reads the banner may leave, the service stays
            print(_banner(configuration, workers, metrics), flush=True)
    structlog.get_logger(__name__).info(
        "ready",
        version=guardsvc.__version__,
        grpc=first[0] if len(first) == 1 else first,
        listeners=[dict(listeners) for listeners in workers],
        metrics=metrics,
        source=configuration.source,
        policy=policy.hash,
        guards=[bound.id for bound in policy.guards],
        memory_bound_mib={name: _mib(part) for name, part in parts.items()} | {"total": _mib(sum(parts.values()))},
    )


def _mib(size: int) -> int:
    return -(-size // 1_048_576)


def _banner(configuration: Configuration, workers: Sequence[Mapping[str, str]], metrics: str) -> str:
    from guardsvc.server.memory import memory_bound

    policy, settings = configuration.policy, configuration.service.listeners
    guards = ", ".join(bound.id for bound in policy.guards) or "none: every operation gets the default"
    command = _command()
    addresses = [
        f"{address} ({_SPOKEN[settings[name].serves]}{f', worker {number}' if len(workers) > 1 else ''})"
        for number, listeners in enumerate(workers)
        for name, address in listeners.items()
    ]
    asked = "\n".join(f"  {'' if row else 'gateways':<9}  {address}" for row, address in enumerate(addresses))
    example = "_workers" if len(workers) > 1 else "_uds" if addresses[0].startswith("unix:") else ""
    return f"""guardsvc {guardsvc.__version__} is ready
{asked}
  metrics    http://{metrics}/metrics (and /livez /readyz /version)
  policy     {policy.settings.name}, {policy.hash}, mode {policy.settings.mode}, from {configuration.source}
  guards     {guards}
  memory     at most {_mib(sum(memory_bound(configuration).values()))} MiB, whatever is sent
Next:
  a gateway   deploy/envoy/ext_authz{example}.yaml for Envoy, with the addresses above in it; see docs/gateways.md
  a message   echo '{{"jsonrpc":"2.0","id":1,"method":"ping"}}' | {command} check
  a policy    docs/configuration.md; {command} validate FILE; {command} serve --config FILE
  stop        Ctrl-C or SIGTERM"""


def _command() -> str:
    """How a shell here calls guardsvc: ``make serve`` puts it beside its Python, which is not on the path."""
    beside = Path(sys.executable).with_name("guardsvc")
    if shutil.which("guardsvc") or not beside.exists():
        return "guardsvc"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
