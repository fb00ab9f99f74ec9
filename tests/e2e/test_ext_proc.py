"""Responses through a real Envoy as shipped: judged, byte-identical or refused, and never unjudged."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from deploy.demo.services import envoy_program
from tests.e2e.responding import (
    EVENTS,
    EXT_PROC,
    POISON,
    POLICY,
    SHIPPED_EXT_PROC,
    SHIPPED_EXT_PROC_UDS,
    Responding,
    call,
    event,
    filters,
    listed,
    per_route,
    reason,
)
from tests.e2e.scripted_server import Script
from tests.e2e.test_ext_proc_alone import POLICY as POLICY_ALONE
from tests.e2e.test_ext_proc_alone import SHIPPED as SHIPPED_ALONE
from tests.server.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.demo.bootstrap import Bootstrap

PING = b": ping\r\n\r\n"
NOTE = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}}).encode()
JSON = ("content-type", "application/json")
LATER_S = 4.0
"""Long enough for what must happen before on a busy machine."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Responding]:
    with Responding(tmp_path_factory.mktemp("ext_proc")) as started:
        yield started


def test_it_is_valid_as_it_is() -> None:
    command = [envoy_program(), "--mode", "validate", "--config-path", str(SHIPPED_EXT_PROC), "--log-level", "warning"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def big(size: int) -> bytes:
    content = [{"type": "text", "text": "harmless " * 100}] * (size // 920)
    return json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"content": content}}, indent=1).encode()


@pytest.mark.parametrize(
    "script",
    [
        Script([listed()]),
        Script([bytes([byte]) for byte in listed()], chunked=True),
        Script([listed()[:50], 0.2, listed()[50:]]),
        Script([listed()], chunked=True, trailers=[("x-trailer", "1")]),
        Script([gzip.compress(listed())], headers=[JSON, ("content-encoding", "gzip")]),
        Script([event(listed())], headers=EVENTS),
        Script([PING, event(NOTE), event(listed())], headers=EVENTS, chunked=True),
        Script([bytes([byte]) for byte in PING + event(NOTE) + event(listed())], headers=EVENTS, chunked=True),
        Script([event(listed(), b"\n")], headers=EVENTS, chunked=True, trailers=[("x-trailer", "1")]),
    ],
    ids=["json", "bytes", "pause", "trailers", "gzip", "event", "events", "event_bytes", "event_trailers"],
)
def test_benign_responses_leave_byte_for_byte(running: Responding, script: Script) -> None:
    answer = running.ask(script, call())
    assert (answer.status, answer.broken) == (200, False)
    assert answer.body == b"".join(piece for piece in script.pieces if isinstance(piece, bytes))
    assert answer.headers["content-type"] == dict(script.headers)["content-type"]


@pytest.mark.parametrize("size", [900_000, 5_000_000])
@pytest.mark.parametrize("chunked", [True, False])
def test_large_ones_too(running: Responding, size: int, chunked: bool) -> None:
    body = big(size)
    pieces = [body[start : start + 100_000] for start in range(0, len(body), 100_000)]
    answer = running.ask(Script(pieces, chunked=chunked), call("tools/call", name="add", arguments={}))
    assert (answer.status, answer.body == body) == (200, True)


@pytest.mark.parametrize(
    "script",
    [
        Script([listed(POISON)]),
        Script([bytes([byte]) for byte in listed(POISON)], chunked=True),
        Script([listed(POISON)], chunked=True, trailers=[("x-trailer", "1")]),
        Script([gzip.compress(listed(POISON))], headers=[JSON, ("content-encoding", "gzip")]),
        Script([PING, event(listed(POISON))], headers=EVENTS, chunked=True),
        Script([bytes([byte]) for byte in event(listed(POISON))], headers=EVENTS, chunked=True),
        Script([gzip.compress(event(listed(POISON)))], headers=[*EVENTS, ("content-encoding", "gzip")]),
        Script([event(listed(POISON)).rstrip()], headers=EVENTS, chunked=True),
    ],
    ids=["json", "bytes", "trailers", "gzip", "event", "event_bytes", "event_gzip", "event_cut"],
)
def test_a_poisoned_list_is_an_error_under_the_id_of_the_request(running: Responding, script: Script) -> None:
    answer = running.ask(script, call())
    assert (answer.status, answer.broken) == (200, False)
    assert b"id_rsa" not in answer.body
    assert reason(answer) == "tool_poisoning_detected"
    assert b'"id":7' in answer.body


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (Script([listed(request_id=8)]), "uncorrelated_response"),
        (Script([b"<html>"], headers=[("content-type", "text/html")]), "content_type"),
        (Script([listed()], headers=[JSON, ("content-encoding", "br")]), "content_encoding"),
        (Script([b" " * 9_000_000]), "too_large"),
        (Script([b"{", 3.0, b"}"]), "deadline_exceeded"),
        (Script([PING, b"data: {", 3.0, b"}\n\n"], headers=EVENTS, chunked=True), "deadline_exceeded"),
        (Script([PING, b"data: " + b"x" * 70_000, b"\n\n"], headers=EVENTS, chunked=True), "too_large"),
        (Script([b"Data: " + listed() + b"\n\n"], headers=EVENTS, chunked=True), "invalid_message"),
    ],
)
def test_what_cannot_be_judged_is_refused(running: Responding, script: Script, expected: str) -> None:
    answer = running.ask(script, call())
    assert (answer.status, reason(answer)) == (200, expected)
    assert b'"id":7' in answer.body


def test_events_go_on_as_soon_as_they_are_judged_and_silence_lasts_as_long_as_it_likes(running: Responding) -> None:
    script = Script([event(NOTE), 0.3, PING, 3.0, event(NOTE), 0.3, event(listed())], headers=EVENTS, chunked=True)
    answer = running.ask(script, call())
    assert answer.body == event(NOTE) + PING + event(NOTE) + event(listed())
    times = [when for when, _ in answer.pieces]
    assert len(times) == 4
    assert times[0] < 1
    assert 2.5 < times[2] - times[1] < 4


def test_a_refused_answer_ends_the_stream_though_the_server_goes_on(running: Responding) -> None:
    goes_on: list[bytes | float] = [0.2, event(listed(POISON))] * 10
    script = Script([event(listed(POISON)), *goes_on], headers=EVENTS, chunked=True)
    answer = running.ask(script, call())
    assert (reason(answer), answer.broken) == ("tool_poisoning_detected", False)
    assert answer.pieces[-1][0] < 1.5
    assert b"id_rsa" not in answer.body


def test_a_client_that_listens(running: Responding) -> None:
    hidden = {"jsonrpc": "2.0", "id": 3, "result": {"tools": json.loads(listed(POISON))["result"]["tools"]}}
    script = Script([event(NOTE), event(json.dumps(hidden).encode()), event(NOTE)], headers=EVENTS, chunked=True)
    answer = running.ask(script, method="GET")
    assert answer.body.startswith(event(NOTE))
    assert answer.body.endswith(event(NOTE))
    assert (b"id_rsa" in answer.body, answer.broken) == (False, False)


@pytest.mark.parametrize(
    ("status", "chunked"), [("202 Accepted", False), ("202 Accepted", True), ("204 No Content", False)]
)
def test_a_response_without_a_body(running: Responding, status: str, chunked: bool) -> None:
    headers = () if status.startswith("204") else (JSON,)
    answer = running.ask(Script([], status=status, headers=headers, chunked=chunked), call())
    assert (answer.status, answer.body) == (int(status[:3]), b"")


def test_a_servers_own_refusal_keeps_its_status_and_challenge(running: Responding) -> None:
    headers = [("content-type", "text/plain"), ("www-authenticate", "Bearer x")]
    answer = running.ask(Script([b"no"], status="401 Unauthorized", headers=headers), call())
    assert (answer.status, answer.headers["www-authenticate"], reason(answer)) == (401, "Bearer x", "content_type")


def test_what_envoy_says_itself_passes(running: Responding) -> None:
    before = running.metric("guardsvc_uncorrelated_responses_total")
    denied = running.ask(Script([]), call("tools/call", name="forbidden", arguments={}))
    assert (denied.status, reason(denied)) == (200, "access_denied")
    lost = running.ask(Script([]), method="GET", path="/../elsewhere")
    assert (lost.status, lost.body) in ((404, b""), (403, lost.body))
    assert running.metric("guardsvc_uncorrelated_responses_total") == before


def test_the_server_is_not_asked_to_compress(running: Responding) -> None:
    running.ask(Script([listed()]), call())
    assert "accept-encoding" not in running.server.requests[-1][0]


@pytest.mark.parametrize("change", ["no_namespace", "no_ext_authz"])
def test_without_the_decision_about_the_request_it_is_refused(
    tmp_path_factory: pytest.TempPathFactory, change: str
) -> None:
    def alter(bootstrap: Bootstrap) -> None:
        if change == "no_namespace":
            del filters(bootstrap)[EXT_PROC]["typed_config"]["metadata_options"]
        else:
            settings = per_route(bootstrap)["envoy.filters.http.ext_authz"]
            del settings["check_settings"]
            settings["disabled"] = True

    with Responding(tmp_path_factory.mktemp(change), change=alter) as altered:
        for script in (Script([listed()]), Script([event(listed())], headers=EVENTS, chunked=True)):
            answer = altered.ask(script, call())
            assert (reason(answer), b"Adds" in answer.body) == ("uncorrelated_response", False)
        assert altered.metric('guardsvc_uncorrelated_responses_total{cause="missing"}') == 2


@pytest.mark.parametrize(
    ("shipped", "policy"),
    [(SHIPPED_EXT_PROC, POLICY), (SHIPPED_EXT_PROC_UDS, POLICY), (SHIPPED_ALONE, POLICY_ALONE)],
    ids=["ext_proc", "uds", "alone"],
)
def test_guardsvc_that_dies_lets_nothing_pass(
    tmp_path_factory: pytest.TempPathFactory, shipped: Path, policy: Path
) -> None:
    """Killed while three answers are half there: what was not judged by then never reaches a client."""
    first, secret = event(NOTE), b"Adds"
    scripts = (
        (Script([listed()[:50], LATER_S, listed()[50:]]), b""),
        (Script([first, LATER_S, event(listed())], headers=EVENTS, chunked=True), first),
        (Script([first, event(listed())[:-9], LATER_S, event(listed())[-9:]], headers=EVENTS, chunked=True), first),
    )
    with Responding(tmp_path_factory.mktemp("dies"), policy, shipped=shipped) as dying, ThreadPoolExecutor(3) as pool:
        asked = []
        for number, (script, _) in enumerate(scripts, start=1):
            asked.append(pool.submit(dying.ask, script, call()))
            wait_until(partial(_has_come, dying, number), "it has come to the server")
        judged = 'guardsvc_decisions_total{method="notifications/message",mode="enforce",phase="other"'
        wait_until(lambda: dying.metric(judged) == 2, "the first events are judged")
        os.kill(dying.guardsvc.pid, signal.SIGKILL)
        for answering, (_, passed) in zip(asked, scripts, strict=True):
            answer = answering.result()
            assert secret not in answer.body
            assert passed.startswith(answer.body) if passed else answer.status == 503
            assert answer.broken or answer.status == 503


def _has_come(running: Responding, number: int) -> bool:
    return len(running.server.requests) == number
