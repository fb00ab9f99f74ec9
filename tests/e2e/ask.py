"""Asking: a request by plain HTTP through Envoy, or by a CheckRequest as a gateway sends it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import httpx2

from deploy.demo.wire import DECISION_ID
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.demo.services import Received
    from deploy.demo.stack import Stack

METHOD = "/envoy.service.auth.v3.Authorization/Check"
HANGS_AFTER = 10.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that need none: to read the certificates of all authorities takes longer than most requests."""

Fields = list[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What the client gets. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def decision_id(self) -> str | None:
        return self.headers.get(DECISION_ID)


def send(method: str, url: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """Send one HTTP request on a connection of its own; of an endless answer only the headers count."""
    with (
        httpx2.Client(trust_env=False, verify=NO_TLS, timeout=HANGS_AFTER) as client,
        client.stream(method, url, content=body, headers=list(headers)) as response,
    ):
        endless = method == "GET" and response.headers.get("content-type") == "text/event-stream"
        return Answer(response.status_code, dict(response.headers), b"" if endless else response.read())


def check(address: str, request: CheckRequest) -> CheckResponse:
    """Ask guardsvc without a deadline, as agentgateway does.

    Raises:
        grpc.FutureTimeoutError: it does not answer.
    """
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(METHOD, CheckRequest.SerializeToString, CheckResponse.FromString)
        answer: CheckResponse = ask.future(request).result(timeout=HANGS_AFTER)
    return answer


def denial(response: CheckResponse) -> Answer:
    """What the client gets of a refusal."""
    assert response.status.code != 0
    denied = response.denied_response
    fields = {option.header.key: option.header.value for option in denied.headers}
    return Answer(denied.status.code, fields, denied.body.encode())


def at_the_server(stack: Stack, decision_id: str | None) -> list[Received]:
    """The requests of a decision that reached the MCP server."""
    return [request for request in stack.mcp_server.received() if decision_id in request.all(DECISION_ID)]
