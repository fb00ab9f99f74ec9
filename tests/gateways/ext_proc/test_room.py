"""Streams that there is no room for are refused before anything of them is read, and none passes unjudged for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from guardsvc.gateways.admission import Admission, Bounds
from guardsvc.gateways.entrance import Intake
from guardsvc.gateways.ext_proc import ExtProc
from guardsvc.gateways.unread import Unread
from guardsvc.model import FailureMode, Mode
from guardsvc.observe import Recorder
from tests.engine.scripted import guard, policy
from tests.gateways.ext_proc.streams import EVENTS, JSON, SEAL, Context, body, response_headers, result, token
from tests.observe.audits import auditing, records

if TYPE_CHECKING:
    from pathlib import Path

    from guardsvc.policy import Policy

OPEN: list[Any] = [response_headers(EVENTS, sealed=token()), 30.0]
ANSWER: list[Any] = [response_headers(JSON, sealed=token()), body("response", result(), end=True)]


class Streams:
    """The service, and streams that a test opens."""

    def __init__(self, path: Path, intake: Intake, chain: Policy) -> None:
        self._opened: list[asyncio.Task[None]] = []
        self._auditing = auditing(path)
        kept = self._auditing.__enter__()
        recorder = Recorder(kept.metrics, ["tools/call"], kept.audit)
        self._service = ExtProc(lambda: chain, SEAL, recorder, {}, lambda _: True, intake=intake)

    async def open(self) -> None:
        """A stream that stays."""
        self._opened.append(asyncio.ensure_future(self._service.process(None, Context(OPEN, "unix:"))))
        await asyncio.sleep(0)

    async def ask(self, messages: list[Any] = ANSWER, peer: str = "ipv4:10.0.0.7:999") -> Any:
        """The last answer of a stream."""
        context = Context(messages, peer)
        await self._service.process(None, context)
        return context.answers[-1], context.read_count

    async def close(self) -> None:
        for task in self._opened:
            task.cancel()
        await asyncio.gather(*self._opened, return_exceptions=True)
        self._auditing.__exit__(None, None, None)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("failure_mode", FailureMode)
async def test_one_stream_too_many_is_refused_unread_and_on_record(
    tmp_path: Path, mode: Mode, failure_mode: FailureMode
) -> None:
    told: list[str] = []
    bounds = Bounds(decisions=10, bytes=1 << 20, streams=2, failure_mode=failure_mode)
    admission = Admission(bounds, told.append)
    streams = Streams(tmp_path / "audit", Intake(admission=admission), policy(guard("g"), mode=mode))
    await streams.open()
    assert (await streams.ask())[0].WhichOneof("response") == "response_body"
    await streams.open()

    answer, read = await streams.ask()
    assert (answer.immediate_response.status.code, read) == (503, 0)
    assert b'"detail":"streams"' in answer.immediate_response.body
    assert (told, admission.streams) == (["streams"], 2)
    await streams.close()
    assert admission.streams == 0
    (record,) = [each for each in records(tmp_path / "audit") if each.get("reason") == "overloaded"]
    assert (record["applied"], record["protocol"], record["address"]) == ("deny", "ext_proc", "10.0.0.7")
    assert record["decision_id"].encode() in answer.immediate_response.body


async def test_while_memory_is_used_up_none_begins_and_none_keeps_more_back(tmp_path: Path) -> None:
    unread = Unread(1)
    admission = Admission(Bounds(decisions=10, bytes=1 << 20))
    streams = Streams(tmp_path / "audit", Intake(admission=admission, unread=unread), policy(guard("g")))
    kept = asyncio.ensure_future(
        streams.ask([response_headers(JSON, sealed=token()), body("response", b"{"), 0.5, body("response", b"}")])
    )
    await asyncio.sleep(0.001)
    assert admission.held
    unread.give_up()
    assert b'"detail":"memory"' in (await streams.ask())[0].immediate_response.body
    with pytest.raises(grpc.aio.AbortError) as error:
        await kept
    assert error.value.args[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (admission.held, admission.streams) == (0, 0)
    await streams.close()
