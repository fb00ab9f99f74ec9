"""What there is room for is answered; what is beyond is answered at once, unread, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from guardsvc.gateways.admission import Admission, Bounds, OverloadedError, overloaded
from guardsvc.gateways.denial import deny
from guardsvc.gateways.unread import SLOW, Unread
from guardsvc.model import FailureMode, GatewayProtocol, Mode
from guardsvc.observe import Metrics, Shedding
from tests.engine.scripted import policy


class Counted:
    def __init__(self, **bounds: Any) -> None:
        self.told: list[str] = []
        self.release = asyncio.Event()
        self.admission = Admission(Bounds(**{"decisions": 2, "bytes": 100, **bounds}), self.told.append)
        self.call = self.admission.admitting(self._answer, self._shed)

    async def _answer(self, data: bytes, _context: Any) -> bytes:
        if data == b"pool":
            raise OverloadedError("large_bodies")
        if data == b"bug":
            raise ValueError
        await self.release.wait()
        return b"answer"

    async def _shed(self, _context: Any, limit: str) -> bytes:
        assert limit == self.told[-1]
        return b"shed"

    @property
    def under_way(self) -> tuple[int, int]:
        return self.admission.decisions, self.admission.held


async def test_calls_beyond_the_number_are_shed_and_make_room_when_they_end() -> None:
    counted = Counted()
    calls = [asyncio.ensure_future(counted.call(b"x" * 10, None)) for _ in range(3)]
    await asyncio.sleep(0)
    assert (counted.under_way, counted.told) == ((2, 20), ["decisions"])
    counted.release.set()
    assert await asyncio.gather(*calls) == [b"answer", b"answer", b"shed"]
    assert counted.under_way == (0, 0)
    assert await counted.call(b"x", None) == b"answer"


async def test_calls_beyond_the_bytes_are_shed() -> None:
    counted = Counted(decisions=100)
    calls = [asyncio.ensure_future(counted.call(b"x" * size, None)) for size in (60, 41, 40)]
    await asyncio.sleep(0)
    assert (counted.under_way, counted.told) == ((2, 100), ["bytes"])
    counted.release.set()
    assert await asyncio.gather(*calls) == [b"answer", b"shed", b"answer"]


async def test_whatever_a_call_ends_with_it_makes_room() -> None:
    counted = Counted()
    assert await counted.call(b"pool", None) == b"shed"
    with pytest.raises(ValueError, match=r"^$"):
        await counted.call(b"bug", None)
    left = asyncio.ensure_future(counted.call(b"x", None))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    assert (counted.under_way, counted.told) == ((0, 0), ["large_bodies"])


@pytest.mark.parametrize(
    ("mode", "failure_mode", "applied"),
    [
        (Mode.ENFORCE, FailureMode.FAIL_CLOSED, "deny"),
        (Mode.ENFORCE, FailureMode.FAIL_OPEN, "allow"),
        (Mode.SHADOW, FailureMode.FAIL_CLOSED, "allow"),
    ],
)
def test_what_a_shed_call_counts_as(mode: Mode, failure_mode: FailureMode, applied: str) -> None:
    bounds = Bounds(decisions=1, bytes=1, failure_mode=failure_mode, retry_after_ms=1500)
    exchange = overloaded(policy(mode=mode), GatewayProtocol.EXT_AUTHZ, bounds, "bytes", peer="10.0.0.7")
    decision = exchange.leading
    assert (decision.applied, decision.code, decision.details["detail"]) == (applied, "overloaded", "bytes")
    assert decision.operation.caller.address == "10.0.0.7"


def test_a_shed_request_is_told_when_to_come_again() -> None:
    exchange = overloaded(
        policy(), GatewayProtocol.EXT_AUTHZ, Bounds(decisions=1, bytes=1, retry_after_ms=1500), "memory"
    )
    denial = deny(exchange, status=200, accept=None)
    assert denial.status == 503
    assert ("retry-after", "2") in denial.headers
    assert '"id":null' in denial.body


class Sending:
    """A call whose message comes when a test says so."""

    def __init__(self) -> None:
        self.message: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        return await self.message


async def test_few_messages_come_in_at_once_and_the_others_take_turns() -> None:
    unread = Unread(2)
    sending = [Sending() for _ in range(SLOW + 3)]
    reads = [asyncio.ensure_future(unread.read(each)) for each in sending]
    await asyncio.sleep(0)
    assert unread.count == SLOW
    with pytest.raises(OverloadedError, match="unread"):
        await reads[SLOW]
    for each in sending:
        each.message.set_result(b"message")
    assert await asyncio.gather(*reads[:SLOW], *reads[SLOW + 1 :]) == [b"message"] * (SLOW + 2)
    assert unread.count == 0


async def test_a_message_that_does_not_come_makes_way_for_others() -> None:
    unread = Unread(2 * SLOW)
    hung = [asyncio.ensure_future(unread.read(Sending())) for _ in range(2 * SLOW)]
    await asyncio.sleep(0)
    prompt = Sending()
    prompt.message.set_result(b"message")
    assert await asyncio.wait_for(unread.read(prompt), 30) == b"message"
    results = await asyncio.gather(*hung[:SLOW], return_exceptions=True)
    assert [getattr(result, "limit", None) for result in results] == ["unread"] * SLOW
    for read in hung[SLOW:]:
        read.cancel()
    await asyncio.wait(hung)
    assert unread.count == 0


async def test_a_message_that_does_not_come_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardsvc.gateways.unread.READ_WITHIN", 0.05)
    unread = Unread(10)
    with pytest.raises(OverloadedError, match="unread"):
        await unread.read(Sending())
    assert unread.count == 0


async def test_nothing_is_read_while_memory_is_used_up() -> None:
    unread = Unread(10)
    read = asyncio.ensure_future(unread.read(Sending()))
    await asyncio.sleep(0)
    unread.give_up()
    with pytest.raises(OverloadedError, match="memory"):
        await read
    with pytest.raises(OverloadedError, match="memory"):
        await unread.read(Sending())
    unread.full = False
    prompt = Sending()
    prompt.message.set_result(b"message")
    assert await unread.read(prompt) == b"message"


async def test_a_caller_that_leaves_while_it_waits_makes_room() -> None:
    unread = Unread(1)
    sending = [Sending() for _ in range(SLOW + 1)]
    reads = [asyncio.ensure_future(unread.read(each)) for each in sending]
    await asyncio.sleep(0)
    reads[-1].cancel()
    await asyncio.wait([reads[-1]])
    last = asyncio.ensure_future(unread.read(sending[-1]))
    await asyncio.sleep(0)
    for each in sending:
        if not each.message.done():
            each.message.set_result(b"message")
    assert await last == b"message"
    await asyncio.gather(*reads[:-1])


def test_a_burst_is_one_line_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, int]] = []
    monkeypatch.setattr("guardsvc.observe.shedding.log.warning", lambda _event, shed: lines.append(dict(shed)))
    now = 0.0
    metrics = Metrics("1", process=False)
    shedding = Shedding(metrics, lambda: now)
    for _ in range(1000):
        shedding("bytes")
    shedding("unread")
    shedding.say_rest()
    assert lines == [{"bytes": 1}]
    now = 11.0
    shedding.say_rest()
    shedding.say_rest()
    assert lines == [{"bytes": 1}, {"bytes": 999, "unread": 1}]
    assert metrics.registry.get_sample_value("guardsvc_shed_total", {"limit": "bytes"}) == 1000
