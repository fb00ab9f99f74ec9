"""Response: what is known of one response, and how a message of it is judged and told of."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from guardsvc.gateways.denial import Denial
from guardsvc.gateways.ext_proc.desk import Desk, deny_message
from guardsvc.gateways.ext_proc.wire import BodyMode
from guardsvc.gateways.holding import Holding
from guardsvc.gateways.server_message import Origin, ServerMessage
from guardsvc.model import Caller, Headers

if TYPE_CHECKING:
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.policy import Policy

__all__ = ["Response"]

FAILED = 400


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP response.

    Attributes:
        desk: judges.
        holding: counts what is kept back of it.
        headers: its header fields, ``:status`` among them.
        mode: how much of its body the gateway shows.
        origin: the request it answers, None where nobody knows.
        caller: of that request.
        path: of that request, empty where it is not known.
        learns: whether catalogs may be learned from it.
    """

    desk: Desk
    holding: Holding
    headers: Headers
    mode: BodyMode
    origin: Origin | None = None
    caller: Caller = Caller()
    path: str = ""
    learns: bool = False

    async def judge(self, body: bytes, *, in_stream: bool, begun: float) -> tuple[Policy, Exchange]:
        """Decide about a message by the policy in force now; ``begun`` is when its first byte came."""
        policy = self.desk.policy()
        deadline = begun + policy.settings.responses.deadline_ms / 1000
        message = self._message(body, in_stream=in_stream)
        if perf_counter() >= deadline:
            return policy, await self.desk.refuse_message(policy, message, self.caller, "deadline_exceeded")
        return policy, await self.desk.judge_message(
            policy, message, self.caller, learns=self.learns, deadline=deadline
        )

    async def refuse(self, code: str, body: bytes = b"", *, in_stream: bool = False) -> tuple[Policy, Exchange]:
        """A denial of what nobody has read, or not to the end."""
        policy = self.desk.policy()
        message = self._message(body, in_stream=in_stream)
        return policy, await self.desk.refuse_message(policy, message, self.caller, code)

    def denial(self, exchange: Exchange, policy: Policy) -> Denial:
        """What the client gets in place of the response. A failure stays one, with its challenge (RFC 9110)."""
        denial = deny_message(exchange, policy, self.origin)
        status = self.headers.get(":status") or ""
        if not status.isdecimal() or int(status) < FAILED:
            return denial
        told = dict(denial.headers)
        if challenge := self.headers.get("www-authenticate"):
            told["www-authenticate"] = challenge
        return msgspec.structs.replace(denial, status=int(status), headers=tuple(told.items()))

    def deadline_from(self, begun: float | None) -> float | None:
        """When what began then must be decided, on the clock of ``time.perf_counter``."""
        return None if begun is None else begun + self.desk.policy().settings.responses.deadline_ms / 1000

    def _message(self, body: bytes, *, in_stream: bool) -> ServerMessage:
        return ServerMessage(body=body, origin=self.origin, in_stream=in_stream, path=self.path)
