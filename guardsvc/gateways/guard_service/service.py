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
from guardsvc.gateways.call import Calls
from guardsvc.gateways.guard_service.decode import Question, decode
from guardsvc.gateways.guard_service.encode import encode
from guardsvc.gateways.keep import keep
from guardsvc.gateways.peers import Believes, local
from guardsvc.gateways.statement import StatementError, judge_statement

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
    """

    SERVICE = "guardsvc.v1.GuardService"

    def __init__(
        self,
        policy: Callable[[], Policy],
        recorder: Recorder,
        sources: FactSources,
        believes: Believes = local,
    ) -> None:
        self._calls = Calls(self.SERVICE, policy, recorder)
        self._recorder = recorder
        self._believes = believes
        self._sources = sources

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to add to a ``grpc.aio`` server."""
        handlers = {
            "Evaluate": grpc.unary_unary_rpc_method_handler(self.evaluate),
            "EvaluateBatch": grpc.unary_unary_rpc_method_handler(self.evaluate_batch),
        }
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(self.SERVICE, handlers)
        return handler

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
            question = decode(request, peer=context.peer(), believed=self._believes(context))
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
                questions.append(decode(request, peer=peer, believed=believed))
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
        exchange = await judge_statement(policy, statement, question.asker, deadline=deadline, sources=self._sources)
        if question.findings:
            exchange = exchange.with_earlier(question.findings)
        exchange = await keep(exchange, self._recorder, policy, size=len(statement.payload), deadline=deadline)
        return encode(exchange.leading), exchange.decisions


async def _refuse(context: Context, problem: str) -> NoReturn:
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
    raise AssertionError("abort raises")
