"""A JSON response is kept back with its header fields until it is judged, and leaves as it came or not at all."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.gateways.admission import Admission, Bounds
from guardsvc.gateways.entrance import Intake
from guardsvc.model import Direction, GatewayProtocol, Kind, Phase
from tests.engine.scripted import asked, guard, policy
from tests.gateways.ext_proc.streams import (
    BUFFERED,
    JSON,
    body,
    exchange,
    judge_words,
    pieces,
    response_headers,
    result,
    token,
    trailers,
)

POLICY = policy(guard("g", judge_words))
HEADERS = response_headers(JSON, sealed=token())
GZIP = ("content-encoding", "gzip")


def every_split(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(data[:at], data[at:]) for at in range(len(data) + 1)]


async def test_what_is_allowed_leaves_byte_for_byte_wherever_it_was_cut() -> None:
    for parts in every_split(result()):
        seen = await exchange(POLICY, HEADERS, *pieces("response", *parts))
        assert (seen.body, seen.ended, seen.denial, seen.status) == (result(), True, None, None)
        assert set(seen.at) == {3}, "answered before the end"


async def test_what_is_refused_becomes_an_error_with_the_id_of_the_request() -> None:
    for parts in every_split(result("BAD")):
        seen = await exchange(POLICY, HEADERS, *pieces("response", *parts))
        assert (seen.headers, seen.body, seen.status) == (False, b"", None)
        assert seen.denial is not None
        assert seen.denial[0] == 200
        assert (seen.error["id"], seen.error["error"]["code"]) == (7, -32001)
        assert seen.fields["content-type"] == "application/json"
        assert seen.fields["x-guardsvc-decision-id"] == seen.error["error"]["data"]["decision_id"]


async def test_what_is_modified_leaves_as_it_was_judged() -> None:
    seen = await exchange(POLICY, HEADERS, *pieces("response", result("SWAP")))
    assert json.loads(seen.body) == json.loads(result("GOOD"))
    assert seen.ended


async def test_guards_see_whose_response_it_is() -> None:
    seeing = guard("g")
    await exchange(policy(seeing), HEADERS, *pieces("response", result()))
    (operation,) = asked(seeing)
    assert (operation.protocol, operation.direction) == (GatewayProtocol.EXT_PROC, Direction.RESPONSE)
    assert (operation.phase, operation.kind, operation.method) == (Phase.TOOL_RESULT, Kind.RESULT, "tools/call")
    assert (operation.server, operation.subject, operation.id) == ("files", "read", 7)
    caller = operation.caller
    assert (caller.tenant, caller.principal, caller.verified) == ("acme", "ann", True)


async def test_trailer_fields_end_a_body_too() -> None:
    seen = await exchange(POLICY, HEADERS, body("response", result()), trailers("response"))
    assert (seen.body, seen.kinds[-1], seen.status) == (result(), "response_trailers", None)
    seen = await exchange(POLICY, HEADERS, body("response", result("BAD")), trailers("response"))
    assert seen.kinds == ["immediate_response"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "invalid_json"),
        (b'{"jsonrpc":"2.0","id":7,"id":8,"result":{}}', "duplicate_key"),
        (b'{"jsonrpc":"2.0","id":7,"result":{}} x', "trailing_data"),
        (b'{"jsonrpc":"2.0","id":7,"result":{"Tools":[]}}', "case_variant_key"),
        (b'{"jsonrpc":"2.0","id":7,"result":[]}', "invalid_message"),
        (b'{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":"x"}}', "invalid_message"),
        (b'{"jsonrpc":"2.0","id":7,"method":"ping"}', "invalid_message"),
        (b'[{"jsonrpc":"2.0","id":7,"result":{}}]', "batch_not_allowed"),
        (b'\xef\xbb\xbf{"jsonrpc":"2.0","id":7,"result":{}}', "byte_order_mark"),
        (b'{"jsonrpc":"2.0","id":7,"result":{"x":"\xff"}}', "invalid_utf8"),
    ],
)
async def test_what_can_be_read_in_two_ways_is_refused(data: bytes, reason: str) -> None:
    seen = await exchange(policy(default="allow"), HEADERS, *pieces("response", data))
    assert (seen.error["id"], seen.error["error"]["data"]["reason"]) == (7, reason)


@pytest.mark.parametrize("end", [True, False])
async def test_a_response_without_a_body_passes(end: bool) -> None:
    headers = response_headers(sealed=None, status="202", end=end)
    rest = [] if end else pieces("response", b"")
    seen = await exchange(policy(guard("g", judge_words)), headers, *rest)
    assert (seen.headers, seen.body, seen.denial, seen.status) == (True, b"", None, None)


@pytest.mark.parametrize("fields", [(("content-type", "text/html"),), (), (JSON, JSON), (("content-type", "a/json"),)])
async def test_other_types_are_refused_unless_they_are_empty(fields: Any) -> None:
    headers = response_headers(*fields, sealed=token())
    seen = await exchange(POLICY, headers, *pieces("response", result()))
    assert seen.error["error"]["data"]["reason"] == "content_type"
    seen = await exchange(POLICY, headers, *pieces("response", b""))
    assert (seen.headers, seen.ended, seen.denial) == (True, True, None)


async def test_other_types_pass_where_the_policy_says_so() -> None:
    lenient = policy(guard("g", judge_words), responses={"other_types": "allow"})
    html = response_headers(("content-type", "text/html"), sealed=token())
    seen = await exchange(lenient, html, *pieces("response", b"BAD", b"<p>"))
    assert (seen.body, seen.ended) == (b"BAD<p>", True)
    near = response_headers(("content-type", "text/json"), sealed=token())
    assert (await exchange(lenient, near, *pieces("response", result()))).denial


async def test_a_failure_keeps_its_status_and_its_challenge() -> None:
    headers = response_headers(("content-type", "text/plain"), ("www-authenticate", "Bearer x"), status="401")
    seen = await exchange(policy(guard("g"), responses={"require_context": False}), headers, *pieces("response", b"no"))
    assert seen.denial is not None
    assert (seen.denial[0], seen.fields["www-authenticate"]) == (401, "Bearer x")


@pytest.mark.parametrize("text", ["fine", "BAD", "SWAP"])
async def test_a_gateway_that_buffers(text: str) -> None:
    came = result(text)
    headers = response_headers(JSON, ("content-length", str(len(came))), sealed=token(), mode=BUFFERED)
    seen = await exchange(POLICY, headers, *pieces("response", came), came=came)
    if text == "BAD":
        assert seen.kinds == ["response_headers", "immediate_response"]
        return
    assert seen.kinds == ["response_headers", "response_body"]
    expected = came if text == "fine" else None
    assert json.loads(seen.body) == json.loads(result("GOOD" if text == "SWAP" else text))
    assert (expected is None) == ("content-length" in seen.fields)
    assert int(seen.fields.get("content-length", len(came))) == len(seen.body)


@pytest.mark.parametrize("mode", [0, 1, 3])
async def test_modes_that_do_not_show_the_whole_body_are_refused(mode: int) -> None:
    headers = response_headers(JSON, sealed=token())
    headers.protocol_config.response_body_mode = mode  # type: ignore[assignment]
    seen = await exchange(POLICY, headers)
    assert (seen.error["error"]["data"]["reason"], seen.kinds) == ("partial_body", ["immediate_response"])
    shadow = policy(guard("g", judge_words), mode="shadow")
    seen = await exchange(shadow, headers, *(pieces("response", b"a", b"b") if mode else ()))
    assert set(seen.kinds) <= {"response_headers", "response_body"}
    assert seen.status is None


class TestGzip:
    @pytest.mark.parametrize("text", ["fine", "BAD", "SWAP"])
    async def test_it_is_judged_plain_and_leaves_as_it_came(self, text: str) -> None:
        data = gzip.compress(result(text))
        for parts in every_split(data):
            seen = await exchange(POLICY, response_headers(JSON, GZIP, sealed=token()), *pieces("response", *parts))
            match text:
                case "fine":
                    assert (seen.body, seen.removed) == (data, [])
                case "BAD":
                    assert seen.error["id"] == 7
                case _:
                    assert json.loads(seen.body) == json.loads(result("GOOD"))
                    assert seen.removed == ["content-encoding"]

    @pytest.mark.parametrize(
        "data",
        [
            b"not gzip",
            gzip.compress(result())[:-4],
            gzip.compress(result()) + b"x",
            gzip.compress(result()[:40]) + gzip.compress(result()[40:]),
            gzip.compress(result("x" * 500))[:30] + b"\xff" * 8 + gzip.compress(result("x" * 500))[38:],
        ],
    )
    async def test_what_is_not_one_whole_stream_is_refused(self, data: bytes) -> None:
        for parts in ((data,), (data[:9], data[9:]), tuple(bytes([byte]) for byte in data)):
            seen = await exchange(POLICY, response_headers(JSON, GZIP, sealed=token()), *pieces("response", *parts))
            assert seen.error["error"]["data"]["reason"] == "content_encoding"

    async def test_a_bomb_is_refused(self) -> None:
        small = policy(guard("g"), rules=None)
        bomb = gzip.compress(b" " * 50_000_000)
        seen = await exchange(small, response_headers(JSON, GZIP, sealed=token()), *pieces("response", bomb))
        assert seen.error["error"]["data"]["reason"] == "too_large"

    @pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd", "identity, gzip", "gzip "])
    async def test_other_encodings_are_refused(self, encoding: str) -> None:
        headers = response_headers(JSON, ("content-encoding", encoding), sealed=token())
        seen = await exchange(POLICY, headers, *pieces("response", result()))
        assert seen.error["error"]["data"]["reason"] == "content_encoding"


async def test_too_much_is_refused_before_the_end() -> None:
    parts = [body("response", b" " * 1_000_000)] * 9
    seen = await exchange(POLICY, HEADERS, *parts)
    assert seen.error["error"]["data"]["reason"] == "too_large"
    assert seen.at == [10]


async def test_what_the_process_holds_has_an_end() -> None:
    admission = Admission(Bounds(decisions=10, bytes=100_000))
    first = Intake(admission=admission)
    admission.held = 99_000
    seen = await exchange(POLICY, HEADERS, *pieces("response", b" " * 500, b" " * 600), intake=first)
    assert (seen.error["error"]["data"]["reason"], admission.held) == ("overloaded", 99_000)
    admission.held = 0
    seen = await exchange(POLICY, HEADERS, *pieces("response", result()), intake=first)
    assert (seen.ended, admission.held, admission.decisions) == (True, 0, 0)


async def test_a_stream_that_ends_early_is_no_end_in_peace() -> None:
    for messages in ((HEADERS,), (HEADERS, body("response", result()))):
        seen = await exchange(POLICY, *messages)
        assert (seen.status, seen.body, seen.headers) == (seen.status.ABORTED, b"", False)  # type: ignore[union-attr]


@pytest.mark.parametrize("data", [b"\xff", b"", b"\x08\x01"])
async def test_messages_that_are_none_end_the_stream_with_an_error(data: bytes) -> None:
    seen = await exchange(POLICY, data)
    assert seen.status is not None
    seen = await exchange(POLICY, body("response", b"{}"))
    assert seen.status is not None
    seen = await exchange(POLICY, HEADERS, HEADERS)
    assert seen.status is not None


async def test_the_time_of_a_body_begins_with_its_first_byte() -> None:
    hurried = policy(guard("g", judge_words), responses={"deadline_ms": 150})
    seen = await exchange(hurried, HEADERS, 0.4, *pieces("response", result()))
    assert seen.ended
    seen = await exchange(hurried, HEADERS, body("response", result()), 0.4, body("response", b"", end=True))
    assert seen.error["error"]["data"]["reason"] == "deadline_exceeded"
    assert seen.at == [2]


async def test_in_shadow_mode_nothing_is_kept_from_the_client() -> None:
    shadow = policy(guard("g", judge_words), mode="shadow", responses={"deadline_ms": 150})
    for data in (result("BAD"), b"no json", b" " * 8_400_000):
        seen = await exchange(shadow, HEADERS, *pieces("response", data[:5], data[5:]))
        assert (seen.body, seen.ended, seen.denial, seen.status) == (data, True, None, None)
    seen = await exchange(shadow, HEADERS, body("response", b"{"), 0.4, body("response", b"}"), trailers("response"))
    assert (seen.body, seen.kinds[-1], seen.status) == (b"{}", "response_trailers", None)


@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
async def test_nothing_passes_that_was_not_judged(parts: list[bytes], encoded: bool) -> None:
    denying = policy()
    headers = response_headers(JSON, *((GZIP,) if encoded else ()), sealed=token())
    seen = await exchange(denying, headers, *pieces("response", *parts, b"x"))
    assert (seen.headers, seen.body) == (False, b"")
    assert seen.denial
