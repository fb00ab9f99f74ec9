"""Call: how a gRPC call for decisions is answered, the same for every gateway protocol that is one call, one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import structlog

from guardsvc.gateways.admission import OverloadedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from guardsvc.model import Decision
    from guardsvc.observe import Recorder
    from guardsvc.policy import Policy

__all__ = ["Calls"]

log = structlog.get_logger(__name__)


class Calls:
    """Answers the calls of one service.

    Args:
        service: full name of the gRPC service.
        policy: gives the policy in force; asked once per call.
        recorder: is told of every decision once the answer is built.
    """

    def __init__(self, service: str, policy: Callable[[], Policy], recorder: Recorder) -> None:
        self._service = service
        self._policy = policy
        self._recorder = recorder

    async def answer(
        self,
        context: grpc.aio.ServicerContext[Any, Any],
        work: Callable[[Policy, float], Awaitable[tuple[bytes, Iterable[Decision]]]],
        *,
        arrived: float,
    ) -> bytes:
        """Answer one call within its deadline.

        Args:
            context: of the call; its deadline, less the policy's reserve, bounds the work.
            work: makes the answer under a policy before a deadline on the clock of ``time.perf_counter``,
                and says what it decided.
            arrived: when the call came, on the clock of ``time.perf_counter``.

        Raises:
            OverloadedError: there is no room for the work.
            grpc.aio.AbortError: INTERNAL where guardsvc itself fails. The gateway then fails as it is
                configured to.
        """
        policy = self._policy()
        with self._recorder.inflight():
            try:
                answer, decisions = await work(policy, arrived + _budget(policy, context.time_remaining()))
            except OverloadedError:
                raise
            except Exception as error:
                if (overloaded := _overloaded(error)) is not None:
                    raise overloaded from None
                log.exception("call_failed", service=self._service)
                self._recorder.fault(self._service)
                await context.abort(grpc.StatusCode.INTERNAL, "the decision failed")
        for decision in decisions:
            self._recorder.record(decision)
        return answer


def _overloaded(error: Exception) -> OverloadedError | None:
    """That there is no room for one of several pieces of work, where that is what they failed of."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, OverloadedError) else None


def _budget(policy: Policy, remaining: float | None) -> float:
    """Seconds for the decision: the gateway's deadline less the reserve, or the policy's own where it sets none."""
    if remaining is None:
        return policy.deadline
    return max(remaining - policy.reserve, 0.0)
