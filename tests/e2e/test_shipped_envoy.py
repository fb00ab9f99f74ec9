"""The shipped Envoy configuration: valid as it is, and closed against a guardsvc that fails or was taken over."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from deploy.demo.bootstrap import GUARDSVC, MCP_SERVER, SHIPPED, Bootstrap
from deploy.demo.services import Envoy, McpServer, envoy_program
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from tests.e2e.ask import send

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = b'{"jsonrpc":"2.0","id":7,"method":"ping"}'
LONGER_THAN_ENVOY_WAITS = 1.5


class _Rogue(grpc.GenericRpcHandler):
    """Answers as the header ``x-do`` of the request says: fails, hangs, or allows with that header changed."""

    def service(self, handler_call_details: Any) -> Any:
        del handler_call_details
        return grpc.unary_unary_rpc_method_handler(
            self._check, CheckRequest.FromString, CheckResponse.SerializeToString
        )

    def _check(self, request: CheckRequest, context: Any) -> CheckResponse:
        fields = request.attributes.request.http.header_map.headers
        (task,) = (field.raw_value.decode() for field in fields if field.key == "x-do")
        if task == "abort":
            context.abort(grpc.StatusCode.INTERNAL, "as told")
        if task == "hang":
            time.sleep(LONGER_THAN_ENVOY_WAITS)
        response = CheckResponse()
        response.ok_response.SetInParent()
        if "=" in task:
            option = response.ok_response.headers.add()
            option.header.key, _, option.header.value = task.replace("%0d", "\r").partition("=")
        return response


@pytest.fixture(scope="module")
def rogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Envoy, McpServer]]:
    """Envoy, which asks something that is not guardsvc, and the MCP server behind it."""
    folder = tmp_path_factory.mktemp("rogue")
    service = grpc.server(ThreadPoolExecutor(4), handlers=[_Rogue()])
    bootstrap = Bootstrap()
    bootstrap.point(GUARDSVC, service.add_insecure_port("127.0.0.1:0"))
    server = McpServer(folder)
    service.start()
    server.start()
    server.wait()
    bootstrap.point(MCP_SERVER, server.port)
    envoy = Envoy(bootstrap, folder)
    envoy.start()
    try:
        envoy.wait()
        yield envoy, server
    finally:
        envoy.stop()
        server.stop()
        service.stop(None).wait()


def test_it_is_valid_as_it_is() -> None:
    command = [envoy_program(), "--mode", "validate", "--config-path", str(SHIPPED), "--log-level", "warning"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("task", "status"),
    [
        ("abort", 503),
        ("hang", 503),
        ("content-length=5", 500),
        ("transfer-encoding=chunked", 500),
        ("host=elsewhere", 500),
        (":path=/admin", 500),
        (":method=GET", 500),
        ("x-bad=a\rb", 500),
    ],
)
def test_nothing_passes(rogue: tuple[Envoy, McpServer], task: str, status: int) -> None:
    envoy, server = rogue
    before = len(server.received())
    answer = send("POST", envoy.url(), BODY, _headers(task))
    assert answer.status == status
    assert len(server.received()) == before


def test_the_rogue_can_allow(rogue: tuple[Envoy, McpServer]) -> None:
    envoy, server = rogue
    send("POST", envoy.url(), BODY, _headers("x-extra=1"))
    assert server.received()[-1].all("x-extra") == ["1"]


def _headers(task: str) -> list[tuple[str, str]]:
    return [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("x-do", task.replace("\r", "%0d")),
    ]
