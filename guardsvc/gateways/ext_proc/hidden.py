"""Hidden: a response whose body the gateway does not show whole, so that it is refused before any of it passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.gateways.ext_proc.answers import immediate
from guardsvc.gateways.ext_proc.echo import Echo
from guardsvc.gateways.ext_proc.wire import BodyMode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingResponse
    from guardsvc.gateways.ext_proc.response import Response

__all__ = ["HiddenBody"]


class HiddenBody(Echo):
    """Refuses a response; under ``mode: shadow`` lets it pass.

    Args:
        response: the response.
    """

    def __init__(self, response: Response) -> None:
        super().__init__("response", response.mode)
        self._response = response

    async def start(self) -> AsyncIterator[ProcessingResponse]:
        """Refuse it at once."""
        policy, exchange = await self._response.refuse("partial_body")
        if exchange.refusal is None:
            self.over = self._mode is BodyMode.NONE
            async for answer in super().start():
                yield answer
            return
        self.over = self.closed = True
        yield immediate(self._response.denial(exchange, policy), exchange.leading.id)
