"""The gRPC side of GuardService: raw bytes in, raw bytes out, every fault an error status."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from guardsvc._proto.guardsvc.v1.guard_service_pb2 import (
    EvaluateBatchRequest,
    EvaluateBatchResponse,
    EvaluateRequest,
    EvaluateResponse,
)
from guardsvc.gateways.admission import overloaded
from guardsvc.gateways.call import Calls
from guardsvc.gateways.entrance import Entrance, Intake
from guardsvc.gateways.guard_service.decode import Question, decode
from guardsvc.gateways.guard_service.encode import encode
from guardsvc.gateways.keep import keep
from guardsvc.gateways.peers import Believes, local
from guardsvc.gateways.statement import StatementError
from guardsvc.model import GatewayProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from guardsvc.engine import FactSources
    from guardsvc.model import Decision
    from guardsvc.observe import Recorder
    from guardsvc.policy import Policy

__all__ = ["MAX_BATCH", "GuardService"]

MAX_BATCH = 100
"""Requests of one EvaluateBatch."""

Context = Any
"""``grpc.aio.ServicerContext``, which is generic only to type checkers."""


class GuardService:
    """Answers Evaluate and EvaluateBatch.

    Args:
        policy: gives the policy in force; asked once per call.
        recorder: is told of every decision once the answer is built.
        sources: where facts come from.
        believes: whether a peer is believed when it names a caller.
        intake: what it shares of the load with other services; one of its own, without bounds, by default.
        learns: whether catalogs may be learned from what believed peers show.
    """

    SERVICE = "guardsvc.v1.GuardService"

    def __init__(
        self,
        policy: Callable[[], Policy],
        recorder: Recorder,
        sources: FactSources,
        believes: Believes = local,
        *,
        intake: Intake | None = None,
        learns: bool = False,
    ) -> None:
        self._calls = Calls(self.SERVICE, policy, recorder)
        self._policy = policy
        self._intake = intake or Intake()
        self._recorder = recorder
        self._believes = believes
        self._learns = learns
        self._sources = sources

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to add to a ``grpc.aio`` server."""
        methods = {
            "Evaluate": (self.evaluate, self.shed),
            "EvaluateBatch": (self.evaluate_batch, self.shed_batch),
        }
        return Entrance(self.SERVICE, methods, self._intake)

    async def shed(self, _context: Context) -> bytes:
        """Answer an Evaluate that there is no room for."""
        exchange = overloaded(self._policy(), GatewayProtocol.GUARD_SERVICE, self._intake.admission.bounds)
        return encode(exchange.leading).SerializeToString()

    async def shed_batch(self, context: Context) -> bytes:
        """End an EvaluateBatch that there is no room for: how many answers it asks for is not known.

        Raises:
            grpc.aio.AbortError: RESOURCE_EXHAUSTED.
        """
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "overloaded")
        raise AssertionError("abort raises")

    async def evaluate(self, data: bytes, context: Context) -> bytes:
        """Decide about one operation.

        Args:
            data: a serialised ``EvaluateRequest``.
            context: of the call; its deadline bounds the decision.

        Returns:
            A serialised ``EvaluateResponse``.

        Raises:
            grpc.aio.AbortError: INVALID_ARGUMENT where the bytes are no such request or it contradicts
                itself, INTERNAL where guardsvc itself fails.
        """
        arrived = perf_counter()
        try:
            request = EvaluateRequest.FromString(data)
            question = decode(request, peer=context.peer(), believed=self._believes(context), learns=self._learns)
        except DecodeError:
            await _refuse(context, "not an EvaluateRequest")
        except StatementError as error:
            await _refuse(context, str(error))

        async def work(policy: Policy, deadline: float) -> tuple[bytes, Iterable[Decision]]:
            response, decisions = await self._answer(policy, question, deadline)
            return response.SerializeToString(), decisions

        return await self._calls.answer(context, work, arrived=arrived)

    async def evaluate_batch(self, data: bytes, context: Context) -> bytes:
        """Decide about each of several operations, under one policy and one deadline.

        A refused operation is one answer among the others; one that contradicts itself is the caller's
        fault and ends the call.

        Args:
            data: a serialised ``EvaluateBatchRequest``.
            context: of the call; its deadline bounds all decisions together.

        Returns:
            A serialised ``EvaluateBatchResponse``, in the order of the requests.

        Raises:
            grpc.aio.AbortError: as for one operation, and INVALID_ARGUMENT where there are too many.
        """
        arrived = perf_counter()
        try:
            requests = EvaluateBatchRequest.FromString(data).requests
        except DecodeError:
            await _refuse(context, "not an EvaluateBatchRequest")
        if len(requests) > MAX_BATCH:
            await _refuse(context, f"{len(requests)} requests, {MAX_BATCH} are allowed")
        peer, believed = context.peer(), self._believes(context)
        questions: list[Question] = []
        for request in requests:
            try:
                questions.append(decode(request, peer=peer, believed=believed, learns=self._learns))
            except StatementError as error:
                await _refuse(context, f"requests[{len(questions)}].{error}")

        async def work(policy: Policy, deadline: float) -> tuple[bytes, Iterable[Decision]]:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._answer(policy, question, deadline)) for question in questions]
            answers = [task.result() for task in tasks]
            response = EvaluateBatchResponse(responses=[response for response, _ in answers])
            return response.SerializeToString(), [decision for _, made in answers for decision in made]

        return await self._calls.answer(context, work, arrived=arrived)

    async def _answer(
        self, policy: Policy, question: Question, deadline: float
    ) -> tuple[EvaluateResponse, tuple[Decision, ...]]:
        statement = question.statement
        judge = self._intake.judging.statement
        exchange = await judge(policy, statement, question.asker, deadline=deadline, sources=self._sources)
        if question.findings:
            exchange = exchange.with_earlier(question.findings)
        response = encode(exchange.leading)
        kept = await keep(exchange, self._recorder, policy, size=len(statement.payload), deadline=deadline)
        return (response if kept is exchange else encode(kept.leading)), kept.decisions


async def _refuse(context: Context, problem: str) -> NoReturn:
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
    raise AssertionError("abort raises")
