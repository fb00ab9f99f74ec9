"""Listeners on Unix sockets: who makes, takes and removes the file, and what is said of a path that cannot be used."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from tests.packages.installed import install_handmade
from tests.server.listening import (
    forged,
    serving,
    told,
    write,
)
from tests.server.policies import small
from tests.server.process import COMMAND, HANG, call, check_request, gateway, launched, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
    with launched(
        short, "--grpc-address", f"unix:{path}", "--metrics-address", "127.0.0.1:0", *small(short)
    ) as running:
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
