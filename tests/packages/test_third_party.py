"""A guard of another package: built, installed and used as an operator would, without a change of ours."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import run_process
from tests.packages.installed import environment, install
from tests.server.process import call, gateway, launched, serving

EXAMPLE = Path(__file__).with_name("guardsvc-example-guard")

POLICY = """\
policy:
  guards:
    - type: access_list
      settings: {unknown_server: allow, default: allow}
    - type: argument_length
      id: lengths
      settings: {max_characters: 20, tools: {write: 40}}
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's wheel, installed in a folder of its own."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "source")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    offline = ("--no-index", "--no-deps")
    building = ("wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source"))
    subprocess.run([*pip, *building], check=True)
    (built,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", *offline, "--target", str(folder / "installed"), str(built)], check=True)
    (folder / "policy.yaml").write_text(POLICY)
    return folder


@pytest.fixture(scope="module")
def policy(target: Path) -> Path:
    return target / "policy.yaml"


@pytest.fixture(scope="module")
def env(target: Path) -> dict[str, str]:
    return environment(target / "installed")


def long_call(tool: str, length: int) -> bytes:
    message = json.loads(call(tool))
    message["params"]["arguments"] = {"lines": ["short", {"a/b": "x" * length}]}
    return json.dumps(message).encode()


@pytest.mark.parametrize(("tool", "length", "code"), [("echo", 20, 0), ("echo", 21, 1), ("write", 40, 0)])
def test_it_judges(policy: Path, env: dict[str, str], tool: str, length: int, code: int) -> None:
    assert run_process("check", "-c", policy, stdin=long_call(tool, length), env=env).code == code


def test_it_denies_with_its_own_code(policy: Path, env: dict[str, str]) -> None:
    answer = run_process("check", "-c", policy, "-o", "json", stdin=long_call("echo", 21), env=env)
    (decision,) = answer.object["decisions"]
    error = answer.object["client"]["body"]["error"]

    assert (answer.code, decision["guard"], decision["reason"]) == (1, "lengths", "argument_too_long")
    assert decision["guards"][-1]["findings"][0]["where"] == "/arguments/lines/1/a~1b"
    assert (error["code"], error["message"]) == (-32001, "An argument is too long.")
    assert (error["data"]["reason"], error["data"]["max_characters"]) == ("argument_too_long", 20)


def test_its_settings_are_part_of_the_schema(env: dict[str, str]) -> None:
    schema = json.loads(run_process("config", "schema", env=env).out)
    reference = run_process("config", "reference", env=env)
    own = schema["$defs"]["ArgumentLengthSettings"]

    assert own["properties"]["max_characters"]["maximum"] == 1_000_000
    assert own["additionalProperties"] is False
    assert "Denies tool calls with a text longer than allowed" in reference.out
    assert "ArgumentLengthSettings" not in run_process("config", "schema").out


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ("{max_characters: 0}", "policy.guards[1].settings.max_characters"),
        ("{max_charcters: 1}", "policy.guards[1].settings.max_charcters"),
        ("{tools: {write: 0}}", "policy.guards[1].settings.tools.write"),
        ("{tools: {write: 0, 'odd name': -1}}", "policy.guards[1].settings.tools.write"),
    ],
)
def test_its_settings_are_checked_like_ours(tmp_path: Path, env: dict[str, str], settings: str, path: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.replace("{max_characters: 20, tools: {write: 40}}", settings))
    answer = run_process("validate", file, "-o", "json", env=env)

    assert answer.code == 3
    assert [(each["path"], each["line"]) for each in answer.object["problems"]] == [(path, 7)]


def test_it_is_explained_where_it_runs(policy: Path, env: dict[str, str]) -> None:
    calls = run_process("explain", "-c", policy, "--tool", "echo", "-o", "json", env=env).object["guards"][1]
    lists = run_process("explain", "-c", policy, "--method", "tools/list", "-o", "json", env=env).object["guards"][1]

    assert (calls["guard"], calls["type"], calls["tier"]) == ("lengths", "argument_length", "native")
    assert calls["settings"] == {"max_characters": 20, "tools": {"write": 40}}
    assert (calls["runs"], lists["runs"]) == (True, False)


def test_the_service_runs_and_counts_it(tmp_path: Path, policy: Path, env: dict[str, str]) -> None:
    with serving(tmp_path, "-c", str(policy), env=env) as running, gateway(running.grpc_address) as asking:
        assert running.logs("ready")[0]["guards"] == ["access_list", "lengths"]
        assert asking.verdict(long_call("echo", 20)) == "allow"
        assert asking.verdict(long_call("echo", 21)) == "argument_too_long"

        for outcome in ("allow", "deny"):
            series = f'guardsvc_guard_evaluations_total{{guard="lengths",outcome="{outcome}",tier="native"}}'
            assert running.metric(series) == 1
        assert running.metric('guardsvc_guard_duration_seconds_count{guard="lengths"}') == 2
        assert running.metric('guardsvc_denials_total{reason="_other"}') == 1
        (refused,) = running.logs("decision")
        assert (refused["guard"], refused["reason"]) == ("lengths", "argument_too_long")
        running.signal(signal.SIGHUP)
        running.wait_for_metric('guardsvc_policy_reloads_total{result="unchanged"}', 1)
        assert running.end() == 0


def test_without_the_package_the_policy_is_refused_with_the_legal_types(policy: Path) -> None:
    answer = run_process("validate", policy)

    assert answer.code == 3
    assert f'{policy}:5: policy.guards[1].type: "argument_length" is not one of access_list, ' in answer.err


GOOD = """
from guardsvc.model import ALLOW, GuardType, Settings
class Guard:
    def __init__(self, settings, context): pass
    def evaluate(self, operation, facts): return ALLOW
"""
BROKEN: dict[str, tuple[str, str, str]] = {
    "raises": ("raise RuntimeError('no licence')", "GUARD", "does not load: RuntimeError: no licence"),
    "exits": ("raise SystemExit(0)", "GUARD", "does not load: SystemExit: 0"),
    "no such name": (GOOD, "GUARD", "does not load: AttributeError"),
    "no such module": ("import a_module_that_is_not_there", "GUARD", "does not load: ModuleNotFoundError"),
    "no guard type": (f"{GOOD}\nGUARD = Guard", "GUARD", "is a type, not a guardsvc.model.GuardType"),
    "the name of ours": (
        f"{GOOD}\nGUARD = GuardType(name='access_list', settings=Settings, build=Guard)",
        "GUARD",
        "takes the name 'access_list'",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_package_is_named(tmp_path: Path, kind: str) -> None:
    source, target, words = BROKEN[kind]
    install(tmp_path, "acme_guards", source, {"acme": target})
    answer = run_process("check", stdin=b'{"jsonrpc":"2.0","id":1,"method":"ping"}', env=environment(tmp_path))

    assert (answer.code, answer.out) == (3, "")
    (line,) = answer.err.splitlines()
    assert line.startswith("guardsvc: entry point 'acme' of package 'acme_guards' ")
    assert words in line


@pytest.mark.parametrize("command", ["serve", "validate", "explain", "schema", "reference"])
def test_no_command_runs_with_a_broken_package(tmp_path: Path, command: str) -> None:
    install(tmp_path, "acme_guards", "raise RuntimeError('no licence')", {"acme": "GUARD"})
    file = tmp_path / "policy.yaml"
    file.write_text("policy: {}\n")
    env = environment(tmp_path)
    if command == "serve":
        with launched(tmp_path, env=env) as running:
            assert running.wait() == 3
        assert "acme_guards" in running.stderr
        return
    args: dict[str, tuple[Any, ...]] = {
        "validate": ("validate", file),
        "explain": ("explain",),
        "schema": ("config", "schema"),
        "reference": ("config", "reference"),
    }
    answer = run_process(*args[command], env=env)

    assert (answer.code, answer.out) == (3, "")
    assert "acme_guards" in answer.err
