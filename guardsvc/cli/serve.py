"""``guardsvc serve``."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import guardsvc
from guardsvc.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.server.configuration import Configuration
    from guardsvc.server.service import Listening

__all__ = ["run_service"]

GRPC_EXPERIMENTS = "-event_engine_listener,-event_engine_client"
"""grpcio 1.85 spends a fifth less CPU per call without its event engine; read when grpc is first imported."""


def run_service(config: str | None, overrides: Mapping[str, Mapping[str, str]], *, quiet: bool) -> None:
    """Run the service until it is told to end."""
    os.environ.setdefault("GRPC_EXPERIMENTS", GRPC_EXPERIMENTS)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import uvloop

    from guardsvc.observe import configure_logging
    from guardsvc.server.configuration import load_configuration
    from guardsvc.server.service import ListenError

    path = None if config is None else Path(config)
    load = partial(load_configuration, path, overrides)
    configuration = load()
    configure_logging(configuration.service.log.level, configuration.service.log.format)
    try:
        uvloop.run(_serve(configuration, path, load, quiet=quiet))
    except ListenError as error:
        print(f"guardsvc: {error}", file=sys.stderr)
        sys.exit(ExitCode.UNAVAILABLE)


async def _serve(configuration: Configuration, path: Path | None, load: partial[Configuration], *, quiet: bool) -> None:
    import structlog

    from guardsvc.server.service import Service

    service = Service(configuration, path, load)
    service.handle_signals()
    listening = await service.start()
    policy = configuration.policy
    structlog.get_logger(__name__).info(
        "ready",
        version=guardsvc.__version__,
        grpc=listening.grpc,
        metrics=listening.metrics,
        source=configuration.source,
        policy=policy.hash,
        guards=[bound.id for bound in policy.guards],
    )
    if not quiet:
        with suppress(BrokenPipeError):  # whoever reads the banner may leave, the service stays
            print(_banner(configuration, listening), flush=True)
    await service.run()


def _banner(configuration: Configuration, listening: Listening) -> str:
    policy = configuration.policy
    guards = ", ".join(bound.id for bound in policy.guards) or "none: every operation gets the default"
    command = _command()
    return f"""guardsvc {guardsvc.__version__} is ready
  ext_authz  {listening.grpc} (gRPC)
  metrics    http://{listening.metrics}/metrics (and /livez /readyz /version)
  policy     {policy.settings.name}, {policy.hash}, mode {policy.settings.mode}, from {configuration.source}
  guards     {guards}
Next:
  a gateway   deploy/envoy/ext_authz.yaml points Envoy here; see docs/gateways.md
  a message   echo '{{"jsonrpc":"2.0","id":1,"method":"ping"}}' | {command} check
  a policy    docs/configuration.md; {command} validate FILE; {command} serve --config FILE
  stop        Ctrl-C or SIGTERM"""


def _command() -> str:
    """How a shell here calls guardsvc: ``make serve`` puts it beside its Python, which is not on the path."""
    beside = Path(sys.executable).with_name("guardsvc")
    if shutil.which("guardsvc") or not beside.exists():
        return "guardsvc"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
