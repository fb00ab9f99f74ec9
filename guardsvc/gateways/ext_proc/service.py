"""The gRPC side of ext_proc: a stream for each HTTP exchange, every fault an error status.

A stream that is closed with OK lets the gateway go on without asking, so it ends that way only when the
gateway itself ends it and nothing is left to judge.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc
import msgspec
import structlog
from google.protobuf.message import DecodeError

from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from guardsvc.gateways.admission import Shed, overloaded
from guardsvc.gateways.denial import deny
from guardsvc.gateways.entrance import Intake
from guardsvc.gateways.ext_proc.answers import immediate
from guardsvc.gateways.ext_proc.conversation import Conversation, UnexpectedError
from guardsvc.gateways.ext_proc.desk import Desk
from guardsvc.gateways.identity import peer_address
from guardsvc.gateways.peers import Believes, local
from guardsvc.model import Direction, GatewayProtocol, Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardsvc.engine import FactSources
    from guardsvc.gateways.seal import Seal
    from guardsvc.observe import Recorder
    from guardsvc.policy import Policy

__all__ = ["ExtProc"]

log = structlog.get_logger(__name__)

Context = Any
"""``grpc.aio.ServicerContext``, which is generic only to type checkers."""


class ExtProc:
    """Answers Process.

    Args:
        policy: gives the policy in force; asked for each request and each message.
        seal: opens correlation tokens.
        recorder: is told of every decision.
        sources: where facts come from.
        believes: whether a peer is believed when it names a caller.
        intake: what it shares of the load with other services; one of its own, without bounds, by default.
        learns: whether catalogs may be learned from what believed peers show.
    """

    SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"

    def __init__(
        self,
        policy: Callable[[], Policy],
        seal: Seal,
        recorder: Recorder,
        sources: FactSources,
        believes: Believes = local,
        *,
        intake: Intake | None = None,
        learns: bool = True,
    ) -> None:
        self._desk = Desk(policy=policy, seal=seal, recorder=recorder, sources=sources, intake=intake or Intake())
        self._admission = self._desk.intake.admission
        self._recorder = recorder
        self._believes = believes
        self._learns = learns

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to add to a ``grpc.aio`` server."""
        handlers = {"Process": grpc.stream_stream_rpc_method_handler(self.process)}
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(self.SERVICE, handlers)
        return handler

    async def process(self, _requests: Any, context: Context) -> None:
        """Answer the messages of one stream.

        Args:
            _requests: not used; the context reads.
            context: of the call.

        Raises:
            grpc.aio.AbortError: INVALID_ARGUMENT where a message is none that may come, ABORTED where the
                gateway ends the stream before all is judged, RESOURCE_EXHAUSTED where there is no memory for what
                is kept back, INTERNAL where guardsvc itself fails.
        """
        if (limit := self._no_room()) is not None:
            await self._refuse_unread(context, limit)
            return
        self._admission.streams += 1
        try:
            await self._answer(context)
        finally:
            self._admission.streams -= 1

    def _no_room(self) -> Shed | None:
        """The limit that one more stream would be beyond."""
        unread = self._desk.intake.unread
        if unread is not None and unread.full:
            return "memory"
        return "streams" if self._admission.streams >= self._admission.bounds.streams else None

    async def _refuse_unread(self, context: Context, limit: Shed) -> None:
        """Refuse an exchange of which nothing is read, under ``mode: shadow`` too: nobody could judge its answer."""
        self._admission.tell(limit)
        policy, bounds = self._desk.policy(), self._admission.bounds
        peer = peer_address(context.peer())
        exchange = overloaded(policy, GatewayProtocol.EXT_PROC, bounds, limit, peer=peer, direction=Direction.RESPONSE)
        decision = msgspec.structs.replace(exchange.leading, mode=Mode.ENFORCE)
        settings = policy.settings
        denial = deny(
            msgspec.structs.replace(exchange, decisions=(decision,)),
            status=settings.denials.status,
            accept=None,
            challenge=settings.identity.challenge,
        )
        await context.write(immediate(denial, decision.id).SerializeToString())
        self._recorder.keep_shed(decision, policy_name=settings.name)

    async def _answer(self, context: Context) -> None:
        conversation = Conversation(
            self._desk,
            believed=self._believes(context),
            learns=self._learns,
            address=peer_address(context.peer()),
            extensions={key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)},
        )
        reader = _Reader(context)
        try:
            await self._converse(conversation, reader, context)
        except (DecodeError, UnexpectedError) as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a message that may come: {error}"[:200])
        except (grpc.aio.AbortError, grpc.aio.UsageError):
            raise
        except Exception:
            log.exception("stream_failed", service=self.SERVICE)
            self._recorder.fault(self.SERVICE)
            await context.abort(grpc.StatusCode.INTERNAL, "the decision failed")
        finally:
            conversation.close()
            reader.close()

    async def _converse(self, conversation: Conversation, reader: _Reader, context: Context) -> None:
        while True:
            deadline = conversation.deadline
            data = await reader.read(deadline)
            if data is LATE:
                async for answer in conversation.late():
                    await context.write(answer.SerializeToString())
                continue
            if not isinstance(data, bytes):
                break
            if conversation.holds and self._no_room() == "memory":
                self._admission.tell("memory")
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "overloaded")
            async for answer in conversation.take(ProcessingRequest.FromString(data)):
                await context.write(answer.SerializeToString())
        if conversation.unfinished:
            await context.abort(grpc.StatusCode.ABORTED, "the stream ended before all was judged")


LATE = object()


class _Reader:
    """Reads messages of a stream. What is waited for longer than it may be is still read."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reading: asyncio.Task[Any] | None = None

    async def read(self, deadline: float | None) -> Any:
        """The next message as bytes, ``LATE`` where none came in time, anything else where there are no more.

        Args:
            deadline: on the clock of ``time.perf_counter``, None to wait as long as it takes.
        """
        if self._reading is None:
            if deadline is None:
                return await self._context.read()
            self._reading = asyncio.ensure_future(self._context.read())
        seconds = None if deadline is None else max(deadline - perf_counter(), 0.0)
        done, _ = await asyncio.wait((self._reading,), timeout=seconds)
        if not done:
            return LATE
        reading, self._reading = self._reading, None
        return reading.result()

    def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
