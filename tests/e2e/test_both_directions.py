"""Everything that a bad server can answer, in every form, through a real Envoy as shipped and the presets.

Poisoned lists, changed definitions, injected orders, leaked keys and hidden questions are refused, masked or left out;
what is harmless leaves byte for byte.
"""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.directions import (
    BENIGN,
    CHANGED,
    FORMS,
    INJECTED,
    KEY,
    LARGE_FORMS,
    MASKED,
    PINNED,
    POISONED,
    SAMPLING,
    Form,
    filled,
    listing,
    plain,
    result,
    tool,
)
from tests.e2e.responding import EVENTS, POISON, SHIPPED_EXT_PROC, Arrivals, Responding, call, event, reason
from tests.e2e.scripted_server import Script
from tests.e2e.telling_server import DROPPING
from tests.e2e.test_ext_proc_alone import SHIPPED as SHIPPED_ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deploy.demo.bootstrap import Bootstrap

POLICIES = Path(__file__).parent / "policies"
FIVE_MEGABYTES = 5_000_000
LISTED, CALLED = call("tools/list"), call("tools/call", name="find", arguments={})
PAID = call("tools/call", name="pay", arguments={})
AUTHORIZED = [("authorization", "Bearer opaque")]

WAYS = ("default", "strict", "alone")
"""ext_authz and ext_proc with preset ``default`` and with ``strict``, and ext_proc alone."""
FEW = ("json", "events_bytes")
"""Forms that are tried in every way each time."""
MORE = (*FEW, "json_gzip", "events_gzip")


def over(forms: tuple[Form, ...], *often: str) -> pytest.MarkDecorator:
    """Every form in every way: each time a few in all ways and these in the first, the others in the long run."""
    pairs = [
        pytest.param(way, form, id=f"{way}-{form[0]}", marks=() if form[0] in each else pytest.mark.long)
        for way, each in zip(WAYS, (often, FEW, FEW), strict=True)
        for form in forms
    ]
    return pytest.mark.parametrize(("running", "form"), pairs, indirect=["running"])


every_form, some_forms = over(FORMS, *dict(FORMS)), over(FORMS, *MORE)
every_large_form = over(LARGE_FORMS, *dict(LARGE_FORMS))


def add_route(bootstrap: Bootstrap, *, alone: bool) -> None:
    """A route of another server, whose lists go on without what is poisoned; the caller's name is the route's too."""
    chain = bootstrap.document["static_resources"]["listeners"][0]["filter_chains"][0]
    host = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]
    route: dict[str, Any] = {"match": {"path_separated_prefix": f"/mcp{DROPPING}"}, "route": host["routes"][0]["route"]}
    if alone:
        overrides = {"grpc_initial_metadata": [{"key": "mcp_server", "value": "dropping"}]}
        kind = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"
        route["typed_per_filter_config"] = {"envoy.filters.http.ext_proc": {"@type": kind, "overrides": overrides}}
    else:
        settings = host["typed_per_filter_config"]["envoy.filters.http.ext_authz"]
        settings["check_settings"]["context_extensions"]["principal"] = "agent"
        check = {"context_extensions": {"mcp_server": "dropping", "principal": "agent"}}
        told = {"@type": settings["@type"], "check_settings": check}
        route["typed_per_filter_config"] = {"envoy.filters.http.ext_authz": told}
    host["routes"].insert(0, route)


class Ways:
    """What runs, one in each way, from when it is first asked for."""

    def __init__(self, folders: Callable[[str], Path], until: ExitStack) -> None:
        self._folders = folders
        self._until = until
        self._running: dict[str, Responding] = {}

    def __getitem__(self, way: str) -> Responding:
        if way not in self._running:
            alone = way == "alone"
            policy = POLICIES / f"both_{'default' if alone else way}.yaml"
            change, shipped = partial(add_route, alone=alone), SHIPPED_ALONE if alone else SHIPPED_EXT_PROC
            started = Responding(self._folders(way), policy, change, shipped=shipped)
            self._running[way] = self._until.enter_context(started)
        return self._running[way]


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with ExitStack() as until:
        yield Ways(tmp_path_factory.mktemp, until)


@pytest.fixture
def running(request: pytest.FixtureRequest, ways: Ways) -> Responding:
    return ways[request.param]


def ask(running: Responding, form: Form, body: bytes, message: Any, *, path: str = "") -> tuple[Arrivals, bytes]:
    """The answer, and what a client reads of it."""
    script = form[1](body)
    came = running.ask(script, message, path=path, more=AUTHORIZED)
    assert (came.status, came.broken) == (200, False)
    return came, plain(script, came.body)


def message_of(text: bytes) -> Any:
    """The last message that a client reads."""
    lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"data: " not in lines:
        return json.loads(lines)
    last = next(each for each in reversed(lines.split(b"\n\n")) if each.strip())
    return json.loads(b"\n".join(line[6:] for line in last.split(b"\n") if line.startswith(b"data: ")))


def refused(running: Responding, form: Form, body: bytes, message: Any, code: str) -> None:
    """The answer is an error under the id of the request, and nothing of it is left."""
    _, read = ask(running, form, body, message)
    told = message_of(read)
    assert (told["id"], told["error"]["data"]["reason"]) == (7, code)
    for mark in (b"id_rsa", b"eve@", b"requestState", KEY.encode()):
        assert mark not in read


@every_form
@pytest.mark.parametrize("kind", BENIGN)
def test_what_is_harmless_leaves_byte_for_byte(running: Responding, form: Form, kind: str) -> None:
    message = LISTED if kind == "list" else CALLED
    script = form[1](BENIGN[kind])
    sent = b"".join(piece for piece in script.pieces if isinstance(piece, bytes))
    _, read = ask(running, form, BENIGN[kind], message)
    assert sha256(read).digest() == sha256(plain(script, sent)).digest()


@every_form
@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (POISONED, LISTED, "tool_poisoning_detected"),
        (INJECTED, CALLED, "result_injection_detected"),
        (SAMPLING, CALLED, "input_request_refused"),
    ],
    ids=["poisoned", "injected", "sampling"],
)
def test_what_is_bad_is_refused(running: Responding, form: Form, body: bytes, message: Any, code: str) -> None:
    refused(running, form, body, message, code)


@some_forms
def test_a_poisoned_tool_is_left_out_of_a_list(running: Responding, form: Form) -> None:
    kept = tool("look", "Looks up a word.")
    _, read = ask(running, form, listing(kept, tool("sum", POISON)), LISTED, path=DROPPING)
    assert message_of(read)["result"]["tools"] == [kept]
    assert b"id_rsa" not in read


@some_forms
def test_a_leaked_key_is_masked(running: Responding, form: Form) -> None:
    _, read = ask(running, form, result(f"the key is {KEY} \u00e9"), CALLED)
    assert message_of(read) == json.loads(result(f"the key is {MASKED} \u00e9"))
    assert KEY.encode() not in read


@some_forms
def test_a_changed_definition_is_refused_at_the_list_and_at_the_call(running: Responding, form: Form) -> None:
    ask(running, FORMS[0], listing(PINNED), LISTED)
    refused(running, form, CHANGED, LISTED, "rug_pull_detected")
    before = len(running.server.requests)
    called = running.ask(FORMS[0][1](result("paid")), PAID, more=AUTHORIZED)
    assert (reason(called), len(running.server.requests)) == ("rug_pull_detected", before)
    _, read = ask(running, form, listing(PINNED), LISTED)
    assert message_of(read)["result"]["tools"] == [PINNED]
    _, read = ask(running, form, result("paid"), PAID)
    assert message_of(read) == json.loads(result("paid"))


@every_large_form
def test_five_megabytes(running: Responding, form: Form) -> None:
    harmless = filled(BENIGN["result"], FIVE_MEGABYTES)
    script = form[1](harmless)
    _, read = ask(running, form, harmless, CALLED)
    sent = b"".join(piece for piece in script.pieces if isinstance(piece, bytes))
    assert len(message_of(read)["result"]["content"]) > 1000
    assert sha256(read).digest() == sha256(plain(script, sent)).digest()


@every_large_form
@pytest.mark.long
def test_five_megabytes_with_something_bad_at_the_end(running: Responding, form: Form) -> None:
    refused(running, form, filled(INJECTED, FIVE_MEGABYTES), CALLED, "result_injection_detected")
    refused(running, form, filled(POISONED, FIVE_MEGABYTES), LISTED, "tool_poisoning_detected")
    _, read = ask(running, form, filled(result(f"key {KEY}"), FIVE_MEGABYTES), CALLED)
    assert message_of(read)["result"]["content"][-1]["text"] == f"key {MASKED}"
    assert KEY.encode() not in read


@pytest.mark.parametrize("running", WAYS, indirect=True)
def test_each_event_goes_on_before_the_next_one_comes(running: Responding) -> None:
    """The server sends an event only when the client has read the one before: time is added, never summed up."""
    gates = [threading.Event() for _ in range(20)]
    notes = [
        event(answer_note(f"step {number}"), b"\n") if number % 3 else event(answer_note(INJECTED.decode()), b"\n")
        for number in range(len(gates))
    ]
    passed = [note for number, note in enumerate(notes) if number % 3]
    pieces: list[bytes | float | threading.Event] = []
    for number, note in enumerate(notes):
        pieces += [note] if not number % 3 else [note, gates[number]]
    script = Script([*pieces, event(result("done"), b"\n")], headers=EVENTS, chunked=True)
    opened = iter([gate for number, gate in enumerate(gates) if number % 3])
    read = running.follow(script, CALLED, lambda: next(opened, threading.Event()).set(), more=AUTHORIZED)
    assert read.body == b"".join(passed) + event(result("done"), b"\n")
    assert [piece for _, piece in read.pieces] == [*passed, event(result("done"), b"\n")]


def answer_note(text: str) -> bytes:
    """A notification."""
    params = {"progressToken": 1, "progress": 1, "message": text}
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}).encode()
