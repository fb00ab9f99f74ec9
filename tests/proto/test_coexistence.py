"""Our classes load into one process with the libraries that bring protobuf classes of their own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from guardsvc._proto.envoy.service.auth.v3 import external_auth_pb2
from guardsvc._proto.guardsvc.v1 import guard_service_pb2

from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

status = status_pb2.Status(code=code_pb2.PERMISSION_DENIED, message="no")
answer = external_auth_pb2.CheckResponse(status=status)
assert external_auth_pb2.CheckResponse.FromString(answer.SerializeToString()).status == status
assert rpc_status.to_status(status).details == "no"
assert guard_service_pb2.Decision().WhichOneof("verdict") is None
assert not encode_spans([]).resource_spans
OTLPSpanExporter(endpoint="localhost:1", insecure=True).shutdown()
"""


def test_status_and_otlp_libraries_load_beside_ours() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=300)
