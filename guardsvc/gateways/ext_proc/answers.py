"""Answers: every ProcessingResponse, made in one place.

An answer whose oneof is not set, or a body answer without a body, would let bytes pass or cut them off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from guardsvc._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import HeaderMutation, ProcessingResponse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from guardsvc.gateways.denial import Denial

__all__ = ["DECISION_ID_HEADER", "Side", "buffered", "headers", "immediate", "streamed", "trailers"]

DECISION_ID_HEADER = "x-guardsvc-decision-id"
PIECE = 65_536
"""Bytes of one piece of a body, the most that gateways promise to take."""

Side = Literal["request", "response"]


def headers(side: Side, *, replace: Mapping[str, str] | None = None, remove: Sequence[str] = ()) -> ProcessingResponse:
    """Let the header fields go on."""
    answer = ProcessingResponse()
    told = answer.request_headers if side == "request" else answer.response_headers
    told.SetInParent()
    if replace or remove:
        _mutate(told.response.header_mutation, replace or {}, remove)
    return answer


def streamed(side: Side, body: bytes, *, end: bool) -> Iterator[ProcessingResponse]:
    """Let these bytes go on as the next ones of a body, in pieces; ``end`` says that the last ones are among them."""
    view = memoryview(body)
    for start in range(0, len(body), PIECE) or (0,):
        answer = ProcessingResponse()
        told = answer.request_body if side == "request" else answer.response_body
        piece = told.response.body_mutation.streamed_response
        piece.body = bytes(view[start : start + PIECE])
        piece.end_of_stream = end and start + PIECE >= len(body)
        if piece.body or piece.end_of_stream:
            yield answer


def buffered(
    side: Side,
    body: bytes | None,
    *,
    sized: bool,
    replace: Mapping[str, str] | None = None,
    remove: Sequence[str] = (),
) -> ProcessingResponse:
    """Let a whole body go on, as it came or as another one.

    Args:
        side: of the exchange.
        body: to go on in place of the one that came, None for that itself.
        sized: whether the header fields tell the size.
        replace: header fields to set.
        remove: header fields to take out.
    """
    answer = ProcessingResponse()
    told = answer.request_body if side == "request" else answer.response_body
    told.response.SetInParent()
    given = dict(replace or {})
    if body is not None:
        told.response.body_mutation.body = body
        if sized:
            given["content-length"] = str(len(body))
    if given or remove:
        _mutate(told.response.header_mutation, given, remove)
    return answer


def trailers(side: Side) -> ProcessingResponse:
    """Let the trailer fields go on."""
    answer = ProcessingResponse()
    (answer.request_trailers if side == "request" else answer.response_trailers).SetInParent()
    return answer


def immediate(denial: Denial, decision_id: str) -> ProcessingResponse:
    """End the exchange with a refusal in place of what the other side sends."""
    answer = ProcessingResponse()
    told = answer.immediate_response
    told.status.code = denial.status  # type: ignore[assignment]  # open enum: any HTTP status
    _mutate(told.headers, {**dict(denial.headers), DECISION_ID_HEADER: decision_id}, ())
    told.body = denial.body.encode()
    told.details = "guardsvc_denied"
    return answer


def _mutate(mutation: HeaderMutation, replace: Mapping[str, str], remove: Sequence[str]) -> None:
    """ext_proc reads ``raw_value``, never ``value``, and appends unless it is told to overwrite."""
    for name, value in replace.items():
        option = mutation.set_headers.add()
        option.header.key = name
        option.header.raw_value = value.encode("latin-1")
        option.append_action = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    mutation.remove_headers.extend(remove)
