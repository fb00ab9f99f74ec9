"""``guardsvc healthcheck``: asks one process over gRPC, and several workers through what their supervisor says."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.config import ConfigError, Document
from guardsvc.server.address import host_and_port
from guardsvc.server.settings import DEFAULT_LISTENER

__all__ = ["run_healthcheck"]

T = TypeVar("T")

GRPC = "127.0.0.1:9191"
METRICS = "127.0.0.1:9192"
MAX_ANSWER = 65_536


def run_healthcheck(
    config: str | None,
    *,
    address: str | None,
    metrics_address: str | None,
    workers: int | None,
    service: str,
    timeout: float,
) -> None:
    """Ask once; end with code 4 unless it serves.

    Args:
        config: configuration file, which says what is not given.
        address: the gRPC listener.
        metrics_address: the listener for metrics and probes.
        workers: how many there are.
        service: gRPC service, empty for all.
        timeout: seconds.
    """
    settings = _service_settings(config)
    if (workers or _at(settings, int, "workers") or 1) > 1:
        _ask_supervisor(metrics_address or _at(settings, str, "metrics", "address") or METRICS, timeout)
    else:
        _ask_process(address or _first_listener(settings) or GRPC, service, timeout)


def _ask_process(address: str, service: str, timeout: float) -> None:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout
            )
        except grpc.RpcError as error:
            status = error.code()  # type: ignore[attr-defined]
            unknown = f'has no service "{service}"' if status is grpc.StatusCode.NOT_FOUND else None
            _unavailable(f"{address} {unknown or f'does not answer: {status.name}'}")
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(status.lower())
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        sys.exit(ExitCode.UNAVAILABLE)


def _ask_supervisor(address: str, timeout: float) -> None:
    """What readiness says: all workers serve, by the same policy."""
    host, port = host_and_port(address)
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        status, about = answer.status, json.loads(answer.read(MAX_ANSWER))
        serving, of = (about["workers"][name] for name in ("serving", "of"))
    except OSError as error:
        _unavailable(f"{address} does not answer: {error.strerror or error}")
    except http.client.HTTPException:
        _unavailable(f"{address} does not answer in HTTP")
    except (ValueError, KeyError, TypeError):
        _unavailable(f"{address} answers, but is no service of several workers")
    finally:
        connection.close()
    if status == http.client.OK:
        print("serving")
        return
    print("not_serving")
    _unavailable(f"{serving} of {of} workers serve" if serving < of else "the workers do not serve one policy yet")


def _service_settings(config: str | None) -> dict[str, Any]:
    """The ``service`` section as it is written; what is wrong in it was for the service to say at start."""
    if config is None:
        return {}
    try:
        value = Document.parse(Path(config).read_bytes(), config).value
    except OSError as error:
        _fail(f"{config} cannot be read: {error.strerror}", ExitCode.CONFIGURATION)
    except ConfigError as error:
        _fail(str(error), ExitCode.CONFIGURATION)
    return _at(value, dict, "service") or {}


def _first_listener(settings: dict[str, Any]) -> str | None:
    listeners = _at(settings, dict, "listeners") or {}
    name = DEFAULT_LISTENER if DEFAULT_LISTENER in listeners else next(iter(listeners), "")
    return _at(listeners, str, name, "address")


def _at(value: Any, kind: type[T], *path: str) -> T | None:
    """What stands at a path, if it is there and of this kind."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, kind) else None


def _unavailable(problem: str) -> NoReturn:
    _fail(problem, ExitCode.UNAVAILABLE)


def _fail(problem: str, code: ExitCode) -> NoReturn:
    print(f"guardsvc: {problem}", file=sys.stderr)
    sys.exit(code)
