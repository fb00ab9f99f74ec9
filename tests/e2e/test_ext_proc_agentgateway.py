"""ext_proc as agentgateway sends it, over gRPC: pseudo fields as text, responses always as events, in both its modes.

The shapes are those measured on a running agentgateway; the binary itself is not on PyPI.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from deploy.demo.services import Guardsvc
from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse
from tests.e2e.ask import HANGS_AFTER
from tests.e2e.responding import POISON, POLICY, call, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

METHOD = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
BUFFERED, FULL_DUPLEX_STREAMED = 2, 4
MODES = [BUFFERED, FULL_DUPLEX_STREAMED]


@pytest.fixture(scope="module")
def guardsvc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardsvc]:
    service = Guardsvc(POLICY, tmp_path_factory.mktemp("agentgateway"))
    service.start()
    try:
        service.wait()
        yield service
    finally:
        service.stop()


def _headers(pseudo: dict[str, str], fields: dict[str, str]) -> Any:
    shown: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in pseudo.items()]
    shown += [{"key": key, "raw_value": value.encode()} for key, value in fields.items()]
    return {"headers": {"headers": shown}}


def _request(mode: int, message: Any) -> list[ProcessingRequest]:
    pseudo = {":method": "POST", ":scheme": "http", ":authority": "localhost:3000", ":path": "/mcp"}
    fields = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    return [
        ProcessingRequest(
            request_headers=_headers(pseudo, fields),
            protocol_config={"request_body_mode": mode, "response_body_mode": mode},
        ),
        ProcessingRequest(request_body={"body": json.dumps(message).encode(), "end_of_stream": True}),
    ]


def _response(mode: int, data: bytes) -> list[ProcessingRequest]:
    event = b"event: message\ndata: " + json.dumps(json.loads(data)).encode() + b"\n\n"
    headers = ProcessingRequest(response_headers=_headers({":status": "200"}, {"content-type": "text/event-stream"}))
    if mode == BUFFERED:
        return [headers, ProcessingRequest(response_body={"body": event, "end_of_stream": True})]
    return [
        headers,
        ProcessingRequest(response_body={"body": event}),
        ProcessingRequest(response_body={"body": b"", "end_of_stream": True}),
    ]


def _converse(guardsvc: Guardsvc, messages: list[ProcessingRequest], **metadata: str) -> list[ProcessingResponse]:
    """Send all messages, then read until the stream ends."""
    with grpc.insecure_channel(guardsvc.address) as channel:
        ask = channel.stream_stream(METHOD, ProcessingRequest.SerializeToString, ProcessingResponse.FromString)
        answers: Any = ask(iter(messages), timeout=HANGS_AFTER, metadata=tuple(metadata.items()))
        return list(answers)


@pytest.mark.parametrize("mode", MODES)
def test_an_allowed_exchange(guardsvc: Guardsvc, mode: int) -> None:
    response = _response(mode, listed())
    answers = _converse(guardsvc, [*_request(mode, call()), *response], mcp_server="demo")
    kinds = [answer.WhichOneof("response") for answer in answers]
    assert kinds[:2] == ["request_headers", "request_body"]
    assert kinds[2] == "response_headers"
    assert set(kinds[3:]) == {"response_body"}
    if mode == BUFFERED:
        assert len(answers) == 4
        assert not answers[1].request_body.response.HasField("body_mutation")
        assert not answers[3].response_body.response.HasField("body_mutation")
        return
    sent = answers[1].request_body.response.body_mutation.streamed_response
    assert (json.loads(sent.body), sent.end_of_stream) == (call(), True)
    pieces = [answer.response_body.response.body_mutation.streamed_response for answer in answers[3:]]
    assert b"".join(piece.body for piece in pieces) == response[1].response_body.body
    assert [piece.end_of_stream for piece in pieces] == [False, True]


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_request(guardsvc: Guardsvc, mode: int) -> None:
    answers = _converse(guardsvc, _request(mode, call("tools/call", name="forbidden", arguments={})))
    immediate = answers[-1].immediate_response
    assert immediate.status.code == 200
    assert json.loads(immediate.body)["error"]["data"]["reason"] == "access_denied"


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_response_is_an_event_in_its_place(guardsvc: Guardsvc, mode: int) -> None:
    answers = _converse(guardsvc, [*_request(mode, call()), *_response(mode, listed(POISON))])
    mutation = answers[-1].response_body.response.body_mutation
    body = mutation.body if mode == BUFFERED else mutation.streamed_response.body
    assert mode == BUFFERED or mutation.streamed_response.end_of_stream
    assert b"id_rsa" not in body
    told = json.loads(body.removeprefix(b"event: message\ndata: "))
    assert (told["id"], told["error"]["data"]["reason"]) == (7, "tool_poisoning_detected")


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_that_ends_early_does_not_end_in_peace(guardsvc: Guardsvc, mode: int) -> None:
    for messages in (_request(mode, call())[:1], [*_request(mode, call()), _response(mode, listed())[0]]):
        with pytest.raises(grpc.RpcError) as caught:
            _converse(guardsvc, messages)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.ABORTED
