"""Elsewhere: small bodies are judged here, large ones by another process, with the same result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.gateways.exchange import judge, refuse_unread
from guardsvc.gateways.server_message import judge_server_message, refuse_unread_message
from guardsvc.gateways.statement import judge_statement, refuse_unread_statement
from guardsvc.model import Direction
from guardsvc.server.judges.pool import LateError, LostError
from guardsvc.server.judges.slim import with_headers

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from guardsvc.engine import FactSources
    from guardsvc.gateways.exchange import Asker, Exchange
    from guardsvc.gateways.server_message import ServerMessage
    from guardsvc.gateways.statement import Statement
    from guardsvc.mcp import HttpRequest
    from guardsvc.policy import Policy
    from guardsvc.server.judges.pool import Judges

__all__ = ["Elsewhere"]


class Elsewhere:
    """Judges here or there, by the size of the body.

    Args:
        judges: the processes.
        above: bytes of the largest body that is judged here.
    """

    def __init__(self, judges: Judges, above: int) -> None:
        self._judges = judges
        self._above = above

    def request(
        self, policy: Policy, request: HttpRequest, asker: Asker, *, deadline: float, sources: FactSources
    ) -> Awaitable[Exchange]:
        """See ``Judging``."""
        if self._is_small(len(request.body), policy, Direction.REQUEST):
            return judge(policy, request, asker, deadline=deadline, sources=sources)
        return self._request(policy, request, asker, deadline, sources)

    def statement(
        self, policy: Policy, statement: Statement, asker: Asker, *, deadline: float, sources: FactSources
    ) -> Awaitable[Exchange]:
        """See ``Judging``."""
        if self._is_small(len(statement.payload), policy, statement.direction):
            return judge_statement(policy, statement, asker, deadline=deadline, sources=sources)
        return self._statement(policy, statement, asker, deadline, sources)

    def message(
        self, policy: Policy, message: ServerMessage, asker: Asker, *, deadline: float, sources: FactSources
    ) -> Awaitable[Exchange]:
        """See ``Judging``."""
        if self._is_small(len(message.body), policy, Direction.RESPONSE):
            return judge_server_message(policy, message, asker, deadline=deadline, sources=sources)
        return self._message(policy, message, asker, deadline, sources)

    def _is_small(self, size: int, policy: Policy, direction: Direction) -> bool:
        """Whether it costs little: a body beyond what is read at all does too."""
        most = policy.rules.limits_of(direction).max_bytes
        return size <= self._above or size > most or not self._judges.knows(policy)

    async def _request(
        self, policy: Policy, request: HttpRequest, asker: Asker, deadline: float, sources: FactSources
    ) -> Exchange:
        try:
            exchange = await self._judges.judge(policy, request, asker, deadline=deadline, sources=sources)
        except (LateError, LostError) as error:
            return refuse_unread(policy, request, asker, _code(error))
        return with_headers(exchange, request.headers)

    async def _statement(
        self, policy: Policy, statement: Statement, asker: Asker, deadline: float, sources: FactSources
    ) -> Exchange:
        try:
            exchange = await self._judges.judge(policy, statement, asker, deadline=deadline, sources=sources)
        except (LateError, LostError) as error:
            return refuse_unread_statement(policy, statement, asker, _code(error))
        return with_headers(exchange, statement.headers)

    async def _message(
        self, policy: Policy, message: ServerMessage, asker: Asker, deadline: float, sources: FactSources
    ) -> Exchange:
        try:
            return await self._judges.judge(policy, message, asker, deadline=deadline, sources=sources)
        except (LateError, LostError) as error:
            return refuse_unread_message(policy, message, asker, _code(error))


def _code(error: LateError | LostError) -> str:
    return "deadline_exceeded" if isinstance(error, LateError) else "internal_error"
