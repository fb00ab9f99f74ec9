"""Judging: where what a gateway shows is judged, in this process or in another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from guardsvc.gateways.exchange import judge
from guardsvc.gateways.server_message import judge_server_message
from guardsvc.gateways.statement import judge_statement

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from guardsvc.engine import FactSources
    from guardsvc.gateways.exchange import Asker, Exchange
    from guardsvc.gateways.server_message import ServerMessage
    from guardsvc.gateways.statement import Statement
    from guardsvc.mcp import HttpRequest
    from guardsvc.policy import Policy

__all__ = ["HERE", "Judging"]


class Judging(Protocol):
    """Judges; the decisions are the same wherever it does."""

    def request(
        self, policy: Policy, request: HttpRequest, asker: Asker, *, deadline: float, sources: FactSources
    ) -> Awaitable[Exchange]:
        """See ``exchange.judge``. Raises OverloadedError where there is no room."""

    def statement(
        self, policy: Policy, statement: Statement, asker: Asker, *, deadline: float, sources: FactSources
    ) -> Awaitable[Exchange]:
        """See ``statement.judge_statement``. Raises OverloadedError where there is no room."""

    def message(
        self, policy: Policy, message: ServerMessage, asker: Asker, *, deadline: float, sources: FactSources
    ) -> Awaitable[Exchange]:
        """See ``server_message.judge_server_message``. Raises OverloadedError where there is no room."""


class _Here:
    """In this process."""

    request = staticmethod(judge)
    statement = staticmethod(judge_statement)
    message = staticmethod(judge_server_message)


HERE: Judging = _Here()
