"""What a new guard is built on, in every language but Rust: every answer it can give, and everything it is told.

The guards of ``wasm_templates/`` answer by the name of the tool. They are built in place of that of the template, where
the toolchain is there; those that build a library first, or are downloaded where they are not there, take their time.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.wasm import make
from guardsvc.guards.wasm.contract.interface import EVALUATIONS
from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.model import ALLOW, Allow, Caller, Deny, Modify, Operation, SettingsError
from tests.guards.wasm.components import CALL, ask, build, call_of
from tests.guards.wasm.conftest import GUARDS

if TYPE_CHECKING:
    from guardsvc.guards.wasm.guard import WasmGuard
    from guardsvc.model import Verdict
    from tests.cli.command import Command

TEMPLATES = Path(make.__file__).parent / "templates"
PROBES = Path(__file__).parent / "wasm_templates"
PROGRAMS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
CLANG = next((name for name in ("clang-19", "clang") if shutil.which(name)), "clang")
SYSROOT = " --sysroot=/usr" if Path("/usr/include/wasm32-wasi").is_dir() else ""
COMPILER = CLANG.replace("clang", "clang++")
NEEDS = {
    "assemblyscript": "npm",
    "c": CLANG,
    "cpp": COMPILER,
    "go": "go",
    "javascript": "npm",
    "python": "componentize-py",
}
ROOM = {"memory_mib": 64, "module_mib": 40}
SHARED = (
    "assemblyscript/names.mjs",
    "assemblyscript/security-guard.ts",
    "c/security_guard.h",
    "cpp/security_guard.hpp",
    "go/canonical_abi.go",
    "go/exports.go",
    "go/security_guard.go",
)
SLOW = ("assemblyscript", "go", "javascript", "python")
WHOLE = ("c", "cpp", pytest.param("go", marks=pytest.mark.long))
"""What has every interface of the contract."""
EXPORTS = "".join(f"    export mcp:security-guard/%{name}@1.0.0;\n" for name in (*EVALUATIONS, "settings"))
PAYLOAD = '{"tools":[{"name":"a","inputSchema":{"n":1}},{"name":"é"}]}'
MESSAGE = msgspec.structs.replace(CALL, payload=json.loads(PAYLOAD))
SHOWN = {
    "tools-list": ("é", '{"n":1}'),
    "input-request": ("none", PAYLOAD),
    "connection": ("none", PAYLOAD),
}
"""What a guard tells of ``MESSAGE`` beside interface, stage and server, where that is not its subject and payload."""


@pytest.fixture(params=["c", "cpp", *(pytest.param(language, marks=pytest.mark.long) for language in SLOW)])
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    language = str(request.param)
    for program in (NEEDS[language], "wasm-tools"):
        if shutil.which(program, path=PROGRAMS) is None:
            pytest.skip(f"there is no {program}")
    if language == "cpp" and not SYSROOT:
        pytest.skip("there is no libc++ for wasm32-wasi")
    monkeypatch.setenv("GOCACHE", os.environ.get("GOCACHE") or str(Path("~/.cache/go-build").expanduser()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in (("PATH", PROGRAMS), ("CLANG", CLANG), ("CXX", COMPILER + SYSROOT)):
        monkeypatch.setenv(name, value)
    folder = tmp_path / f"probe-{language}"
    make.run_new(language, str(folder))
    installed = GUARDS / language / "node_modules"
    if installed.is_dir():
        (folder / "node_modules").symlink_to(installed.resolve())
    return folder


def call(name: str, caller: Caller | None = None) -> Operation:
    return msgspec.structs.replace(call_of(path="/etc/passwd"), subject=name, caller=caller or Caller())


def test_a_new_guard_passes_its_suite_and_gives_every_answer(made: Path, guardsvc: Command, tmp_path: Path) -> None:
    module = made / f"{made.name}.wasm"
    built = guardsvc("wasm", "build", made, "-o", "json")
    assert (built.code, built.object["judges"]) == (0, ["tool-invoke"]), built.err
    assert guardsvc("wasm", "test", made, made / "suites").code == 0

    (source,) = made.glob("guard.*")
    shutil.copy(PROBES / source.name, source)
    assert guardsvc("wasm", "build", made).code == 0
    guard = build(tmp_path, module.read_bytes(), timeout=20, limits=ROOM)
    source.write_text("broken")
    assert guardsvc("wasm", "build", made).code == ExitCode.FAILED

    assert ask(guard, call("else")) is ALLOW
    denied, modified = ask(guard, call("deny")), ask(guard, call("modify"))
    assert isinstance(denied, Deny)
    assert (denied.code, denied.message, denied.details) == ("probed", "No é.", {"why": "é"})
    assert isinstance(modified, Modify)
    assert modified.payload["arguments"] == {"path": "é"}
    with pytest.raises(WasmFailure, match="no é") as failed:
        ask(guard, call("fail"))
    assert failed.value.name == "guest_error"
    nobody = ("files", "none", "none", "not verified", "tools/call", "warn", "none", "after 2020")
    assert told(guard, None) == nobody
    somebody = Caller(tenant="acmé", principal="alice", verified=True)
    assert told(guard, somebody) == (*nobody[:1], "acmé", "alice", "verified", *nobody[4:])


@pytest.mark.parametrize("made", WHOLE, indirect=True)
def test_a_guard_of_every_interface_is_told_what_is_judged(made: Path, guardsvc: Command, tmp_path: Path) -> None:
    (source,) = made.glob("guard.*")
    shutil.copy(PROBES / source.name, source)
    world = made / "wit" / "world.wit"
    alone = "    export mcp:security-guard/tool-invoke@1.0.0;\n"
    assert alone in world.read_text()
    world.write_text(world.read_text().replace(alone, EXPORTS))
    built = guardsvc("wasm", "build", made, "-o", "json")
    assert (built.code, built.object["schema"]) == (0, {"required": ["word"]}), built.err
    content = (made / f"{made.name}.wasm").read_bytes()
    guard = build(tmp_path, content, config={"word": "x"}, timeout=20)

    assert guard.points == {point for evaluation in EVALUATIONS.values() for point in evaluation.points}
    for interface, evaluation in EVALUATIONS.items():
        for (direction, phase), stage in evaluation.points.items():
            if interface != "tool-invoke":
                verdict = ask(guard, msgspec.structs.replace(MESSAGE, direction=direction, phase=phase))
                assert findings(verdict) == (interface, stage, *SHOWN.get(interface, ("read", PAYLOAD)), "files")
    with pytest.raises(SettingsError, match=r'the component refuses it: \{"word": ?"else"\}'):
        build(tmp_path, content, config={"word": "else"})


def told(guard: WasmGuard, caller: Caller | None) -> tuple[str | None, ...]:
    return findings(ask(guard, call("warn", caller)))


def findings(verdict: Verdict) -> tuple[str | None, ...]:
    assert isinstance(verdict, Allow)
    return tuple(finding.excerpt for finding in verdict.findings)


@pytest.mark.parametrize("name", [*SHARED, "cpp/no-wasi.wat", "go/no-wasi.wat"])
def test_templates_are_built_on_what_the_examples_are(name: str) -> None:
    of_examples = GUARDS / (name if name in SHARED else "no-wasi.wat")
    assert (TEMPLATES / name).read_text() == of_examples.read_text()


@pytest.mark.parametrize("language", ["assemblyscript", "javascript"])
def test_what_npm_installs_is_the_same_for_both_and_from_no_mirror(language: str) -> None:
    locks = [
        json.loads((folder / language / "package-lock.json").read_text())["packages"] for folder in (TEMPLATES, GUARDS)
    ]

    made, kept = ({name: package for name, package in lock.items() if name} for lock in locks)
    assert made == kept
    assert all(package["integrity"].startswith("sha512-") for package in made.values())
    assert {package.get("resolved") for package in made.values()} == {None}
