"""The gRPC side of GuardService: raw bytes in, raw bytes out, every fault an error status."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError

from guardsvc._proto.guardsvc.v1.guard_service_pb2 import (
    EvaluateBatchRequest,
    EvaluateBatchResponse,
    EvaluateRequest,
    EvaluateResponse,
)
from guardsvc.gateways.admission import OverloadedError
from guardsvc.gateways.call import CallService
from guardsvc.gateways.entrance import Entrance, Intake
from guardsvc.gateways.guard_service.decode import Question, decode
from guardsvc.gateways.guard_service.encode import encode
from guardsvc.gateways.keep import keep
from guardsvc.gateways.peers import Believes, local
from guardsvc.gateways.statement import StatementError
from guardsvc.model import Direction, GatewayProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from guardsvc.engine import FactSources
    from guardsvc.gateways.admission import Shed
    from guardsvc.model import Decision
    from guardsvc.observe import Recorder
    from guardsvc.policy import Policy

__all__ = ["MAX_BATCH", "GuardService"]

MAX_BATCH = 100
"""Requests of one EvaluateBatch."""

A = TypeVar("A")
Q = TypeVar("Q")
Context = Any
"""``grpc.aio.ServicerContext``, which is generic only to type checkers."""
Answered: TypeAlias = "tuple[EvaluateResponse, tuple[Decision, ...]]"
"""The answer to one question of a batch, and the decisions behind it."""


class GuardService(CallService):
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
    PROTOCOL = GatewayProtocol.GUARD_SERVICE

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
        super().__init__(policy, recorder, sources, believes, intake)
        self._learns = learns

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to add to a ``grpc.aio`` server."""
        methods = {
            "Evaluate": (self.evaluate, self.shed),
            "EvaluateBatch": (self.evaluate_batch, self.shed_batch),
        }
        return Entrance(self.SERVICE, methods, self._intake)

    @property
    def intake(self) -> Intake:
        """What it shares of the load."""
        return self._intake

    async def shed(self, context: Context, limit: Shed) -> bytes:
        """Answer an Evaluate that is not read: it may show a response, which nobody else would judge."""
        return self.refuse_unread(context, limit, _written, direction=Direction.RESPONSE)

    def refuse_unread(
        self,
        context: Context,
        limit: Shed,
        write: Callable[[Decision], A],
        *,
        direction: Direction = Direction.RESPONSE,
        policy: Policy | None = None,
    ) -> A:
        """The answer to a question that there is no room for, whatever the form it came in.

        Args:
            context: of the call.
            limit: that the question is beyond.
            write: makes the answer.
            direction: of what is asked about; a response, and what may be one, is refused whatever the failure mode.
            policy: of the call, where it has one already.
        """
        return self._refuse_unread(
            context, limit, lambda _, exchange: write(exchange.leading), direction, policy=policy
        )

    def read(self, reading: Callable[[Policy, bool, bool], Q], context: Context) -> Q:
        """What a caller asks, read as one that is believed or not, and whose lists teach or do not."""
        believed = self._believes(context)
        return reading(self._policy(), believed, believed and self._learns)

    async def shed_batch(self, context: Context, _limit: Shed) -> bytes:
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

        try:
            return await self.ask(question, context, _written, arrived=arrived)
        except OverloadedError as error:
            self._intake.admission.tell(error.limit)
            direction = question.statement.direction
            return self.refuse_unread(context, error.limit, _written, direction=direction)

    async def evaluate_batch(self, data: bytes, context: Context) -> bytes:
        """Decide about each of several operations, under one policy and one deadline.

        A refused operation is one answer among the others, and so is one that there is no room for where others
        were decided: these have counted. One that contradicts itself is the caller's fault and ends the call.

        Args:
            data: a serialised ``EvaluateBatchRequest``.
            context: of the call; its deadline bounds all decisions together.

        Returns:
            A serialised ``EvaluateBatchResponse``, in the order of the requests.

        Raises:
            OverloadedError: there is no room for any of them.
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
                tasks = [group.create_task(self._answer_or_limit(policy, each, deadline)) for each in questions]
            answers = self._with_refusals(policy, context, questions, [task.result() for task in tasks])
            response = EvaluateBatchResponse(responses=[response for response, _ in answers])
            return response.SerializeToString(), [decision for _, made in answers for decision in made]

        return await self._answer_call(context, work, arrived=arrived)

    async def ask(
        self,
        question: Question,
        context: Context,
        write: Callable[[Decision], bytes],
        *,
        arrived: float,
    ) -> bytes:
        """Decide about one operation, whatever the form it came in.

        Args:
            question: what is asked.
            context: of the call; its deadline bounds the decision.
            write: makes the answer.
            arrived: when the call came, on the clock of ``time.perf_counter``.

        Raises:
            OverloadedError: a large payload, and there is no room for it.
            grpc.aio.AbortError: INTERNAL where guardsvc itself fails.
        """

        async def work(policy: Policy, deadline: float) -> tuple[bytes, Iterable[Decision]]:
            return await self._answer(policy, question, deadline, write)

        direction = question.statement.direction
        return await self._answer_call(context, work, arrived=arrived, direction=direction)

    async def _answer(
        self, policy: Policy, question: Question, deadline: float, write: Callable[[Decision], A]
    ) -> tuple[A, tuple[Decision, ...]]:
        statement = question.statement
        judge = self._intake.judging.statement
        exchange = await judge(policy, statement, question.asker, deadline=deadline, sources=self._sources)
        if question.findings:
            exchange = exchange.with_earlier(question.findings)
        response = write(exchange.leading)
        kept = await keep(exchange, self._recorder, policy, size=len(statement.payload), deadline=deadline)
        return (response if kept is exchange else write(kept.leading)), kept.decisions

    async def _answer_or_limit(self, policy: Policy, question: Question, deadline: float) -> Answered | OverloadedError:
        try:
            return await self._answer(policy, question, deadline, encode)
        except OverloadedError as error:
            return error

    def _with_refusals(
        self, policy: Policy, context: Context, questions: list[Question], came: list[Answered | OverloadedError]
    ) -> list[Answered]:
        """What came of the questions of a batch, with an answer and a record for each that there was no room for.

        Raises:
            OverloadedError: there was no room for any of them.
        """
        errors = [each for each in came if isinstance(each, OverloadedError)]
        if errors and len(errors) == len(came):
            raise errors[0]
        answers: list[Answered] = []
        for question, each in zip(questions, came, strict=True):
            if not isinstance(each, OverloadedError):
                answers.append(each)
                continue
            self._intake.admission.tell(each.limit)
            direction = question.statement.direction
            refusal = self.refuse_unread(context, each.limit, encode, direction=direction, policy=policy)
            answers.append((refusal, ()))
        return answers


def _written(decision: Decision) -> bytes:
    return encode(decision).SerializeToString()


async def _refuse(context: Context, problem: str) -> NoReturn:
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
    raise AssertionError("abort raises")
