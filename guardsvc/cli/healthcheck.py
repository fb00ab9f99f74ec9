"""``guardsvc healthcheck``."""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from guardsvc.cli.exit_codes import ExitCode

__all__ = ["run_healthcheck"]


def run_healthcheck(address: str, service: str, timeout: float) -> None:
    """Ask once; end with code 4 unless the answer is SERVING."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout
            )
        except grpc.RpcError as error:
            status = error.code().name  # type: ignore[attr-defined]
            print(f"guardsvc: {address} does not answer: {status}", file=sys.stderr)
            sys.exit(ExitCode.UNAVAILABLE)
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(status.lower())
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        sys.exit(ExitCode.UNAVAILABLE)

