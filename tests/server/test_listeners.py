"""Listeners over real sockets: whom each believes, what a forged CheckRequest gets, certificates that change."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from tests.packages.installed import environment, install_handmade
from tests.server.certificates import Authority, Pair, encrypted
from tests.server.process import COMMAND, HANG, Running, call, check_request, gateway, launched, refused, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECK = "/envoy.service.auth.v3.Authorization/Check"
AUTHORITY = Authority()
GATEWAY = AUTHORITY.issue(uris=("spiffe://acme.example/ns/gateways/sa/envoy",))
STRANGER = AUTHORITY.issue(
    uris=("spiffe://acme.example/ns/tools/sa/x",),
    dns=("spiffe://acme.example/ns/gateways/sa/envoy",),
    name="spiffe://acme.example/ns/gateways/sa/envoy",
)
TRUST = {"uris": ["spiffe://acme.example/ns/gateways/*"]}
FREE = {"address": "127.0.0.1:0"}

ACME_ALONE = {
    "type": "access_list",
    "settings": {
        "unknown_server": "allow",
        "default": "deny",
        "rules": [{"action": "allow", "verified": True, "tenants": ["acme"], "principals": ["ann"]}],
    },
}


def write(folder: Path, listeners: dict[str, Any], *guards: Any, **service: Any) -> Path:
    """A configuration with these listeners, which allows Ann of acme alone unless other guards are given."""
    config = folder / "config.json"
    settings = {"listeners": listeners, "metrics": FREE, **service}
    config.write_text(json.dumps({"service": settings, "policy": {"guards": guards or (ACME_ALONE,)}}))
    return config


@contextmanager
def serving(folder: Path, listeners: dict[str, Any], *guards: Any, **service: Any) -> Iterator[Running]:
    config = write(folder, listeners, *guards, **service)
    with launched(folder, "--config", str(config), env=environment(folder)) as running:
        running.wait_for_log("ready")
        yield running


def address(running: Running, listener: str) -> str:
    return str(running.logs("ready")[0]["listeners"][0][listener])


def port_of(running: Running, listener: str) -> str:
    return address(running, listener).rpartition(":")[2]


@contextmanager
def secured(target: str, pair: Pair | None = None, authority: Authority = AUTHORITY) -> Iterator[Callable[..., Any]]:
    """How to ask over TLS, on a connection of its own."""
    credentials = grpc.ssl_channel_credentials(authority.certificate, pair and pair.key, pair and pair.certificate)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(target, credentials, options=options) as channel:
        yield channel.unary_unary(CHECK, CheckRequest.SerializeToString, CheckResponse.FromString)


def forged(**extensions: str) -> CheckRequest:
    """A CheckRequest that claims to be for Ann of acme in every way there is."""
    request = check_request(call(), **{"tenant": "acme", "mcp_server": "files", **extensions})
    request.attributes.source.principal = "ann"
    request.attributes.source.address.socket_address.address = "203.0.113.9"
    metadata = request.attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
    metadata.update({"jwt_payload": {"sub": "ann", "tenant": "acme"}})
    return request


def told(answer: CheckResponse) -> dict[str, str]:
    return {name: value.string_value for name, value in answer.dynamic_metadata.fields.items()}


def tls(folder: Path, **more: Any) -> dict[str, Any]:
    """Settings of TLS with a fresh certificate in files."""
    certificate, key = AUTHORITY.issue_server().write(folder, "server")
    return {"certificate": str(certificate), "key": str(key), "reload_interval_s": 0.1, **more}


def mutual(folder: Path) -> dict[str, Any]:
    authority = folder / "authority.pem"
    authority.write_bytes(AUTHORITY.certificate)
    return tls(folder, client_ca=str(authority))


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
        with secured(target, GATEWAY) as check:
            assert told(check(forged(), timeout=HANG))["verdict"] == "allow"


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


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name is short enough for the path of a socket."""
    with TemporaryDirectory(prefix="gs-") as folder:
        yield Path(folder)


def unix(path: Path, **socket_settings: Any) -> dict[str, Any]:
    return {"default": {"address": f"unix:{path}", **({"socket": socket_settings} if socket_settings else {})}}


def test_a_unix_socket_is_made_with_its_folder_and_removed_in_the_end(short: Path) -> None:
    path = short / "run" / "guardsvc.sock"
    with serving(short, unix(path)) as running:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert running.grpc_address == f"unix:{path}"
        assert [found.name for found in path.parent.iterdir()] == [path.name]
        with gateway(running.grpc_address) as asking:
            answer = told(asking.check(forged(), timeout=HANG))
        assert (answer["verdict"], answer["tenant"]) == ("allow", "acme")
        assert running.end() == 0
    assert list(path.parent.iterdir()) == []


def test_modes_and_group_are_settings(short: Path) -> None:
    path = short / "run" / "guardsvc.sock"
    group = str(os.getgid())
    with serving(short, unix(path, mode="0600", directory_mode="0711", group=group)):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o711
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (path.stat().st_gid, path.parent.stat().st_gid) == (os.getgid(), os.getgid())


def test_the_address_of_a_flag_may_be_a_unix_socket(short: Path) -> None:
    path = short / "guardsvc.sock"
    with launched(short, "--grpc-address", f"unix:{path}", "--metrics-address", "127.0.0.1:0") as running:
        assert running.wait_for_log("ready")["grpc"] == f"unix:{path}"


def test_health_may_be_asked_through_a_unix_socket(short: Path) -> None:
    path = short / "guardsvc.sock"
    with serving(short, unix(path)):
        command = [*COMMAND, "healthcheck", "--address", f"unix:{path}"]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "serving\n"


def test_a_socket_that_answers_is_not_taken(short: Path) -> None:
    path = short / "guardsvc.sock"
    with serving(short, unix(path)) as first:
        second = short / "second"
        second.mkdir()
        with launched(second, "--config", str(short / "config.json")) as refused_one:
            assert refused_one.wait() == 4
        (line,) = refused_one.stderr.splitlines()
        assert line == f"guardsvc: listener default: {path} is taken; another process answers there"
        with gateway(first.grpc_address) as asking:
            assert told(asking.check(forged(), timeout=HANG))["verdict"] == "allow"


def test_a_socket_that_somebody_else_serves_without_answering_yet_is_not_taken(short: Path) -> None:
    path = short / "guardsvc.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(0)
        with launched(short, "--config", str(write(short, unix(path)))) as running:
            assert running.wait() == 4
        assert "is taken" in running.stderr


def test_a_socket_left_behind_is_replaced(short: Path) -> None:
    path = short / "guardsvc.sock"
    with serving(short, unix(path)) as running:
        running.process.kill()
        running.process.wait()
    left = path.stat().st_ino
    second = short / "second"
    second.mkdir()
    with launched(second, "--config", str(short / "config.json")) as running:
        running.wait_for_log("ready")
        assert path.stat().st_ino != left
        with gateway(running.grpc_address) as asking:
            assert told(asking.check(forged(), timeout=HANG))["verdict"] == "allow"


def test_a_process_that_ends_leaves_the_socket_of_its_successor(short: Path) -> None:
    install_handmade(short)
    gate = short / "gate"
    gate.mkdir()
    held = {"type": "gate", "timeout_ms": 60_000, "settings": {"folder": str(gate)}}
    path = short / "guardsvc.sock"
    second = short / "second"
    second.mkdir()
    with serving(short, unix(path), held, shutdown_grace_s=60) as first, gateway(f"unix:{path}") as asking:
        under_way = asking.check.future(check_request(call(number=1)), timeout=HANG)
        wait_until((gate / "came-1").exists, "the decision has begun")
        first.signal(signal.SIGTERM)
        wait_until(lambda: first.get("/readyz")[0] == 503, "the end has begun")
        config = write(second, unix(path))
        with launched(second, "--config", str(config)) as successor:
            successor.wait_for_log("ready")
            (gate / "open").touch()
            assert under_way.result().status.code == 0
            assert first.wait() == 0
            with gateway(f"unix:{path}") as anew:
                assert told(anew.check(forged(), timeout=HANG))["verdict"] == "allow"


def _file_at_the_path(path: Path) -> str:
    path.write_text("mine")
    return f"{path} is there and is not a socket"


def _link_at_the_path(path: Path) -> str:
    path.symlink_to("/dev/null")
    return f"{path} is there and is not a socket"


def _open_folder(path: Path) -> str:
    path.parent.chmod(0o777)
    return f"{path.parent} can be written by everyone"


def _sticky_folder(path: Path) -> str:
    path.parent.chmod(0o1777)
    return f"{path.parent} can be written by everyone"


def _no_parent(path: Path) -> str:
    path.parent.rmdir()
    path.parent.parent.rmdir()
    return f"{path.parent} cannot be created: No such file or directory"


def _file_as_folder(path: Path) -> str:
    path.parent.rmdir()
    path.parent.write_text("mine")
    return f"{path.parent} is not a folder"


@pytest.mark.parametrize(
    "spoil", [_file_at_the_path, _link_at_the_path, _open_folder, _sticky_folder, _no_parent, _file_as_folder]
)
def test_a_path_that_cannot_be_used_is_named(short: Path, spoil: Callable[[Path], str]) -> None:
    path = short / "a" / "b" / "guardsvc.sock"
    path.parent.mkdir(parents=True)
    config = write(short, unix(path))
    expected = spoil(path)
    with launched(short, "--config", str(config)) as running:
        assert running.wait() == 4
    (line,) = running.stderr.splitlines()
    assert line.startswith(f"guardsvc: listener default: {expected}")


def test_a_group_that_is_not_there_is_named(short: Path) -> None:
    path = short / "guardsvc.sock"
    with launched(short, "--config", str(write(short, unix(path, group="no-such-group")))) as running:
        assert running.wait() == 4
    assert f'{path}: there is no group "no-such-group" on this machine' in running.stderr
    assert not path.exists()
