"""Request side: a request that is judged here, where no ext_authz did before, and whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.gateways.admission import OverloadedError
from guardsvc.gateways.denial import deny
from guardsvc.gateways.exchange import Asker, Exchange
from guardsvc.gateways.ext_proc.answers import DECISION_ID_HEADER, buffered, headers, immediate, streamed, trailers
from guardsvc.gateways.ext_proc.echo import Echo
from guardsvc.gateways.ext_proc.modified import modified_message
from guardsvc.gateways.ext_proc.wire import BodyMode, attribute, metadata_of
from guardsvc.gateways.identity import WireEvidence, named
from guardsvc.gateways.seal import bounded_subject
from guardsvc.gateways.server_message import Origin
from guardsvc.mcp import BodyState, HttpRequest
from guardsvc.model import GatewayProtocol, Headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse
    from guardsvc.gateways.ext_proc.desk import Desk
    from guardsvc.gateways.holding import Holding
    from guardsvc.policy import Identity

__all__ = ["HIDDEN", "RequestBody", "asker_of"]

SERVER_KEY = "mcp_server"
HIDDEN = ("accept-encoding",)
"""Header fields that the server does not see, so that it compresses nothing."""
_PRINCIPALS = (
    "connection.uri_san_peer_certificate",
    "connection.dns_san_peer_certificate",
    "connection.subject_peer_certificate",
)


def asker_of(request: ProcessingRequest, fields: Headers, extensions: Mapping[str, str], identity: Identity) -> Asker:
    """Who asks, and for whom, by the word of a gateway that is believed.

    Args:
        request: the first message of the stream, which has the attributes.
        fields: header fields of the request.
        extensions: metadata of the gRPC call, which the gateway's configuration sets.
        identity: names callers.
    """
    principal = next((name for key in _PRINCIPALS if (name := attribute(request, key))), "")
    address = _host(attribute(request, "source.address"))
    evidence = WireEvidence(principal, extensions, metadata_of(request), fields)
    caller, refusal = named(identity, evidence, address)
    return Asker(
        protocol=GatewayProtocol.EXT_PROC,
        caller=caller,
        refusal=refusal,
        server_id=extensions.get(SERVER_KEY) or None,
        can_modify=True,
    )


class RequestBody:
    """Keeps a request back until it has come whole and is judged.

    Args:
        desk: judges.
        holding: counts what is kept back.
        fields: header fields of the request, pseudo fields among them.
        asker: for whom.
        mode: how much of the body the gateway shows.
        bodiless: whether the request has no body.

    Attributes:
        origin: the request, for its response; None while or where it is not allowed, and for batches.
        over: whether all of it is judged.
        closed: whether it is answered by a refusal.
    """

    deadline: float | None = None

    def __init__(
        self, desk: Desk, holding: Holding, fields: Headers, asker: Asker, mode: BodyMode, *, bodiless: bool
    ) -> None:
        self._desk = desk
        self._holding = holding
        self._fields = fields
        self._asker = asker
        self._mode = mode
        self._bodiless = bodiless
        self._body = bytearray()
        self._passes: Echo | None = None
        self.origin: Origin | None = None
        self.over = self.closed = False

    @property
    def _buffers(self) -> bool:
        return self._mode is BodyMode.BUFFERED and not self._bodiless

    async def start(self) -> AsyncIterator[ProcessingResponse]:
        """Judge a request without a body, or of which the body is not shown; wait for the others."""
        if self._buffers:
            yield headers("request", remove=(*HIDDEN, DECISION_ID_HEADER))
        elif self._bodiless:
            async for answer in self._finish(end=True):
                yield answer
        elif self._mode is not BodyMode.FULL_DUPLEX_STREAMED:
            async for answer in self._refuse("partial_body", end=self._mode is BodyMode.NONE):
                yield answer

    async def data(self, data: bytes, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        """Keep the next bytes, and judge them all at the end, or as soon as they are too many."""
        if self._passes is not None:
            async for answer in self._passes.data(data, end=end):
                yield answer
            self.over = self._passes.over
            return
        end = end or self._buffers
        self._body += data
        try:
            self._holding.hold(len(self._body))
        except OverloadedError as error:
            self._desk.intake.admission.tell(error.limit)
            async for answer in self._refuse("overloaded", end=end):
                yield answer
            return
        if end or len(self._body) > self._desk.policy().rules.limits.max_bytes:
            async for answer in self._finish(end=end):
                yield answer

    async def trailers(self) -> AsyncIterator[ProcessingResponse]:
        """The body is over, and trailer fields follow."""
        if self._passes is None and not self.over:
            async for answer in self._finish(end=False):
                yield answer
        if not self.closed:
            self.over = True
            yield trailers("request")

    async def late(self) -> AsyncIterator[ProcessingResponse]:
        """A client has the time that the gateway gives it."""
        return
        yield

    def _request(self) -> HttpRequest:
        return HttpRequest(
            method=self._fields.get(":method") or "",
            path=self._fields.get(":path") or "",
            host=self._fields.get(":authority") or self._fields.get("host") or "",
            headers=self._fields,
            body=bytes(self._body),
            body_state=BodyState.WHOLE if self._body else BodyState.ABSENT,
        )

    async def _refuse(self, code: str, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        exchange = await self._desk.refuse_request(self._desk.policy(), self._request(), self._asker, code)
        async for answer in self._conclude(exchange, end=end):
            yield answer

    async def _finish(self, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        exchange = await self._desk.judge_request(self._desk.policy(), self._request(), self._asker)
        async for answer in self._conclude(exchange, end=end):
            yield answer

    async def _conclude(self, exchange: Exchange, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        if exchange.refusal is not None:
            yield self._denied(exchange)
            return
        self.over = end
        self.origin = _origin(exchange)
        body = modified_message(exchange)
        marked = {DECISION_ID_HEADER: exchange.leading.id}
        if self._buffers:
            yield buffered("request", body, sized="content-length" in self._fields, replace=marked)
        else:
            yield headers("request", replace=marked, remove=HIDDEN)
            if not self._bodiless and self._mode is BodyMode.FULL_DUPLEX_STREAMED:
                for answer in streamed("request", bytes(self._body) if body is None else body, end=end):
                    yield answer
        if not end:
            self._passes = Echo("request", self._mode)
        self._drop()

    def _denied(self, exchange: Exchange) -> ProcessingResponse:
        settings = self._desk.policy().settings
        denial = deny(
            exchange,
            status=settings.denials.status,
            accept=self._fields.get("accept"),
            challenge=settings.identity.challenge,
        )
        self.over = self.closed = True
        self._drop()
        return immediate(denial, exchange.leading.id)

    def _drop(self) -> None:
        self._body = bytearray()
        self._holding.release()


def _origin(exchange: Exchange) -> Origin | None:
    if exchange.batch:
        return None
    decision = exchange.decisions[0]
    operation = decision.operation
    return Origin(
        decision_id=decision.id,
        method=operation.method,
        id=operation.id,
        servers=operation.servers,
        subject=bounded_subject(operation.subject),
        revision=operation.revision or None,
    )


def _host(address: str | None) -> str | None:
    """The host of ``1.2.3.4:5`` or ``[::1]:5``."""
    if address is None:
        return None
    return address.rpartition(":")[0].strip("[]") or address
