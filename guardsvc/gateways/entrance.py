"""Entrance: where a gRPC call is before its message is there, and what it may take up while it comes.

grpc gathers the whole message of a call before it calls a handler, and gives no say in how many it gathers at
once. The first few calls are left to it, since that is the fast way. While these have not come in yet, further
calls are read by us, which can be given up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import msgspec

from guardsvc.gateways.admission import Admission, OverloadedError, Shed
from guardsvc.gateways.judging import HERE, Judging
from guardsvc.gateways.unread import FAST, Unread

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Entrance", "Intake"]

Answer = Callable[[bytes, Any], Awaitable[bytes]]
Refuse = Callable[[Any, Shed], Awaitable[bytes]]


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """What all services of a process share of the load.

    Attributes:
        admission: counts calls.
        unread: counts those whose message is not there yet; None leaves them all to grpc.
        judging: judges.
    """

    admission: Admission = msgspec.field(default_factory=Admission)
    unread: Unread | None = None
    judging: Judging = HERE


class Entrance(grpc.GenericRpcHandler):
    """The methods of one service.

    Args:
        service: its full name.
        methods: how each is answered, and how where there is no room for its message.
        intake: what it shares with other services.
    """

    def __init__(self, service: str, methods: Mapping[str, tuple[Answer, Refuse]], intake: Intake) -> None:
        admission, self._unread = intake.admission, intake.unread
        self._ways = {
            f"/{service}/{name}": _Way(admission.admitting(answer, shed), shed, admission, intake.unread)
            for name, (answer, shed) in methods.items()
        }

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """How to go on with a call of which only the method and the metadata are there."""
        way = self._ways.get(details.method)
        if way is None:
            return None
        unread = self._unread
        if unread is None:
            return way.plain
        if unread.fast < FAST:
            return _Fast(unread, way.answer)
        return way.slow


class _Way:
    """How the calls of one method are answered."""

    def __init__(self, answer: Answer, shed: Refuse, admission: Admission, unread: Unread | None) -> None:
        self.answer = answer
        self.plain = grpc.unary_unary_rpc_method_handler(answer)
        if unread is None:
            return

        async def read(_requests: Any, context: Any) -> bytes:
            try:
                data = await unread.read(context)
            except OverloadedError as error:
                admission.tell(error.limit)
                return await shed(context, error.limit)
            return b"" if data is None else await answer(data, context)

        # On the wire a stream of one message is no other than a message.
        self.slow = grpc.stream_unary_rpc_method_handler(read)


class _Fast:
    """A call that grpc reads by itself. It counts until its message is there, or it is given up before."""

    __slots__ = ("_answer", "_came", "_unread")

    request_streaming = False
    response_streaming = False
    request_deserializer = None
    response_serializer = None
    unary_stream = None
    stream_unary = None
    stream_stream = None

    def __init__(self, unread: Unread, answer: Answer) -> None:
        self._unread = unread
        self._answer = answer
        self._came = False
        unread.fast += 1

    async def unary_unary(self, data: bytes, context: Any) -> bytes:
        self._came = True
        self._unread.fast -= 1
        return await self._answer(data, context)

    def __del__(self) -> None:
        if not self._came:
            self._unread.fast -= 1
