"""Listeners over real sockets: whom each believes, what a forged CheckRequest gets, certificates that change."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.server.certificates import DAY, Authority, Pair, encrypted
from tests.server.listening import (
    AUTHORITY,
    FREE,
    GATEWAY,
    STRANGER,
    TRUST,
    address,
    forged,
    mutual,
    port_of,
    secured,
    serving,
    tls,
    told,
    write,
)
from tests.server.process import HANG, Running, gateway, launched, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("listeners")
    listeners = {
        "loopback": FREE,
        "mesh": {**FREE, "tls": mutual(folder), "trust": TRUST},
        "nobody": {**FREE, "trust": {"peers": "none"}},
        "any": {**FREE, "trust": {"peers": "any"}},
    }
    with serving(folder, listeners) as running:
        yield running


@pytest.mark.parametrize("listener", ["loopback", "any"])
def test_a_believed_peer_names_the_caller(service: Running, listener: str) -> None:
    with gateway(address(service, listener)) as asking:
        answer = told(asking.check(forged(), timeout=HANG))
    assert (answer["verdict"], answer["tenant"], answer["principal"]) == ("allow", "acme", "ann")


def test_a_forged_request_of_a_peer_that_is_not_believed_gets_nothing_of_it(service: Running) -> None:
    before = service.metric('guardsvc_unbelieved_calls_total{listener="nobody"}')
    with gateway(address(service, "nobody")) as asking:
        answer = told(asking.check(forged(), timeout=HANG))
    assert (answer["verdict"], answer["reason"]) == ("deny", "access_denied")
    assert not {"tenant", "principal", "server", "token"} & answer.keys()
    assert service.metric('guardsvc_unbelieved_calls_total{listener="nobody"}') == before + 1
    assert len(service.logs("peer_not_believed")) == 1


def test_a_certificate_with_a_believed_name_may_name_the_caller(service: Running) -> None:
    with secured(f"localhost:{port_of(service, 'mesh')}", GATEWAY) as check:
        answer = told(check(forged(), timeout=HANG))
    assert (answer["verdict"], answer["tenant"], answer["principal"]) == ("allow", "acme", "ann")


def test_a_certificate_of_the_same_authority_with_another_name_may_not(service: Running) -> None:
    with secured(f"localhost:{port_of(service, 'mesh')}", STRANGER) as check:
        answer = told(check(forged(), timeout=HANG))
    assert (answer["verdict"], answer["reason"]) == ("deny", "access_denied")
    assert not {"tenant", "principal", "token"} & answer.keys()


@pytest.mark.parametrize("pair", [None, Authority().issue(uris=("spiffe://acme.example/ns/gateways/sa/envoy",))])
def test_without_a_certificate_of_the_authority_there_is_no_connection(service: Running, pair: Pair | None) -> None:
    with secured(f"localhost:{port_of(service, 'mesh')}", pair) as check, refused(grpc.StatusCode.UNAVAILABLE):
        check(forged(), timeout=HANG)


def test_a_listener_with_tls_answers_no_plain_text(service: Running) -> None:
    with gateway(address(service, "mesh")) as asking, refused(grpc.StatusCode.UNAVAILABLE):
        asking.check(forged(), timeout=HANG)


def test_every_listener_has_health_and_banner(service: Running) -> None:
    for name in ("loopback", "nobody", "any"):
        with grpc.insecure_channel(address(service, name)) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=HANG)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert address(service, name) in service.stdout


def test_a_certificate_is_replaced_under_load_without_a_failed_call(tmp_path: Path) -> None:
    with serving(tmp_path, {"mesh": {**FREE, "tls": mutual(tmp_path), "trust": TRUST}}) as running:
        target = f"localhost:{port_of(running, 'mesh')}"
        end = time.monotonic() + 3

        def ask_on() -> list[str]:
            verdicts = []
            with secured(target, GATEWAY) as kept:
                while time.monotonic() < end:
                    with secured(target, GATEWAY) as fresh:
                        verdicts += [told(check(forged(), timeout=HANG))["verdict"] for check in (kept, fresh)]
            return verdicts

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask_on) for _ in range(4)]
            rotated = 0
            while time.monotonic() < end - 0.5:
                AUTHORITY.issue_server().write(tmp_path, "server")
                rotated += 1
                running.wait_for_log("certificate_loaded", rotated)
            verdicts = [verdict for future in asking for verdict in future.result()]
        assert rotated >= 3
        assert len(verdicts) > 40
        assert set(verdicts) == {"allow"}


def test_who_is_accepted_changes_with_the_file_of_authorities(tmp_path: Path) -> None:
    new = Authority("new authority")
    pair = new.issue(uris=("spiffe://acme.example/ns/gateways/sa/envoy",))
    with serving(tmp_path, {"mesh": {**FREE, "tls": mutual(tmp_path), "trust": TRUST}}) as running:
        target = f"localhost:{port_of(running, 'mesh')}"
        with secured(target, pair) as check, refused(grpc.StatusCode.UNAVAILABLE):
            check(forged(), timeout=HANG)
        (tmp_path / "authority.pem").write_bytes(new.certificate)
        running.wait_for_log("certificate_loaded")
        with secured(target, pair) as check:
            assert told(check(forged(), timeout=HANG))["verdict"] == "allow"
        with secured(target, GATEWAY) as check, refused(grpc.StatusCode.UNAVAILABLE):
            check(forged(), timeout=HANG)


def test_files_that_cannot_be_used_leave_the_last_good_ones_and_are_named_once(tmp_path: Path) -> None:
    stale = 'guardsvc_tls_stale{listener="mesh"}'
    with serving(tmp_path, {"mesh": {**FREE, "tls": mutual(tmp_path), "trust": TRUST}}) as running:
        target = f"localhost:{port_of(running, 'mesh')}"
        good = (tmp_path / "server.key").read_bytes()
        (tmp_path / "server.key").write_bytes(AUTHORITY.issue_server().key)
        problem = running.wait_for_log("certificate_reload_failed")["problem"]
        assert problem == f"{tmp_path}/server.key does not belong to {tmp_path}/server.pem"
        assert running.metric(stale) == 1
        with secured(target, GATEWAY) as check:
            assert told(check(forged(), timeout=HANG))["verdict"] == "allow"
        (tmp_path / "server.key").unlink()
        problem = running.wait_for_log("certificate_reload_failed", 2)["problem"]
        assert problem == f"{tmp_path}/server.key cannot be read: No such file or directory"
        (tmp_path / "server.key").write_bytes(good)
        running.wait_for_metric(stale, 0)
        assert running.metric('guardsvc_tls_reloads_total{listener="mesh",result="failed"}') == 2
        assert len(running.logs("certificate_reload_failed")) == 2
        AUTHORITY.issue_server(begins=-2 * DAY, ends=-DAY).write(tmp_path, "server")
        _wait_for_problem(running, f"{tmp_path}/server.pem has expired at")
        AUTHORITY.issue_server(begins=DAY, ends=2 * DAY).write(tmp_path, "server")
        _wait_for_problem(running, f"{tmp_path}/server.pem is not valid before")
        left = running.metric('guardsvc_tls_certificate_expires_timestamp_seconds{listener="mesh"}') - time.time()
        assert DAY.total_seconds() - 600 < left < DAY.total_seconds()
        with secured(target, GATEWAY) as check:
            assert told(check(forged(), timeout=HANG))["verdict"] == "allow"


def test_a_certificate_that_has_expired_serves_where_there_is_no_other_and_is_told_of(tmp_path: Path) -> None:
    settings = tls(tmp_path)
    AUTHORITY.issue_server(begins=-2 * DAY, ends=-DAY).write(tmp_path, "server")
    with serving(tmp_path, {"tls": {**FREE, "tls": settings}}) as running:
        assert running.wait_for_log("certificate_expired")["listener"] == "tls"
        AUTHORITY.issue_server().write(tmp_path, "server")
        running.wait_for_log("certificate_loaded")


def _wait_for_problem(running: Running, beginning: str) -> None:
    """Wait until the log tells of a problem; files that are written one by one may cause others before."""
    end = time.monotonic() + HANG
    while not any(line["problem"].startswith(beginning) for line in running.logs("certificate_reload_failed")):
        assert time.monotonic() < end, running.logs("certificate_reload_failed")
        time.sleep(0.02)


def test_sighup_looks_at_the_certificate_at_once(tmp_path: Path) -> None:
    settings = {**tls(tmp_path), "reload_interval_s": 3600}
    with serving(tmp_path, {"tls": {**FREE, "tls": settings}}) as running:
        AUTHORITY.issue_server().write(tmp_path, "server")
        running.signal(signal.SIGHUP)
        running.wait_for_log("certificate_loaded")
        with secured(f"localhost:{port_of(running, 'tls')}") as check:
            assert told(check(forged(), timeout=HANG))["verdict"] == "allow"


def _no_certificate(folder: Path) -> str:
    (folder / "server.pem").write_text("nothing")
    return f"{folder}/server.pem holds no certificate in PEM"


def _broken_certificate(folder: Path) -> str:
    (folder / "server.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    return f"{folder}/server.pem holds a certificate that cannot be read"


def _no_key(folder: Path) -> str:
    (folder / "server.key").write_bytes((folder / "server.pem").read_bytes())
    return f"{folder}/server.key holds no private key in PEM"


def _encrypted_key(folder: Path) -> str:
    pair = AUTHORITY.issue_server()
    (folder / "server.pem").write_bytes(pair.certificate)
    (folder / "server.key").write_bytes(encrypted(pair))
    return f"{folder}/server.key is encrypted"


def _other_key(folder: Path) -> str:
    (folder / "server.key").write_bytes(AUTHORITY.issue_server().key)
    return f"{folder}/server.key does not belong to {folder}/server.pem"


def _missing(folder: Path) -> str:
    (folder / "authority.pem").unlink()
    return f"{folder}/authority.pem cannot be read: No such file or directory"


def _large(folder: Path) -> str:
    (folder / "authority.pem").write_bytes(b"-" * (1 << 20) + b"-")
    return f"{folder}/authority.pem has more than 1048576 bytes"


@pytest.mark.parametrize(
    "spoil", [_no_certificate, _broken_certificate, _no_key, _encrypted_key, _other_key, _missing, _large]
)
def test_files_that_cannot_be_used_at_start_are_named(tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    config = write(tmp_path, {"mesh": {**FREE, "tls": mutual(tmp_path), "trust": TRUST}})
    expected = spoil(tmp_path)
    with launched(tmp_path, "--config", str(config)) as running:
        assert running.wait() == 4
    (line,) = running.stderr.splitlines()
    assert line.startswith(f"guardsvc: listener mesh: TLS: {expected}")


def test_connections_are_made_anew_when_they_are_old_and_no_call_fails(tmp_path: Path) -> None:
    listeners = {"default": FREE, "other": FREE}
    with serving(tmp_path, listeners, grpc={"max_connection_age_s": 1}) as running:
        states: list[grpc.ChannelConnectivity] = []
        with gateway(running.grpc_address) as asking:
            asking.channel.subscribe(states.append)
            end = time.monotonic() + 3
            answers = 0
            while time.monotonic() < end:
                assert told(asking.check(forged(), timeout=HANG))["verdict"] == "allow"
                answers += 1
                time.sleep(0.005)
        assert answers > 50
        assert states.count(grpc.ChannelConnectivity.READY) >= 2
