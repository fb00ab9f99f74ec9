"""Several workers as an operator sees them: one policy, one page of metrics, addresses and logs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.packages.installed import environment
from tests.server.policies import allowing, small
from tests.server.process import (
    ANYWHERE,
    HANG,
    Running,
    call,
    gateway,
    launched,
    serving,
    wait_until,
)
from tests.server.workers.asked import (
    ALLOWED,
    addresses,
    pids,
    verdicts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers that nobody disturbs."""
    folder = tmp_path_factory.mktemp("pair")
    with serving(folder, "--workers", "2", *small(folder)) as running:
        yield running


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="g") as folder:
        yield Path(folder)


def test_each_worker_has_an_address_and_answers(pair: Running) -> None:
    assert len(set(addresses(pair))) == 2
    assert verdicts(pair, "any") == ["allow", "allow"]
    for number, address in enumerate(addresses(pair)):
        assert f"{address} (gRPC, worker {number})" in pair.stdout


def test_only_the_workers_have_grpc(pair: Running) -> None:
    def libraries(pid: int) -> str:
        return (Path("/proc") / str(pid) / "maps").read_text()

    assert "cygrpc" not in libraries(pair.process.pid)
    for pid in pids(pair).values():
        assert "cygrpc" in libraries(pid)


def test_the_supervisor_imports_no_grpc() -> None:
    source = (
        "import sys\n"
        "import guardsvc.cli.serve, guardsvc.server.workers.supervisor\n"
        "from guardsvc.server.configuration import load_configuration\n"
        "load_configuration(None)\n"
        "sys.exit(', '.join(name for name in sys.modules if name.partition('.')[0] in ('grpc', 'google')))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)

    assert done.stderr.strip() == ""


def test_one_page_shows_both(pair: Running) -> None:
    before = pair.metric(ALLOWED)
    shares = [pair.metric(f'guardsvc_worker_decisions_total{{worker="{number}"}}') for number in range(2)]
    for number, address in enumerate(addresses(pair)):
        with gateway(address) as asking:
            for _ in range(number + 1):
                assert asking.verdict(call()) == "allow"

    pair.wait_for_metric(ALLOWED, before + 3)
    assert [
        pair.metric(f'guardsvc_worker_decisions_total{{worker="{number}"}}') - share
        for number, share in enumerate(shares)
    ] == [1, 2]
    assert pair.metric('guardsvc_workers{state="serving"}') == 2
    assert pair.metric("guardsvc_inflight") == 0
    assert pair.metric("guardsvc_policy_stale") == 0
    for process in ("supervisor", "worker-0", "worker-1"):
        assert pair.metric(f'process_resident_memory_bytes{{process="{process}"}}') > 1e7


def test_no_series_stands_twice_on_the_page(pair: Running) -> None:
    families = list(text_string_to_metric_families(pair.get("/metrics")[1]))
    series = Counter((sample.name, tuple(sample.labels.items())) for family in families for sample in family.samples)

    assert {name: count for name, count in series.items() if count > 1} == {}
    assert [
        sample.value for family in families if family.name == "guardsvc_build_info" for sample in family.samples
    ] == [1]
    assert not any("pid" in dict(labels) for _, labels in series)


def test_ready_says_how_many(pair: Running) -> None:
    status, body = pair.get("/readyz")

    assert status == 200
    assert json.loads(body)["workers"] == {"serving": 2, "of": 2}
    assert json.loads(body)["policy"] in pair.get("/version")[1]


def test_the_log_says_which_worker(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--workers", "2", "--config", str(config)) as running:
        verdicts(running, "new")
        running.wait_for_log("decision", 2)
        assert [log["worker"] for log in running.logs("decision")] == [0, 1]
        assert running.end() == 0


def test_keys_of_the_seal_stand_where_nobody_else_can_read(tmp_path: Path) -> None:
    key = "correct horse battery staple"
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old", seal={"keys": [key]}))
    with serving(tmp_path, "--workers", "2", "--config", str(config)) as running:
        for pid in (*pids(running).values(), running.process.pid):
            for name in ("cmdline", "environ"):
                assert key.encode() not in (Path("/proc") / str(pid) / name).read_bytes()
        assert running.end() == 0
    assert key not in running.stderr


def test_a_port_that_is_taken_ends_with_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        args = (
            "--grpc-address",
            f"127.0.0.1:{port - 1}",
            "--metrics-address",
            "127.0.0.1:0",
            "--workers",
            "2",
            *small(tmp_path),
        )
        with launched(tmp_path, *args) as running:
            assert running.wait() == 4

    assert f"127.0.0.1:{port}" in running.stderr.splitlines()[-1]
    assert running.stderr.splitlines()[-1].startswith("guardsvc: ")
    assert running.stdout == ""


def test_the_metrics_port_that_is_taken_ends_with_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        args = ("--grpc-address", "127.0.0.1:0", "--metrics-address", address, "--workers", "2", *small(tmp_path))
        with launched(tmp_path, *args) as running:
            assert running.wait() == 4

    assert running.stderr.startswith(f"guardsvc: metrics cannot listen on {address}: ")


def test_workers_on_sockets(tmp_path: Path, short: Path) -> None:
    sockets = short / "run"
    args = ("--grpc-address", f"unix:{sockets}/guardsvc-{{worker}}.sock", "--workers", "2", *small(tmp_path))
    with launched(tmp_path, *args, "--metrics-address", "127.0.0.1:0") as running:
        running.wait_for_log("ready")
        assert addresses(running) == [f"unix:{sockets}/guardsvc-{number}.sock" for number in range(2)]
        os.kill(pids(running)[1], signal.SIGKILL)
        running.wait_for_log("worker_serving", 3)
        assert verdicts(running, "any") == ["allow", "allow"]
        assert running.end() == 0
    assert list(sockets.iterdir()) == []


def test_workers_do_not_import_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "structlog.py").write_text("raise SystemExit('from the current folder')")
    command = [sys.executable, "-P", "-m", "guardsvc", "serve", *ANYWHERE, "--workers", "2", *small(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stderr=log, stdout=log, env=environment())
    try:
        wait_until(lambda: b'"ready"' in (tmp_path / "log").read_bytes() or process.poll() is not None, "ready")
        process.terminate()
        assert process.wait(HANG) == 0
    finally:
        process.kill()
        process.wait()
