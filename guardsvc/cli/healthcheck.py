"""``guardsvc healthcheck``."""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from guardsvc.cli.exit_codes import ExitCode

__all__ = ["run_healthcheck"]


def run_healthcheck(address: str, service: str, timeout: float) -> None:
    """Ask once; end with code 4 unless the answer is SERVING."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout
            )
        except grpc.RpcError as error:
            status = error.code()  # type: ignore[attr-defined]
            unknown = f'has no service "{service}"' if status is grpc.StatusCode.NOT_FOUND else None
            print(f"guardsvc: {address} {unknown or f'does not answer: {status.name}'}", file=sys.stderr)
            sys.exit(ExitCode.UNAVAILABLE)
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(status.lower())
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        sys.exit(ExitCode.UNAVAILABLE)
