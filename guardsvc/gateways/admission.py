"""Admission: how many decisions a process takes on at once, and how many bytes of requests it holds.

What is beyond is answered at once and not read: waiting would only make every other caller late too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from guardsvc.engine import refuse
from guardsvc.engine.chain import new_decision_id
from guardsvc.gateways.exchange import Exchange
from guardsvc.model import Caller, Decision, Direction, FailureMode, Kind, Operation, Phase, reason_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from guardsvc.model import GatewayProtocol
    from guardsvc.policy import Policy

__all__ = ["UNLIMITED", "Admission", "Bounds", "OverloadedError", "Shed", "overloaded"]

Shed = Literal["decisions", "bytes", "streams", "unread", "memory", "large_bodies"]
"""The limit that a call is beyond."""

CODE = "overloaded"


class OverloadedError(Exception):
    """There is no room for a call.

    Attributes:
        limit: what is used up.
    """

    def __init__(self, limit: Shed) -> None:
        super().__init__(limit)
        self.limit = limit


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is room for.

    Attributes:
        decisions: calls under way.
        bytes: messages of the calls under way, as they came.
        streams: streams of ext_proc under way.
        failure_mode: what a call that finds no room counts as.
        retry_after_ms: what its caller is told to wait.
    """

    decisions: int
    bytes: int
    streams: int = 1 << 62
    failure_mode: FailureMode = FailureMode.FAIL_CLOSED
    retry_after_ms: int = 1000


UNLIMITED = Bounds(decisions=1 << 62, bytes=1 << 62)


class Admission:
    """Counts the calls of all services of a process. Made for one event loop.

    Args:
        bounds: how much there is room for.
        tell: is told of every call that finds no room.

    Attributes:
        bounds: as given.
        decisions: calls under way.
        held: bytes of their messages.
        streams: streams under way, each of which is one HTTP exchange.
    """

    def __init__(self, bounds: Bounds = UNLIMITED, tell: Callable[[Shed], None] = lambda _: None) -> None:
        self.bounds = bounds
        self.decisions = 0
        self.held = 0
        self.streams = 0
        self.tell = tell

    def admitting(
        self,
        answer: Callable[[bytes, Any], Awaitable[bytes]],
        shed: Callable[[Any, Shed], Awaitable[bytes]],
    ) -> Callable[[bytes, Any], Awaitable[bytes]]:
        """A handler of calls that answers those there is room for.

        Args:
            answer: answers a call; raises OverloadedError where there is no room further on.
            shed: answers one that there is no room for, without its message, and is told which limit it is beyond.
        """
        most, most_bytes = self.bounds.decisions, self.bounds.bytes

        async def admit(data: bytes, context: Any) -> bytes:
            size = len(data)
            if self.decisions >= most or self.held + size > most_bytes:
                limit: Shed = "decisions" if self.decisions >= most else "bytes"
                self.tell(limit)
                return await shed(context, limit)
            self.decisions += 1
            self.held += size
            try:
                return await answer(data, context)
            except OverloadedError as error:
                self.tell(error.limit)
                return await shed(context, error.limit)
            finally:
                self.decisions -= 1
                self.held -= size

        return admit


def overloaded(
    policy: Policy,
    protocol: GatewayProtocol,
    bounds: Bounds,
    limit: Shed,
    *,
    peer: str | None = None,
    direction: Direction = Direction.REQUEST,
) -> Exchange:
    """What becomes of a call that there is no room for: its message is not read, so its id is not known.

    Args:
        policy: in force; under ``mode: shadow`` the refusal is not applied, as no other is.
        protocol: the call's.
        bounds: what a call without room counts as.
        limit: that it is beyond.
        peer: address of the gateway, which is all that is known of where it comes from.
        direction: of what it shows; a response is refused whatever the bounds say, since nothing else would judge it.
    """
    operation = Operation(
        protocol=protocol,
        direction=direction,
        phase=Phase.OTHER,
        kind=Kind.REQUEST if direction is Direction.REQUEST else Kind.RESULT,
        method="",
        caller=Caller(address=peer),
    )
    details = {"retry_after_ms": bounds.retry_after_ms, "detail": limit}
    if bounds.failure_mode is FailureMode.FAIL_OPEN and direction is Direction.REQUEST:
        decision = Decision(
            id=new_decision_id(),
            operation=operation,
            verdict="allow",
            mode=policy.settings.mode,
            code=CODE,
            message=reason_for(CODE).text,
            details=details,
            policy_hash=policy.hash,
        )
    else:
        decision = refuse(policy, operation, CODE, details=details)
    return Exchange(decisions=(decision,), id_readable=False)
