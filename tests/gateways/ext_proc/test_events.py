"""Each event of a stream goes on as soon as it is judged; what is refused is replaced, left out, or ends the stream."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace
from time import process_time
from typing import Any

import msgspec
import pytest

from guardsvc.gateways.admission import Admission, Bounds
from guardsvc.gateways.entrance import Intake
from guardsvc.model import Kind, Operation, Phase, SubjectKind
from guardsvc.policy.scope import Scope
from guardsvc.policy.settings import MatchSettings
from tests.engine.scripted import asked, guard, policy
from tests.gateways.ext_proc.streams import (
    BUFFERED,
    EVENTS,
    Seen,
    body,
    event,
    exchange,
    judge_words,
    notification,
    pieces,
    question,
    response_headers,
    result,
    token,
    trailers,
)

POLICY = policy(guard("g", judge_words))
HEADERS = response_headers(EVENTS, sealed=token())
LISTENING = response_headers(EVENTS, sealed=token(method="http/get_stream", id=None, subject=None))
PING = b": ping\n\n"
ENDS = [b"\n", b"\r\n", b"\r"]


def told(seen: Seen) -> Any:
    """The error in the last event."""
    last = seen.body.rstrip(b"\n").rpartition(b"data: ")[2]
    return json.loads(last)


@pytest.mark.parametrize("end", ENDS)
async def test_what_is_allowed_leaves_byte_for_byte_wherever_it_was_cut(end: bytes) -> None:
    stream = b"".join((PING, event(notification(), end), b"id: 1" + end + b"data:" + end * 2, event(result(), end)))
    for at in range(len(stream) + 1):
        seen = await exchange(POLICY, HEADERS, *pieces("response", stream[:at], stream[at:]))
        assert (seen.body, seen.ended, seen.status) == (stream, True, None)
    seen = await exchange(POLICY, HEADERS, *pieces("response", *(bytes([byte]) for byte in stream)))
    assert (seen.body, seen.ended, seen.status) == (stream, True, None)


@pytest.mark.parametrize("end", ENDS)
async def test_nothing_of_a_refused_answer_passes_wherever_it_was_cut(end: bytes) -> None:
    first = event(notification(), end)
    stream = first + event(result("BAD"), end) + event(notification("later"), end)
    for at in range(len(stream) + 1):
        seen = await exchange(POLICY, HEADERS, *pieces("response", stream[:at], stream[at:]))
        assert seen.body.startswith(first)
        assert b"BAD" not in seen.body
        assert b"later" not in seen.body
        assert (told(seen)["id"], told(seen)["error"]["code"]) == (7, -32001)
        assert (seen.ended, seen.status) == (True, None)


async def test_an_event_goes_on_before_the_next_one_comes() -> None:
    parts = [event(notification(str(number))) for number in range(5)]
    seen = await exchange(POLICY, HEADERS, *pieces("response", *parts))
    assert seen.at == [1, 2, 3, 4, 5, 6, 6]


async def test_a_refused_notification_or_question_is_left_out() -> None:
    stream = event(notification("BAD")) + event(question("BAD")) + event(question()) + event(result())
    seen = await exchange(POLICY, HEADERS, *pieces("response", stream))
    assert (seen.body, seen.ended) == (event(question()) + event(result()), True)


async def test_a_modified_event_keeps_its_other_fields() -> None:
    raw = b"id: 5\r\n: note\r\nevent: message\r\ndata: " + b"\r\ndata: ".join(result("SWAP").split(b"\n")) + b"\r\n\r\n"
    seen = await exchange(POLICY, HEADERS, *pieces("response", raw))
    lines = seen.body.split(b"\n")
    assert lines[:3] == [b"id: 5", b": note", b"event: message"]
    assert json.loads(lines[3].removeprefix(b"data: ")) == json.loads(result("GOOD"))
    assert lines[4:] == [b"", b""]


async def test_guards_see_each_message_in_its_phase() -> None:
    seeing = guard("g")
    stream = event(notification()) + event(question()) + event(result())
    await exchange(policy(seeing), HEADERS, *pieces("response", stream))
    assert [(each.phase, each.kind) for each in asked(seeing)] == [
        (Phase.OTHER, Kind.NOTIFICATION),
        (Phase.INPUT_REQUEST, Kind.REQUEST),
        (Phase.TOOL_RESULT, Kind.RESULT),
    ]
    assert {(each.subject, each.subject_kind) for each in asked(seeing)} == {("read", SubjectKind.TOOL)}


async def test_what_a_result_asks_in_turn_is_judged_as_a_question() -> None:
    seeing = guard(
        "g", lambda op: judge_words(op) if op.phase is Phase.INPUT_REQUEST else judge_words(without_payload(op))
    )
    asks = {"q": {"method": "sampling/createMessage", "params": {"messages": ["BAD"]}}}
    value = {"jsonrpc": "2.0", "id": 7, "result": {"resultType": "input_required", "inputRequests": asks}}
    seen = await exchange(policy(seeing), HEADERS, *pieces("response", event(json.dumps(value).encode())))
    assert told(seen)["id"] == 7
    assert [each.phase for each in asked(seeing)] == [Phase.TOOL_RESULT, Phase.INPUT_REQUEST]


def without_payload(operation: Operation) -> Operation:
    return msgspec.structs.replace(operation, payload={})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"data: {\n\n", "invalid_json"),
        (b"data: \xff\n\n", "invalid_utf8"),
        (b"\xef\xbb\xbfdata: {}\n\n", "invalid_message"),
        (b"Data: " + notification() + b"\n\n", "invalid_message"),
        (b" data: " + notification() + b"\n\n", "invalid_message"),
        (b"data: [" + notification() + b"]\n\n", "batch_not_allowed"),
        (b'data: {"jsonrpc":"2.0",\ndata: "id":7,"result":{"a":\r,"b":1}}\n\n', "invalid_message"),
        ('data: {"a":"\u2028\u2028data: {}\u2028\u2028"}\n\n'.encode(), "invalid_message"),
        ('data: {"a":"\x85"}\u2029\n\n'.encode(), "invalid_message"),
        (b"event: endpoint\ndata: /messages\n\n", "invalid_json"),
    ],
)
async def test_what_clients_read_differently_ends_the_stream(raw: bytes, reason: str) -> None:
    seen = await exchange(policy(default="allow"), HEADERS, *pieces("response", PING, raw, event(result())))
    assert seen.body.startswith(PING)
    assert (told(seen)["id"], told(seen)["error"]["data"]["reason"], seen.ended) == (7, reason, True)


async def test_line_ends_of_other_alphabets_inside_of_texts_are_texts() -> None:
    raw = event(json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"x": "a\u2028b\x85c"}}, ensure_ascii=False).encode())
    seen = await exchange(POLICY, HEADERS, *pieces("response", raw))
    assert seen.body == raw


async def test_a_last_event_without_its_blank_line_is_judged_too() -> None:
    for text in ("fine", "BAD"):
        raw = event(result(text)).rstrip(b"\n")
        for end in ((body("response", raw, end=True),), (body("response", raw), trailers("response"))):
            seen = await exchange(POLICY, HEADERS, *end)
            assert (seen.body == raw) is (text == "fine")
            assert b"BAD" not in seen.body


async def test_a_client_that_listens_goes_on_listening() -> None:
    stream = event(notification("BAD")) + event(result("BAD", 3)) + event(b"{") + event(notification())
    seen = await exchange(POLICY, LISTENING, *pieces("response", stream))
    assert seen.body.startswith(b"event: message\ndata: ")
    assert seen.body.endswith(event(notification()))
    assert json.loads(seen.body.split(b"\n")[1].removeprefix(b"data: "))["id"] == 3
    assert (b"BAD" in seen.body, seen.ended, seen.status) == (False, True, None)


async def test_an_answer_that_a_listener_gets_is_in_the_scope_of_every_guard() -> None:
    scoped = replace(
        guard("g", judge_words), scope=Scope.compile(MatchSettings(tools=("read",), methods=("tools/call",)))
    )
    everything = guard("all")
    seen = await exchange(policy(scoped, everything), LISTENING, *pieces("response", event(result("BAD", 3))))
    assert b"BAD" not in seen.body


async def test_what_a_listener_gets_is_judged_by_its_shape() -> None:
    seeing = guard("g")
    value = {"jsonrpc": "2.0", "id": 3, "result": {"tools": [], "content": [], "x": 1}}
    await exchange(policy(seeing), LISTENING, *pieces("response", event(json.dumps(value).encode())))
    assert [each.phase for each in asked(seeing)] == [Phase.TOOLS_LIST, Phase.TOOL_RESULT]


async def test_time_counts_from_the_first_byte_of_an_event_and_never_between() -> None:
    hurried = policy(guard("g", judge_words), responses={"deadline_ms": 150})
    whole = event(notification())
    seen = await exchange(hurried, HEADERS, 0.4, body("response", whole), 0.4, *pieces("response", whole))
    assert (seen.body, seen.ended, seen.status) == (whole * 2, True, None)
    seen = await exchange(
        hurried, HEADERS, body("response", whole + whole[:9]), 0.4, body("response", whole[9:], end=True)
    )
    assert (seen.body.startswith(whole), seen.ended) == (True, True)
    assert told(seen)["error"]["data"]["reason"] == "deadline_exceeded"


async def test_an_event_has_a_bound_and_a_stream_has_none() -> None:
    small = policy(guard("g", judge_words), responses={"max_event_bytes": 1024})
    many = [event(notification("x" * 800))] * 50
    seen = await exchange(small, HEADERS, *pieces("response", *many))
    assert (seen.body, seen.ended) == (b"".join(many), True)
    for raw in (event(result("x" * 1000)), b"data: " + b"x" * 1100, b":" + b"x" * 1100):
        seen = await exchange(small, HEADERS, *pieces("response", PING, raw, b"x"))
        assert seen.body.startswith(PING)
        assert (told(seen)["error"]["data"]["reason"], seen.ended) == ("too_large", True)


async def test_what_the_process_holds_has_an_end() -> None:
    admission = Admission(Bounds(decisions=10, bytes=100_000))
    admission.held = 99_900
    parts = pieces("response", b":" + b"x" * 200, b"x\n\n")
    seen = await exchange(POLICY, HEADERS, *parts, intake=Intake(admission=admission))
    assert (told(seen)["error"]["data"]["reason"], admission.held) == ("overloaded", 99_900)


async def test_gzip_leaves_plain() -> None:
    headers = response_headers(EVENTS, ("content-encoding", "gzip"), sealed=token())
    stream = event(notification()) + event(result())
    data = gzip.compress(stream)
    for at in range(len(data) + 1):
        seen = await exchange(POLICY, headers, *pieces("response", data[:at], data[at:]))
        assert (seen.body, seen.ended, seen.removed) == (stream, True, ["content-encoding"])
    flushing = zlib.compressobj(wbits=31)
    first = flushing.compress(event(notification())) + flushing.flush(zlib.Z_SYNC_FLUSH)
    seen = await exchange(POLICY, headers, *pieces("response", first, flushing.flush()))
    assert seen.at[1] == 2, "held until the end"
    seen = await exchange(POLICY, headers, *pieces("response", data[:-3]))
    assert told(seen)["error"]["data"]["reason"] == "content_encoding"


async def test_a_stream_that_ends_early_is_no_end_in_peace() -> None:
    for messages in ((), (body("response", event(notification())),), (body("response", b"data: {"),)):
        seen = await exchange(POLICY, HEADERS, *messages)
        assert (str(seen.status), seen.ended) == ("StatusCode.ABORTED", False)


async def test_a_buffered_stream_is_judged_at_once() -> None:
    headers = response_headers(EVENTS, sealed=token(), mode=BUFFERED)
    came = event(notification()) + event(result())
    seen = await exchange(POLICY, headers, *pieces("response", came), came=came)
    assert (seen.kinds, seen.body) == (["response_headers", "response_body"], came)
    came = event(notification("BAD")) + event(result("SWAP"))
    seen = await exchange(POLICY, headers, *pieces("response", came), came=came)
    assert json.loads(seen.body.split(b"data: ")[1]) == json.loads(result("GOOD"))
    came = event(notification()) + event(result("BAD"))
    seen = await exchange(POLICY, headers, *pieces("response", came), came=came)
    assert seen.body.startswith(event(notification()))
    assert told(seen)["id"] == 7


async def test_a_full_duplex_stream_that_ends_with_an_empty_piece() -> None:
    seen = await exchange(POLICY, HEADERS, *pieces("response", event(result()), b""))
    assert (seen.body, seen.ended) == (event(result()), True)


async def test_in_shadow_mode_nothing_is_kept_from_the_client() -> None:
    shadow = policy(guard("g", judge_words), mode="shadow", responses={"deadline_ms": 150, "max_event_bytes": 1024})
    stream = event(notification("BAD")) + event(b"{") + b"Data: x\n\n" + event(result("SWAP")) + b":" + b"x" * 3000
    for at in range(0, len(stream), 97):
        seen = await exchange(shadow, HEADERS, body("response", stream[:at]), *pieces("response", stream[at:]))
        assert (seen.body, seen.ended, seen.status) == (stream, True, None)
    seen = await exchange(shadow, HEADERS, body("response", b"data"), 0.4, *pieces("response", b": {}\n\n"))
    assert (seen.body, seen.ended) == (b"data: {}\n\n", True)


async def test_the_cost_of_a_hostile_stream_is_linear() -> None:
    async def seconds(size: int) -> float:
        parts = [body("response", b"\n:" * (size // 2)), *[body("response", b"x")] * (size // 20)]
        started = process_time()
        await exchange(POLICY, HEADERS, *parts, body("response", b"", end=True))
        return process_time() - started

    await seconds(1000)
    assert await seconds(40_000) < 12 * await seconds(10_000) + 0.1
