"""Echo: a body that goes on as it comes, unread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.gateways.ext_proc.answers import Side, buffered, headers, streamed, trailers
from guardsvc.gateways.ext_proc.wire import BodyMode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingResponse

__all__ = ["Echo"]


class Echo:
    """Lets a side of an exchange pass.

    Args:
        side: of the exchange.
        mode: how much of the body the gateway shows.
        replace: header fields to set.
        remove: header fields to take out.
    """

    deadline: float | None = None

    def __init__(
        self, side: Side, mode: BodyMode, *, replace: Mapping[str, str] | None = None, remove: Sequence[str] = ()
    ) -> None:
        self._side = side
        self._mode = mode
        self._replace = replace
        self._remove = remove
        self.over = self.closed = False

    async def start(self) -> AsyncIterator[ProcessingResponse]:
        """Let the header fields go on."""
        yield headers(self._side, replace=self._replace, remove=self._remove)

    async def data(self, data: bytes, *, end: bool) -> AsyncIterator[ProcessingResponse]:
        """Let the next bytes go on."""
        self.over = end
        if self._mode is not BodyMode.FULL_DUPLEX_STREAMED:
            yield buffered(self._side, None, sized=False)
            return
        for answer in streamed(self._side, data, end=end):
            yield answer

    async def trailers(self) -> AsyncIterator[ProcessingResponse]:
        """The body is over, and trailer fields follow."""
        self.over = True
        yield trailers(self._side)

    async def late(self) -> AsyncIterator[ProcessingResponse]:
        """It has no deadline."""
        return
        yield
