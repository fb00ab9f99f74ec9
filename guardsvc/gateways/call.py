"""Call: how a call for decisions is answered, the same for every gateway protocol that is one call, one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import grpc
import structlog

from guardsvc.gateways.admission import OverloadedError, Shed, overloaded
from guardsvc.gateways.entrance import Intake
from guardsvc.gateways.identity import peer_address
from guardsvc.model import Direction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from guardsvc.engine import FactSources
    from guardsvc.gateways.exchange import Exchange
    from guardsvc.gateways.peers import Believes
    from guardsvc.model import Decision, GatewayProtocol
    from guardsvc.observe import Recorder
    from guardsvc.policy import Policy

__all__ = ["CallService"]

log = structlog.get_logger(__name__)

A = TypeVar("A")
Context = Any
"""``grpc.aio.ServicerContext``, which is generic only to type checkers."""


class CallService:
    """What the services have in common whose calls are one message, one answer.

    Args:
        policy: gives the policy in force; asked once per call.
        recorder: is told of every decision once the answer is built.
        sources: where facts come from.
        believes: whether a peer is believed when it names a caller.
        intake: what it shares of the load with other services; one of its own, without bounds, where None is given.
    """

    SERVICE: ClassVar[str]
    """Full name of the gRPC service."""
    PROTOCOL: ClassVar[GatewayProtocol]

    def __init__(
        self,
        policy: Callable[[], Policy],
        recorder: Recorder,
        sources: FactSources,
        believes: Believes,
        intake: Intake | None,
    ) -> None:
        self._policy = policy
        self._recorder = recorder
        self._sources = sources
        self._believes = believes
        self._intake = intake or Intake()

    def _refuse_unread(
        self,
        context: Context,
        limit: Shed,
        write: Callable[[Policy, Exchange], A],
        direction: Direction,
        *,
        policy: Policy | None = None,
    ) -> A:
        """The answer to a call that there is no room for, and its record; under the policy in force by default."""
        policy, bounds = policy or self._policy(), self._intake.admission.bounds
        peer = peer_address(context.peer())
        exchange = overloaded(policy, self.PROTOCOL, bounds, limit, peer=peer, direction=direction)
        answer = write(policy, exchange)
        self._recorder.keep_shed(exchange.leading, policy_name=policy.settings.name)
        return answer

    async def _answer_call(
        self,
        context: Context,
        work: Callable[[Policy, float], Awaitable[tuple[bytes, Iterable[Decision]]]],
        *,
        arrived: float,
        direction: Direction = Direction.REQUEST,
    ) -> bytes:
        """Answer one call within its deadline.

        Args:
            context: of the call; its deadline, less the policy's reserve, bounds the work.
            work: makes the answer under a policy before a deadline on the clock of ``time.perf_counter``,
                and says what it decided.
            arrived: when the call came, on the clock of ``time.perf_counter``.
            direction: of what is judged; says which deadline of the policy counts where the call has none.

        Raises:
            OverloadedError: there is no room for the work.
            grpc.aio.AbortError: INTERNAL where guardsvc itself fails. The gateway then fails as it is
                configured to.
        """
        policy = self._policy()
        with self._recorder.inflight():
            try:
                budget = _budget(policy, context.time_remaining(), direction)
                answer, decisions = await work(policy, arrived + budget)
            except OverloadedError:
                raise
            except Exception:
                log.exception("call_failed", service=self.SERVICE)
                self._recorder.fault(self.SERVICE)
                await context.abort(grpc.StatusCode.INTERNAL, "the decision failed")
        for decision in decisions:
            self._recorder.record(decision)
        return answer


def _budget(policy: Policy, remaining: float | None, direction: Direction) -> float:
    """Seconds for the decision: the gateway's deadline less the reserve, or the policy's own where it sets none."""
    if remaining is not None:
        return max(remaining - policy.reserve, 0.0)
    return policy.deadline if direction is Direction.REQUEST else policy.settings.responses.deadline_ms / 1000
