"""Several workers as an operator sees them: one policy, one page of metrics, and nothing lost when one is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from guardsvc.observe.tally import POUR_WITHIN
from tests.packages.installed import environment, install, install_handmade
from tests.server.policies import allowing
from tests.server.process import (
    ANYWHERE,
    HANG,
    Running,
    call,
    check_request,
    gateway,
    launched,
    serving,
    wait_until,
)
from tests.server.test_shutdown import write_gated_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED = (
    'guardsvc_decisions_total{method="tools/call",mode="enforce",phase="tool_invoke",'
    'protocol="ext_authz",verdict="allow"}'
)
RELOADS = 'guardsvc_policy_reloads_total{{result="{}"}}'
BAD = "policy: {guards: [{type: access_lost}]}\n"

MOODY = """
import os
from pathlib import Path

from guardsvc.model import ALLOW, GuardType, Settings, SettingsError


class MoodySettings(Settings):
    folder: str
    mood: str


class Moody:
    def __init__(self, settings, context):
        supervised = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        if supervised and settings.mood == "one fails":
            try:
                os.close(os.open(Path(settings.folder) / "failed", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            raise SettingsError(("mood",), "not in this mood")
        if supervised and settings.mood == "all die":
            os._exit(9)

    def evaluate(self, operation, facts):
        return ALLOW


MOODY = GuardType(name="moody", settings=MoodySettings, build=Moody)
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers that nobody disturbs."""
    with serving(tmp_path_factory.mktemp("pair"), "--workers", "2") as running:
        yield running


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="g") as folder:
        yield Path(folder)


def addresses(running: Running) -> list[str]:
    found: list[str] = running.logs("ready")[0]["grpc"]
    return found


def pids(running: Running) -> dict[int, int]:
    """The newest process of each worker."""
    return {log["worker"]: log["pid"] for log in running.logs("worker_serving")}


def verdicts(running: Running, tool: str) -> list[str]:
    """What each worker decides of a tool."""
    found = []
    for address in addresses(running):
        with gateway(address) as asking:
            found.append(asking.verdict(call(tool)))
    return found


def in_force(running: Running, tool: str) -> bool:
    """Whether every worker allows the tool, and what is in force is the newest."""
    return verdicts(running, tool) == ["allow", "allow"] and running.metric("guardsvc_policy_stale") == 0


def ready(running: Running) -> bool:
    return running.get("/readyz")[0] == 200


def is_there(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def moody(folder: Path, mood: str) -> str:
    settings = {"folder": str(folder), "mood": mood}
    return json.dumps({"policy": {"name": mood, "guards": [{"type": "moody", "settings": settings}]}})


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


def test_a_killed_worker_is_replaced_and_counted_while_the_other_answers(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as running:
        first, second = addresses(running)
        assert verdicts(running, "any") == ["allow", "allow"]
        with gateway(second) as asking:
            os.kill(pids(running)[0], signal.SIGKILL)
            wait_until(lambda: not ready(running), "not ready")
            while not ready(running):
                assert asking.verdict(call()) == "allow"
        assert running.logs("worker_ended")[0]["cause"] == "SIGKILL"
        assert running.metric('guardsvc_worker_restarts_total{reason="ended",worker="0"}') == 1
        assert running.metric('guardsvc_worker_restarts_total{reason="ended",worker="1"}') == 0
        assert running.metric('guardsvc_workers{state="serving"}') == 2

        assert addresses(running) == [first, second]
        time.sleep(2 * POUR_WITHIN)
        before = running.metric(ALLOWED)
        assert before >= 3
        assert verdicts(running, "any") == ["allow", "allow"]
        running.wait_for_metric(ALLOWED, before + 2)
        assert running.end() == 0


def test_a_worker_that_is_killed_with_a_decision_under_way_leaves_none_in_flight(tmp_path: Path) -> None:
    install_handmade(tmp_path)
    config, gate = write_gated_policy(tmp_path)
    with serving(tmp_path, "--workers", "2", "--config", str(config), env=environment(tmp_path)) as running:
        with gateway(addresses(running)[1]) as asking:
            under_way = asking.check.future(check_request(call()), timeout=HANG)
            wait_until((gate / "came-1").exists, "the decision has begun")
            running.wait_for_metric("guardsvc_inflight", 1)
            os.kill(pids(running)[1], signal.SIGKILL)
            assert under_way.exception() is not None
        wait_until(lambda: ready(running), "ready again")
        running.wait_for_metric("guardsvc_inflight", 0)
        assert running.end() == 0


def test_a_worker_that_keeps_ending_is_replaced_more_and_more_slowly(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as running:
        for count in range(1, 4):
            os.kill(pids(running)[0], signal.SIGTERM if count == 2 else signal.SIGKILL)
            running.wait_for_log("worker_serving", 2 + count)
        causes = [log["cause"] for log in running.logs("worker_ended")]
        assert causes == ["SIGKILL", "exit code 0", "SIGKILL"]
        assert running.metric('guardsvc_worker_restarts_total{reason="ended",worker="0"}') == 3
        assert running.end() == 0


def test_a_reload_reaches_all_or_none(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--workers", "2", "--config", str(config)) as running:
        assert verdicts(running, "old") == ["allow", "allow"]
        for count, tool in enumerate(("new", "newer", "newest"), start=1):
            config.write_text(BAD)
            running.wait_for_log("reload_failed", count)
            assert running.metric("guardsvc_policy_stale") == 1
            assert ready(running)
            config.write_text(allowing(tool))
            log = running.wait_for_log("policy_loaded", count)
            assert verdicts(running, tool) == ["allow", "allow"]
            assert verdicts(running, "old") == ["access_denied", "access_denied"]
            assert json.loads(running.get("/readyz")[1])["policy"] == log["policy"]
            assert running.metric("guardsvc_policy_stale") == 0

        assert running.metric(RELOADS.format("failed")) == 3
        assert running.metric(RELOADS.format("loaded")) == 3
        running.signal(signal.SIGHUP)
        running.wait_for_metric(RELOADS.format("unchanged"), 1)
        assert running.end() == 0
    assert {log.get("worker") for log in running.logs("policy_loaded")} == {None}


def test_no_decision_is_wrong_during_rapid_reloads(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("both", "old"))
    with serving(tmp_path, "--workers", "2", "--quiet", "--config", str(config)) as running:
        with gateway(addresses(running)[0]) as one, gateway(addresses(running)[1]) as other:
            for number in range(30):
                draft = tmp_path / "draft"
                draft.write_text(BAD if number % 3 == 0 else allowing("both", "new" if number % 2 else "old"))
                draft.rename(config)
                running.signal(signal.SIGHUP)
                for asking in (one, other):
                    assert asking.verdict(call("both")) == "allow"
                    assert asking.verdict(call("neither")) == "access_denied"
        running.wait_for_log("policy_loaded")
        wait_until(lambda: in_force(running, "new"), "the last one in force")
        assert running.end() == 0


def test_a_replaced_worker_takes_the_last_good_policy(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--workers", "2", "--config", str(config)) as running:
        config.write_text(allowing("new"))
        running.wait_for_log("policy_loaded")
        config.write_text(BAD)
        running.wait_for_log("reload_failed")
        os.kill(pids(running)[0], signal.SIGKILL)
        running.wait_for_log("worker_serving", 3)

        assert verdicts(running, "new") == ["allow", "allow"]
        assert verdicts(running, "old") == ["access_denied", "access_denied"]
        assert ready(running)
        assert running.end() == 0


@pytest.mark.parametrize(("mood", "told"), [("one fails", "not in this mood"), ("all die", "ended")])
def test_what_a_worker_cannot_load_comes_into_force_nowhere(tmp_path: Path, mood: str, told: str) -> None:
    install(tmp_path, "moods", MOODY, {"moody": "MOODY"})
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--workers", "2", "--config", str(config), env=environment(tmp_path)) as running:
        before = running.get("/version")[1]
        config.write_text(moody(tmp_path, mood))
        failed = running.wait_for_log("reload_failed")

        assert told in failed["problems"][0]
        assert failed["problems"][0].startswith("worker ")
        assert running.metric("guardsvc_policy_stale") == 1
        wait_until(lambda: ready(running), "ready")
        assert running.get("/version")[1] == before
        assert verdicts(running, "old") == ["allow", "allow"]
        assert verdicts(running, "new") == ["access_denied", "access_denied"]

        config.write_text(allowing("new"))
        running.wait_for_log("policy_loaded")
        assert verdicts(running, "new") == ["allow", "allow"]
        assert running.end() == 0


@pytest.mark.parametrize(("mood", "code", "told"), [("one fails", 3, "not in this mood"), ("all die", 5, "worker ")])
def test_a_worker_that_cannot_start_ends_the_service(tmp_path: Path, mood: str, code: int, told: str) -> None:
    install(tmp_path, "moods", MOODY, {"moody": "MOODY"})
    config = tmp_path / "config.yaml"
    config.write_text(moody(tmp_path, mood))
    args = (*ANYWHERE, "--workers", "2", "--config", str(config))
    with launched(tmp_path, *args, env=environment(tmp_path)) as running:
        assert running.wait() == code

    assert told in running.stderr
    assert running.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path, "--workers", "3") as running:
        running.signal(number)
        assert running.wait() == 0

        assert [log.get("worker") for log in running.logs("stopped")][-1] is None
        assert {log.get("worker") for log in running.logs("stopped")} == {0, 1, 2, None}
        assert running.logs("worker_ended") == []
        assert not any(is_there(pid) for pid in pids(running).values())


def test_a_signal_to_the_whole_group_ends_all(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as running:
        for pid in (*pids(running).values(), running.process.pid):
            os.kill(pid, signal.SIGINT)
        assert running.wait() == 0
        assert running.logs("worker_ended") == []


def test_a_signal_during_the_start_ends_all(tmp_path: Path) -> None:
    with launched(tmp_path, *ANYWHERE, "--workers", "2") as running:
        wait_until(lambda: children(running.process.pid), "a worker begins")
        begun = children(running.process.pid)
        running.signal(signal.SIGTERM)
        assert running.wait() in (0, -signal.SIGTERM)
        wait_until(lambda: not any(map(is_there, begun)), "none is left")


def test_decisions_under_way_finish_in_all_workers(tmp_path: Path) -> None:
    install_handmade(tmp_path)
    config, gate = write_gated_policy(tmp_path)
    with serving(tmp_path, "--workers", "2", "--config", str(config), env=environment(tmp_path)) as running:
        first, second = addresses(running)
        with gateway(first) as one, gateway(second) as other:
            under_way = [
                asking.check.future(check_request(call(number=number)), timeout=HANG)
                for number, asking in enumerate((one, other), start=1)
            ]
            wait_until((gate / "came-1").exists, "the first has begun")
            wait_until((gate / "came-2").exists, "the second has begun")
            running.signal(signal.SIGTERM)
            wait_until(lambda: not ready(running), "not ready")
            (gate / "open").touch()
            assert [each.result().status.code for each in under_way] == [0, 0]
        assert running.wait() == 0


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    variables = environment(TMPDIR=str(tmp_path))
    with serving(tmp_path, "--workers", "2", env=variables) as running:
        assert len(list(tmp_path.glob("guardsvc-metrics-*"))) == 1
        running.signal(signal.SIGKILL)
        running.wait()
        wait_until(lambda: not any(map(is_there, pids(running).values())), "the workers have ended")

    assert {log["worker"] for log in running.logs("supervisor_gone")} == {0, 1}
    assert list(tmp_path.glob("guardsvc-metrics-*")) == []


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", env=environment(TMPDIR=str(tmp_path))) as running:
        (folder,) = tmp_path.glob("guardsvc-metrics-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert running.end() == 0
        assert not folder.exists()


def test_the_log_says_which_worker(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--workers", "2", "--config", str(config)) as running:
        verdicts(running, "new")
        running.wait_for_log("decision", 2)
        assert [log["worker"] for log in running.logs("decision")] == [0, 1]
        assert running.end() == 0


def test_the_log_level_is_that_of_all(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--workers", "2", "--config", str(config)) as running:
        config.write_text(allowing("newer", log={"level": "error"}))
        wait_until(lambda: running.metric(RELOADS.format("loaded")) == 1, "reload")
        verdicts(running, "old")
        running.signal(signal.SIGUSR1)
        running.wait_for_log("log_level")
        os.kill(pids(running)[0], signal.SIGKILL)
        running.wait_for_log("worker_serving", 3)
        verdicts(running, "new")
        running.wait_for_log("decision", 2)
        running.signal(signal.SIGUSR1)
        config.write_text(allowing("newest", log={"level": "info"}))
        wait_until(lambda: running.metric(RELOADS.format("loaded")) == 2, "reload")
        verdicts(running, "old")
        running.wait_for_log("decision", 4)
        assert running.end() == 0
    assert [(log["worker"], log["subject"]) for log in running.logs("decision")] == [
        (0, "new"),
        (1, "new"),
        (0, "old"),
        (1, "old"),
    ]


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
        args = ("--grpc-address", f"127.0.0.1:{port - 1}", "--metrics-address", "127.0.0.1:0", "--workers", "2")
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
        args = ("--grpc-address", "127.0.0.1:0", "--metrics-address", address, "--workers", "2")
        with launched(tmp_path, *args) as running:
            assert running.wait() == 4

    assert running.stderr.startswith(f"guardsvc: metrics cannot listen on {address}: ")


def test_workers_on_sockets(tmp_path: Path, short: Path) -> None:
    sockets = short / "run"
    args = ("--grpc-address", f"unix:{sockets}/guardsvc-{{worker}}.sock", "--workers", "2")
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
    command = [sys.executable, "-P", "-m", "guardsvc", "serve", *ANYWHERE, "--workers", "2"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stderr=log, stdout=log, env=environment())
    try:
        wait_until(lambda: b'"ready"' in (tmp_path / "log").read_bytes() or process.poll() is not None, "ready")
        process.terminate()
        assert process.wait(HANG) == 0
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found
