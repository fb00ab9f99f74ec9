"""The command line as a whole: exit codes by kind of failure, faults in words, quiet ends."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import guardsvc as package
from guardsvc.cli import app, options
from guardsvc.cli.exit_codes import ExitCode
from guardsvc.observe.logs import LEVELS
from guardsvc.server.settings import MAX_WORKERS
from tests.cli.command import Command, run_process
from tests.packages.installed import environment
from tests.server.process import COMMAND, HANG

if TYPE_CHECKING:
    from pathlib import Path

MANY = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n' * 3_000


def test_version(guardsvc: Command) -> None:
    assert guardsvc("version").out == f"guardsvc {package.__version__}\n"
    assert guardsvc("version", "-o", "json").object == {"version": package.__version__}


def test_python_dash_m_and_the_script_are_the_same() -> None:
    script = subprocess.run(
        [sys.executable, "-c", "import sys; from guardsvc.cli import main; sys.exit(main())", "version"],
        capture_output=True,
        check=True,
    )
    assert script.stdout.decode() == run_process("version").out


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("--nonsense",),
        ("serve", "--nonsense"),
        ("serve", "extra"),
        ("validate",),
        ("check", "a", "b"),
        ("check", "--output", "yaml"),
        ("check", "--har", "--one"),
        ("test",),
        ("test", "missing-folder", "-o", "xml"),
        ("evaluate",),
        ("policy", "suggest"),
        ("policy", "suggest", "f", "--headroom", "1"),
        ("validate", "f", "-o", ""),
        ("explain", "-o", "JSON"),
        ("version", "-o", "xml"),
        ("config", "nonsense"),
        ("healthcheck", "--timeout", "0"),
        ("healthcheck", "--timeout", "soon"),
        ("healthcheck", "--address", "nowhere"),
        ("serve", "--grpc-address", "9191"),
        ("serve", "--metrics-address", "localhost:http"),
        ("serve", "--log-level", "loud"),
        ("serve", "--log-format", "xml"),
        ("serve", "--workers", "0"),
        ("serve", "--workers", "65"),
        ("serve", "--workers", "all"),
    ],
)
def test_a_wrong_command_line(guardsvc: Command, args: tuple[str, ...]) -> None:
    answer = guardsvc(*args)

    assert (answer.code, answer.out) == (ExitCode.USAGE, "")
    assert answer.err.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize(
    ("option", "variable", "legal"),
    [
        ("--log-level", "GUARDSVC_LOG_LEVEL", "debug, info, warning, error"),
        ("--log-format", "GUARDSVC_LOG_FORMAT", "json, console"),
        ("--grpc-address", "GUARDSVC_GRPC_ADDRESS", "host:port"),
        ("--metrics-address", "GUARDSVC_METRICS_ADDRESS", "host:port"),
    ],
)
def test_a_bad_value_is_blamed_on_the_option_not_the_file(
    guardsvc: Command,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    variable: str,
    legal: str,
) -> None:
    by_option = guardsvc("serve", "-c", config, option, "wrong")
    monkeypatch.setenv(variable, "wrong")
    by_variable = guardsvc("serve", "-c", config)

    for answer in (by_option, by_variable):
        assert answer.code == ExitCode.USAGE
        for words in (option, variable, '"wrong"', legal):
            assert words in answer.err
        assert str(config) not in answer.err


def test_legal_log_levels_are_those_of_the_logs() -> None:
    assert app.LOG_LEVELS == LEVELS


def test_the_bound_of_workers_is_that_of_the_settings() -> None:
    assert options.MAX_WORKERS == MAX_WORKERS


def test_lists_of_commands_cut_nothing_off(guardsvc: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = guardsvc("--help").out.partition("Commands:\n")[2].splitlines()
    for command in [line.split()[0] for line in lines if line]:
        lines += guardsvc(command, "--help").out.partition("Commands:\n")[2].splitlines()

    assert len(lines) > 30
    assert [line for line in lines if line.endswith("...")] == []


def test_help_without_a_command(guardsvc: Command) -> None:
    assert "Commands:" in guardsvc("--help").out
    assert guardsvc("--help").code == ExitCode.OK
    assert guardsvc().code == ExitCode.USAGE


@pytest.mark.parametrize(
    "args", [("serve", "-c"), ("check", "-c"), ("explain", "-c"), ("validate",)], ids=lambda args: args[0]
)
@pytest.mark.parametrize("wrong", ["missing", "folder", "bad"])
def test_a_configuration_that_cannot_be_used(
    guardsvc: Command, tmp_path: Path, args: tuple[str, ...], wrong: str
) -> None:
    file = tmp_path / "config.yaml"
    if wrong == "folder":
        file.mkdir()
    elif wrong == "bad":
        file.write_text("policy: {}\nservice: {}\nnonsense: {}\n")
    answer = guardsvc(*args, file)

    assert (answer.code, answer.out) == (ExitCode.CONFIGURATION, "")
    assert str(file) in answer.err


def test_a_fault_of_ours_is_one_line(guardsvc: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("it broke")

    monkeypatch.setattr("guardsvc.cli.check.run.load_configuration", fail)
    answer = guardsvc("check")

    assert (answer.code, answer.out) == (ExitCode.INTERNAL, "")
    assert answer.err == "guardsvc: internal error: RuntimeError: it broke (GUARDSVC_TRACEBACK=1 shows where)\n"
    monkeypatch.setenv("GUARDSVC_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="it broke"):
        guardsvc("check")


@pytest.mark.parametrize("stdin", [MANY, MANY[:41]], ids=["much", "little"])
def test_a_reader_that_leaves_is_no_fault(stdin: bytes) -> None:
    with subprocess.Popen(
        [*COMMAND, "check", "--lines"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED=""),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(stdin)
        process.stdin.close()
        assert process.stderr.read() == b""
        code = process.wait(HANG)

    assert code == (ExitCode.CUT_SHORT if stdin == MANY else ExitCode.OK)


def test_a_reader_that_leaves_hides_no_refusal() -> None:
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; echo "{}" | "$@" | true', "-", *COMMAND, "check"],
        capture_output=True,
        env=environment(PYTHONUNBUFFERED=""),
        check=False,
    )

    assert (done.returncode, done.stderr) == (ExitCode.REFUSED, b"")


def test_json_is_one_object_per_line(guardsvc: Command, config: Path) -> None:
    for args in (("version",), ("validate", config), ("explain", "-c", config), ("check", "-c", config)):
        answer = guardsvc(*args, "-o", "json", stdin=b"{}")
        assert answer.out.count("\n") == 1
        assert json.loads(answer.out)
