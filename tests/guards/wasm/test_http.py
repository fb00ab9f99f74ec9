"""Guards that call hosts, by ``http`` and by ``wasi:http``: the same grants and bounds for both."""

from __future__ import annotations

import asyncio
import re
import ssl
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.host.host import HostCalls
from guardsvc.guards.wasm.http import client as http_client
from guardsvc.guards.wasm.http.wasi_io import InputStream, Pollable
from guardsvc.guards.wasm.settings import LimitSettings
from guardsvc.model import ALLOW, Deny, SettingsError
from tests.guards.wasm.components import CALL, ask, build, call_of
from tests.guards.wasm.components import component as text_component
from tests.guards.wasm.conftest import GUARDS
from tests.guards.wasm.hosts import Host, serving_host
from tests.server.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from guardsvc.guards.wasm.guard import WasmGuard

WAYS = ("ask_service.wasm", "ask_service_wasi.wasm")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with serving_host() as host:
        yield host


@pytest.fixture(params=WAYS)
def component(request: pytest.FixtureRequest) -> bytes:
    name: str = request.param
    return (GUARDS / "examples" / name).read_bytes()


def asking(folder: Path, component: bytes, url: str, *, http: list[str] | None = None, **more: Any) -> WasmGuard:
    granted = [url.rsplit("/", 1)[0]] if http is None else http
    config = {"url": url, **more.pop("config", {})}
    return build(folder, component, grants={"http": granted}, config=config, **more)


def failure(guard: WasmGuard) -> WasmFailure:
    with pytest.raises(WasmFailure) as raised:
        ask(guard)
    return raised.value


def test_what_the_service_says_is_the_verdict(tmp_path: Path, component: bytes, host: Host) -> None:
    host.asked.clear()

    assert ask(asking(tmp_path, component, host.url("/allow"))) is ALLOW
    denied = ask(asking(tmp_path, component, host.url("/deny")), call_of("acme", path="/tmp/ü"))

    assert isinstance(denied, Deny)
    assert denied.code == "on_the_list"
    (_, _, _), (path, fields, body) = host.asked
    assert (path, fields["Content-Type"], fields["Host"]) == ("/deny", "application/json", f"127.0.0.1:{host.port}")
    assert '"tenant":"acme"' in body
    assert "/tmp/ü" in body
    assert not {"Cookie", "Authorization"} & set(fields)


def test_several_requests_of_a_call_are_under_way_at_once(tmp_path: Path, component: bytes, host: Host) -> None:
    host.together = 0

    assert ask(asking(tmp_path, component, host.url("/late"), config={"also": host.url("/late")})) is ALLOW

    assert host.together == 2


def test_several_calls_wait_for_hosts_at_once_and_the_event_loop_does_not(
    tmp_path: Path, component: bytes, host: Host
) -> None:
    guard = asking(tmp_path, component, host.url("/late"))
    host.together = 0

    async def several() -> int:
        calls = [asyncio.create_task(guard.evaluate(call_of(tenant), {})) for tenant in ("a", "b", "c")]
        turns = 0
        while not any(call.done() for call in calls):
            await asyncio.sleep(0.001)
            turns += 1
        assert all(answer is ALLOW for answer in await asyncio.gather(*calls))
        return turns

    assert asyncio.run(several()) > 3
    assert host.together >= 2


@pytest.mark.parametrize("path", ["/never", "/drip"])
def test_the_time_of_a_host_is_the_time_of_the_guard(path: str, tmp_path: Path, component: bytes, host: Host) -> None:
    begun = perf_counter()

    assert failure(asking(tmp_path, component, host.url(path), timeout=0.15)).name == "deadline"

    assert perf_counter() - begun < 20


@pytest.mark.parametrize("path", ["/endless", "/fields"])
def test_answers_are_bounded(path: str, tmp_path: Path, component: bytes, host: Host) -> None:
    failed = failure(asking(tmp_path, component, host.url(path), limits={"http_response_kib": 100}))

    assert failed.name == "guest_error"
    assert any(told in str(failed) for told in ("TooLarge", "HttpResponseBodySize", "Unreachable", "DestinationUnava"))


def test_requests_are_bounded(tmp_path: Path, component: bytes, host: Host) -> None:
    guard = asking(tmp_path, component, host.url("/allow"), limits={"http_request_kib": 4})
    host.asked.clear()
    with pytest.raises(WasmFailure, match=r"TooLarge|LastOperationFailed"):
        ask(guard, call_of(text="x" * 5000))
    once = asking(
        tmp_path, component, host.url("/allow"), config={"also": host.url("/allow")}, limits={"http_calls": 1}
    )
    assert "guest_error" in str(failure(once))
    assert len(host.asked) <= 1


def test_a_redirect_is_an_answer(tmp_path: Path, component: bytes, host: Host) -> None:
    assert "status 302" in str(failure(asking(tmp_path, component, host.url("/redirect"))))


@pytest.mark.parametrize(
    "granted",
    [
        ["https://127.0.0.1"],
        ["http://127.0.0.1:1"],
        ["http://elsewhere.example:{port}", "127.0.0.0/8"],
        ["https://127.0.0.1:{port}"],
    ],
    ids=["scheme", "port", "host", "tls"],
)
def test_hosts_that_are_not_granted_are_not_called(
    granted: list[str], tmp_path: Path, component: bytes, host: Host
) -> None:
    host.asked.clear()
    http = [entry.format(port=host.port) for entry in granted]

    failed = failure(asking(tmp_path, component, host.url("/allow"), http=http))

    assert "Denied" in str(failed)
    assert host.asked == []


def test_a_name_is_resolved_once_and_the_address_is_checked(
    tmp_path: Path, component: bytes, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [["127.0.0.1"], ["169.254.169.254"], ["93.184.215.14", "10.0.0.1"], ["::ffff:127.0.0.2"], ["127.0.0.1"]]
    asked: list[str] = []

    async def lookup(name: str, port: int) -> list[str]:
        asked.append(f"{name}:{port}")
        return answers.pop(0)

    monkeypatch.setattr(http_client, "lookup", lookup)
    url = host.url("/allow", "rebinding.example")
    host.asked.clear()
    origin = f"http://rebinding.example:{host.port}"

    def fresh(*networks: str) -> WasmGuard:
        return asking(tmp_path, component, url, http=[origin, *networks])

    assert ask(fresh("127.0.0.1/32")) is ALLOW
    assert [fields["Host"] for _, fields, _ in host.asked] == [f"rebinding.example:{host.port}"]
    for networks in ((), ("127.0.0.1/32",), ("127.0.0.1/32",), ()):
        assert "Denied" in str(failure(fresh(*networks)))
    assert asked == [f"rebinding.example:{host.port}"] * 5
    assert len(host.asked) == 1


def test_over_tls_the_name_is_what_the_certificate_and_the_host_are_about(
    tmp_path: Path, component: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, names = Authority(), []
    (tmp_path / "authority.pem").write_bytes(authority.certificate)
    certificate, key = authority.issue_server().write(tmp_path, "server")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    async def lookup(name: str, port: int) -> list[str]:
        del name, port
        return ["127.0.0.1"]

    monkeypatch.setattr(http_client, "lookup", lookup)
    with serving_host(tls) as secure:
        for name, verdict in (("localhost", True), ("other.example", False)):
            origin = f"https://{name}:{secure.port}"
            guard = asking(tmp_path, component, f"{origin}/allow", http=[origin, "127.0.0.1/32"])
            if verdict:
                assert ask(guard) is ALLOW
            else:
                assert "Unreachable" in str(failure(guard)) or "Unavailable" in str(failure(guard))
        assert [fields["Host"] for _, fields, _ in secure.asked] == [f"localhost:{secure.port}"]
    assert names[:2] == ["localhost", "other.example"]


def test_a_guard_that_wants_http_is_loaded_where_it_is_granted_only(tmp_path: Path, component: bytes) -> None:
    with pytest.raises(SettingsError, match="needs http, which is not granted"):
        build(tmp_path, component)
    with pytest.raises(SettingsError, match="is neither a host as"):
        build(tmp_path, component, grants={"http": ["https://a.example/path"]})


def test_nothing_of_one_call_is_there_in_the_next(tmp_path: Path, component: bytes, host: Host) -> None:
    guard = asking(tmp_path, component, host.url("/allow"))

    for _ in range(30):
        assert ask(guard, CALL) is ALLOW


RETURN = '(func (export "evaluate") (param i32) (result i32) (i32.const 0))'


@pytest.mark.parametrize(
    ("imported", "why"),
    [
        (
            '(import "wasi:sockets/tcp@0.2.0" (instance (export "start-connect" (func))))',
            "imports what no guard can have: wasi:sockets/tcp@0.2.0",
        ),
        (
            '(import "wasi:sockets/tcp@0.2.0" (instance (export "tcp-socket" (type (sub resource)))))',
            "imports what no guard can have: wasi:sockets/tcp@0.2.0 tcp-socket",
        ),
        (
            '(import "wasi:http/types@0.2.0" (instance (export "set-proxy" (func))))',
            "imports what no guard can have: wasi:http/types@0.2.0 set-proxy",
        ),
        (
            '(import "wasi:http/outgoing-handler@0.3.0" (instance (export "handle" (func))))',
            "imports what no guard can have: wasi:http/outgoing-handler@0.3.0",
        ),
    ],
)
def test_the_grant_of_http_grants_nothing_else_of_wasi(imported: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=re.escape(why)):
        build(tmp_path, text_component(RETURN, more=imported), grants={"http": ["https://a.example"]})


def test_what_a_guest_has_of_the_host_is_bounded_and_of_its_kind() -> None:
    calls = HostCalls("guard", LimitSettings())
    first = calls.keep(InputStream(b"abc"))

    with pytest.raises(TypeError):
        calls.resource(first, Pollable)
    assert calls.resource(first, InputStream).read(2) == ("ok", b"ab")
    calls.drop(first)
    with pytest.raises(KeyError):
        calls.resource(first, InputStream)
    for _ in range(256):
        calls.keep(InputStream(b""))
    with pytest.raises(WasmFailure, match="resources"):
        calls.keep(InputStream(b""))
