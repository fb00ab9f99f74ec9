"""Conversation: one ext_proc stream, which is one HTTP exchange, from message to answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.gateways.exchange import Asker
from guardsvc.gateways.ext_proc.echo import Echo
from guardsvc.gateways.ext_proc.request_side import HIDDEN, RequestBody, asker_of
from guardsvc.gateways.ext_proc.response import Response
from guardsvc.gateways.ext_proc.response_side import Body, body_of, made_by_the_gateway
from guardsvc.gateways.ext_proc.wire import BodyMode, attribute, headers_of, token_of
from guardsvc.gateways.holding import Holding
from guardsvc.gateways.server_message import Origin
from guardsvc.model import Caller, GatewayProtocol, Headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse
    from guardsvc.gateways.ext_proc.desk import Desk

__all__ = ["Conversation", "UnexpectedError"]


class UnexpectedError(Exception):
    """A message comes that the protocol does not allow there."""


class Conversation:
    """Answers the messages of one stream.

    Args:
        desk: judges.
        believed: whether the gateway is believed when it names a caller, hands on a decision or says that a
            response is its own.
        learns: whether catalogs may be learned from what it shows.
        address: of the gateway, the caller's where it is not believed.
        extensions: metadata of the gRPC call.
    """

    def __init__(
        self, desk: Desk, *, believed: bool, learns: bool, address: str | None, extensions: Mapping[str, str]
    ) -> None:
        self._desk = desk
        self._believed = believed
        self._learns = learns and believed
        self._address = address
        self._extensions = extensions
        self._holding = Holding(desk.intake.admission)
        self._modes = (BodyMode.NONE, BodyMode.NONE)
        self._begun = False
        self._fields = Headers()
        self._caller = Caller(address=address)
        self._request: RequestBody | Echo | None = None
        self._response: Body | None = None

    @property
    def deadline(self) -> float | None:
        """When ``late`` is to be asked, on the clock of ``time.perf_counter``; None where nothing is waited for."""
        return self._response.deadline if self._response else None

    @property
    def holds(self) -> bool:
        """Whether bytes are kept back."""
        return self._holding.size > 0

    @property
    def unfinished(self) -> bool:
        """Whether something has begun that is not judged to its end."""
        return any(side is not None and not side.over for side in (self._request, self._response))

    async def take(self, request: ProcessingRequest) -> AsyncIterator[ProcessingResponse]:
        """The answers to one message.

        Raises:
            UnexpectedError: it is none that can come now.
        """
        if not self._begun:
            self._begun = True
            config = request.protocol_config
            self._modes = (_mode(config.request_body_mode), _mode(config.response_body_mode))
        which = request.WhichOneof("request")
        match which:
            case "request_headers" if self._request is None and self._response is None:
                self._request = self._begin_request(request)
                answers = self._request.start()
            case "response_headers" if self._response is None:
                self._response = self._begin_response(request)
                answers = self._response.start()
            case "request_body" if self._request is not None:
                answers = _data(self._request, request.request_body.body, end=request.request_body.end_of_stream)
            case "response_body" if self._response is not None:
                answers = _data(self._response, request.response_body.body, end=request.response_body.end_of_stream)
            case "request_trailers" if self._request is not None:
                answers = _trailers(self._request)
            case "response_trailers" if self._response is not None:
                answers = _trailers(self._response)
            case _:
                raise UnexpectedError(which or "nothing")
        async for answer in answers:
            yield answer

    async def late(self) -> AsyncIterator[ProcessingResponse]:
        """The answers when the deadline has passed."""
        if self._response is not None:
            async for answer in self._response.late():
                yield answer

    def close(self) -> None:
        """Hold nothing any more."""
        self._holding.release()

    def _begin_request(self, request: ProcessingRequest) -> RequestBody | Echo:
        shown = request.request_headers
        self._fields = headers_of(shown)
        mode = self._modes[0]
        if self._believed and (token := token_of(request)) and self._desk.seal.open(token) is not None:
            echo = Echo("request", mode, remove=HIDDEN)
            echo.over = shown.end_of_stream or mode is BodyMode.NONE
            return echo
        if self._believed:
            identity = self._desk.policy().identity
            asker = asker_of(request, self._fields, self._extensions, identity)
        else:
            asker = Asker(protocol=GatewayProtocol.EXT_PROC, caller=Caller(address=self._address), can_modify=True)
        self._caller = asker.caller
        return RequestBody(self._desk, self._holding, self._fields, asker, mode, bodiless=shown.end_of_stream)

    def _begin_response(self, request: ProcessingRequest) -> Body:
        shown = request.response_headers
        mode = self._modes[1]
        own = self._believed and made_by_the_gateway(attribute(request, "response.code_details"))
        if own or shown.end_of_stream:
            echo = Echo("response", mode)
            echo.over = shown.end_of_stream or mode is BodyMode.NONE
            return echo
        origin, caller = self._correlate(request)
        return body_of(
            Response(
                desk=self._desk,
                holding=self._holding,
                headers=headers_of(shown),
                mode=mode,
                origin=origin,
                caller=caller,
                path=self._fields.get(":path") or "",
                learns=self._learns,
            )
        )

    def _correlate(self, request: ProcessingRequest) -> tuple[Origin | None, Caller]:
        """The request that the response answers, as this stream or the token of ext_authz tells, and its caller."""
        if isinstance(self._request, RequestBody) and self._request.origin is not None:
            return self._request.origin, self._caller
        token = token_of(request) if self._believed else None
        sealed = None if token is None else self._desk.seal.open(token)
        if sealed is None:
            self._desk.recorder.uncorrelated("missing" if token is None else "invalid")
            return None, self._caller
        origin = Origin(
            decision_id=sealed.decision_id,
            method=sealed.method,
            id=sealed.id,
            servers=sealed.servers,
            subject=sealed.subject,
        )
        caller = Caller(tenant=sealed.tenant, principal=sealed.principal, verified=sealed.verified, source="token")
        return origin, caller


def _mode(number: int) -> BodyMode:
    try:
        return BodyMode(number)
    except ValueError:
        raise UnexpectedError(f"body mode {number}") from None


async def _data(side: RequestBody | Body, data: bytes, *, end: bool) -> AsyncIterator[ProcessingResponse]:
    if not side.closed:
        async for answer in side.data(data, end=end):
            yield answer


async def _trailers(side: RequestBody | Body) -> AsyncIterator[ProcessingResponse]:
    if not side.closed:
        async for answer in side.trailers():
            yield answer
