"""What a configuration amounts to: whose setting counts, what is checked across sections, what is never shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.cli import app, serve
from guardsvc.config import MASK, ConfigError
from guardsvc.server.address import host_and_port
from guardsvc.server.configuration import load_configuration
from tests.packages.installed import environment
from tests.server.policies import allowing
from tests.server.process import launched

if TYPE_CHECKING:
    from pathlib import Path

KEY = "correct horse battery staple"


def problems(path: Path, **overrides: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    with pytest.raises(ConfigError) as caught:
        load_configuration(path, overrides)
    return [(problem.path, problem.message, problem.line) for problem in caught.value.problems]


def test_defaults_listen_on_loopback_only() -> None:
    service = load_configuration(None).service

    assert (service.listeners["default"].address, service.metrics.address) == ("127.0.0.1:9191", "127.0.0.1:9192")
    assert (service.log.level, service.log.format) == ("info", "json")


def test_overrides_come_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    listeners = {"default": {"address": "127.0.0.1:1", "trust": {"peers": "none"}}, "other": {"address": "[::1]:3"}}
    file.write_text(allowing(listeners=listeners, grpc={"max_message_bytes": 4_194_304}, log={"level": "error"}))
    overrides = {"listeners": {"default": {"address": "127.0.0.1:2"}}, "log": {"format": "console"}}
    service = load_configuration(file, overrides).service

    assert {name: listener.address for name, listener in service.listeners.items()} == {
        "default": "127.0.0.1:2",
        "other": "[::1]:3",
    }
    assert service.listeners["default"].believed == "none"
    assert service.grpc.max_message_bytes == 4_194_304
    assert (service.log.level, service.log.format) == ("error", "console")


@pytest.mark.parametrize(
    ("args", "variable", "in_file", "expected"),
    [
        ((), None, None, "info"),
        ((), None, "warning", "warning"),
        ((), "error", "warning", "error"),
        (("--log-level", "debug"), "error", "warning", "debug"),
        ((), "", "warning", "warning"),
    ],
)
def test_precedence_of_the_log_level(
    tmp_path: Path, args: tuple[str, ...], variable: str | None, in_file: str | None, expected: str
) -> None:
    level = {"level": in_file} if in_file else {}
    answer = settled(tmp_path, *args, variables={"GUARDSVC_LOG_LEVEL": variable}, log=level)

    assert answer.log.level == expected


@pytest.mark.parametrize(
    ("args", "variable", "in_file", "expected"),
    [
        ((), None, None, "127.0.0.1:9191"),
        ((), None, "127.0.0.1:1", "127.0.0.1:1"),
        ((), "127.0.0.1:2", "127.0.0.1:1", "127.0.0.1:2"),
        (("--grpc-address", "127.0.0.1:3"), "127.0.0.1:2", "127.0.0.1:1", "127.0.0.1:3"),
    ],
)
def test_precedence_of_the_grpc_address(
    tmp_path: Path, args: tuple[str, ...], variable: str | None, in_file: str | None, expected: str
) -> None:
    address = {"address": in_file} if in_file else {}
    answer = settled(tmp_path, *args, variables={"GUARDSVC_GRPC_ADDRESS": variable}, listeners={"default": address})

    assert answer.listeners["default"].address == expected


@pytest.mark.parametrize(
    ("args", "variable", "in_file", "expected"),
    [
        ((), "[::1]:2", "127.0.0.1:1", "[::1]:2"),
        (("--metrics-address", "127.0.0.1:3"), "[::1]:2", "127.0.0.1:1", "127.0.0.1:3"),
    ],
)
def test_precedence_of_the_metrics_address(
    tmp_path: Path, args: tuple[str, ...], variable: str, in_file: str, expected: str
) -> None:
    variables: dict[str, str | None] = {"GUARDSVC_METRICS_ADDRESS": variable}
    answer = settled(tmp_path, *args, variables=variables, metrics={"address": in_file})

    assert answer.metrics.address == expected


@pytest.mark.parametrize(
    ("args", "variable", "in_file", "expected"),
    [
        ((), None, None, 1),
        ((), None, 2, 2),
        ((), "3", 2, 3),
        (("--workers", "4"), "3", 2, 4),
        (("--workers", "1"), None, 2, 1),
    ],
)
def test_precedence_of_the_number_of_workers(
    tmp_path: Path, args: tuple[str, ...], variable: str | None, in_file: int | None, expected: int
) -> None:
    service: Any = {"workers": in_file} if in_file else {}
    free = ("--grpc-address", "127.0.0.1:0")
    answer = settled(tmp_path, *free, *args, variables={"GUARDSVC_WORKERS": variable}, **service)

    assert answer.workers == expected


def settled(folder: Path, *args: str, variables: dict[str, str | None], **service: dict[str, Any]) -> Any:
    """The service settings that ``guardsvc serve`` would run with."""
    file = folder / "config.yaml"
    file.write_text(allowing(**service))
    seen: list[Any] = []

    def run_service(config: str, overrides: Any, *, quiet: bool) -> None:
        del config, quiet
        seen.append(load_configuration(file, overrides).service)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG", "GRPC_ADDRESS", "METRICS_ADDRESS", "WORKERS", "LOG_LEVEL", "LOG_FORMAT"):
            patch.delenv(f"GUARDSVC_{name}", raising=False)
        for name, value in variables.items():
            if value is not None:
                patch.setenv(name, value)
        patch.setattr(serve, "run_service", run_service)
        patch.setattr("sys.argv", ["guardsvc", "serve", "--config", str(file), *args])
        with pytest.raises(SystemExit) as ended:
            app.main()
    assert ended.value.code == 0
    return seen[0]


def test_the_file_of_the_environment_counts(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        allowing(
            "old",
            listeners={"default": {"address": "127.0.0.1:0"}},
            metrics={"address": "127.0.0.1:0"},
            log={"format": "console"},
        )
    )
    variables = {"GUARDSVC_CONFIG": str(file), "GUARDSVC_LOG_FORMAT": "json"}
    with launched(tmp_path, env=environment(**variables)) as running:
        assert running.wait_for_log("ready")["source"] == str(file)
        assert running.end() == 0


def test_problems_of_the_file_have_path_and_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "service:\n"
        "  listeners:\n"
        "    default: {address: here}\n"
        "  log: {level: loud}\n"
        "  seal:\n"
        "    keys: [short]\n"
        "policy:\n"
        "  integrity: {max_bytes: 1}\n"
    )

    found = problems(file)

    assert [(path, line) for path, _, line in found] == [
        ("service.listeners.default.address", 3),
        ("service.log.level", 4),
        ("policy.integrity.max_bytes", 8),
    ]
    assert found[1][1] == '"loud" is not one of debug, info, warning, error'


@pytest.mark.parametrize(
    "text",
    ["", "service: {}\n", "policy:\n", "policy: []\n", "service: 5\npolicy: {}\n", "service: null\npolicy: {}\n"],
)
def test_what_is_no_configuration_is_a_problem(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)

    assert problems(file)
    assert problems(file, listeners={"default": {"address": "127.0.0.1:0"}})


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml") == [("", "cannot be read: No such file or directory", None)]
    assert problems(tmp_path) == [("", "cannot be read: Is a directory", None)]


def test_bodies_must_fit_into_messages(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("service: {grpc: {max_message_bytes: 2097152}}\npolicy:\n  integrity:\n    max_bytes: 1048577\n")

    ((path, message, line),) = problems(file)

    assert (path, line) == ("policy.integrity.max_bytes", 4)
    assert "service.grpc.max_message_bytes 2097152" in message


def test_seal_keys_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(allowing(seal={"keys": ["${env:SEAL_NEW}", KEY[::-1]]}))
    monkeypatch.setenv("SEAL_NEW", KEY)

    service = load_configuration(file).service

    assert [key.reveal() for key in service.seal.keys] == [KEY, KEY[::-1]]
    assert KEY not in repr(service)
    assert KEY not in service.model_dump_json()
    assert MASK in service.model_dump_json()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("fifteen letters", "shorter than 16 characters"),
        ("", "the secret is empty"),
        ("${env:SEAL_NONE}", "the environment variable SEAL_NONE is not set"),
        ("${env:SEAL_SHORT}", "shorter than 16 characters"),
    ],
)
def test_bad_seal_keys_are_problems_that_do_not_show_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.setenv("SEAL_SHORT", "tiny secret")
    file = tmp_path / "config.yaml"
    file.write_text(allowing(seal={"keys": [KEY, value]}))

    ((path, found, line),) = problems(file)

    assert path == "service.seal.keys[1]"
    assert line == 1
    assert message in found
    assert KEY not in found
    assert "tiny secret" not in found
    assert "fifteen" not in found


def test_a_reference_outside_secrets_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADDRESS", "127.0.0.1:0")
    file = tmp_path / "config.yaml"
    file.write_text(allowing(listeners={"default": {"address": "${env:ADDRESS}"}}))

    assert [path for path, _, _ in problems(file)] == ["service.listeners.default.address"]


def test_secrets_are_in_no_log_of_a_running_service(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    service: dict[str, Any] = {"seal": {"keys": ["${env:SEAL_KEY}"]}, "log": {"level": "debug"}}
    file.write_text(allowing("old", **service))
    variables = {"GUARDSVC_GRPC_ADDRESS": "127.0.0.1:0", "GUARDSVC_METRICS_ADDRESS": "127.0.0.1:0", "SEAL_KEY": KEY}
    with launched(tmp_path, "--config", str(file), env=environment(**variables)) as running:
        running.wait_for_log("ready")
        file.write_text(allowing("old", seal={"keys": ["too short", KEY[::-1]]}))
        failed = running.wait_for_log("reload_failed")
        assert running.end() == 0

    assert "service.seal.keys[0]" in json.dumps(failed)
    for secret in (KEY, KEY[::-1], "too short"):
        assert secret not in running.stderr + running.stdout


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:65535", ("localhost", 65535)),
        ("[::1]:9191", ("::1", 9191)),
        ("guardsvc.mcp-system:1", ("guardsvc.mcp-system", 1)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert host_and_port(address) == expected


@pytest.mark.parametrize(
    "address",
    ["", ":9191", "9191", "localhost", "localhost:", "localhost:x", "localhost:65536", "::1:9191", "a b:1", "a:1\n"],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        host_and_port(address)
