"""``guardsvc wasm``: components made, looked at, verified, tried, shipped and rolled back."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.wasm import wasm_app
from guardsvc.cli.wasm.make import LANGUAGES
from guardsvc.guards.wasm import WasmOptions, configure
from guardsvc.guards.wasm.loading.sources import digest_of
from guardsvc.guards.wasm.runtime import runtime
from guardsvc.server.configuration import load_configuration
from tests.guards.wasm.components import answer_of, component
from tests.guards.wasm.registry_server import small_registry
from tests.guards.wasm.signing import ecdsa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.command import Command

ROOT = Path(__file__).parents[2]
GUARD = ROOT / "wasm-guards" / "rust" / "forbidden_text.wasm"
OTHER = ROOT / "wasm-guards" / "c" / "older" / "guard-0.1.0-six.wasm"
TEMPLATES = ROOT / "guardsvc" / "cli" / "wasm" / "templates"


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is kept is kept where the test is, and what the command settles ends with it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    configure(WasmOptions())


def test_the_page_tells_every_command_and_its_settings_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN", "token")
    page = (ROOT / "docs" / "wasm.md").read_text()
    commands = [
        command.name or command.callback.__name__ for command in wasm_app.registered_commands if command.callback
    ]
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)

    assert [name for name in commands if f"wasm {name}" not in page and f"`{name}`" not in page] == []
    assert len(blocks) == 2
    for block in blocks:
        WasmOptions.model_validate(yaml.safe_load(block)["service"]["wasm"])


def test_inspect(guardsvc: Command) -> None:
    shown = guardsvc("wasm", "inspect", GUARD, "-o", "json").object
    human = guardsvc("wasm", "inspect", GUARD).out

    assert shown["digest"] == digest_of(GUARD.read_bytes())
    assert (shown["interface"], shown["judges"]) == ("1.0.0", ["tool-invoke", "tools-list"])
    assert shown["phases"] == ["request tool_invoke", "response tools_list"]
    assert "mcp:security-guard/host@1.0.0 get-config" in shown["imports"]
    assert shown["memory_mib"] == 2
    assert set(shown["schema"]["properties"]) == {"in_arguments", "in_descriptions"}
    assert "memory_mib       2 at least" in human
    assert "no signature" in human


def test_limits_beyond_the_defaults_are_named_and_those_of_the_trial(tmp_path: Path, guardsvc: Command) -> None:
    memories = "(core module $room (memory 1)) " + "(core instance (instantiate $room)) " * 5
    refuses = answer_of("deny", "forbidden_text", "No.")
    content = component(f'{refuses} (func (export "evaluate") (param i32) (result i32) i32.const 1024)', more=memories)
    (tmp_path / "guard.wasm").write_bytes(content)
    (tmp_path / "calls.yaml").write_text(SUITE)

    assert guardsvc("wasm", "inspect", GUARD, "-o", "json").object["limits"] == {}
    assert guardsvc("wasm", "inspect", tmp_path, "-o", "json").object["limits"] == {"memories": 6}
    assert "limits it needs  memories: 6" in guardsvc("wasm", "inspect", tmp_path).out
    assert guardsvc("wasm", "test", tmp_path, tmp_path / "calls.yaml").code == 0


@pytest.mark.parametrize(
    ("content", "code", "why"),
    [
        (b"text", ExitCode.USAGE, "is no WebAssembly"),
        (b"\0asm\x0d\0\1\0", ExitCode.REFUSED, "exports nothing that judges"),
        (b"\0asm junk", ExitCode.REFUSED, "no component that can be used"),
    ],
)
def test_inspect_of_what_is_no_guard(
    content: bytes, code: ExitCode, why: str, tmp_path: Path, guardsvc: Command
) -> None:
    (tmp_path / "x.wasm").write_bytes(content)
    ended = guardsvc("wasm", "inspect", tmp_path / "x.wasm")

    assert (ended.code, ended.out) == (code, "")
    assert why in ended.err


def test_verify(tmp_path: Path, guardsvc: Command) -> None:
    signer, other = ecdsa(), ecdsa()
    for name, key in (("mine", signer), ("other", other)):
        (tmp_path / f"{name}.pub").write_text(key.public)
    module = tmp_path / "guard.wasm"
    shutil.copy(GUARD, module)
    digest = digest_of(GUARD.read_bytes())

    assert guardsvc("wasm", "verify", module).code == ExitCode.REFUSED
    assert guardsvc("wasm", "verify", module, "--digest", digest).out == f"{digest}: pinned by its digest\n"
    wrong = guardsvc("wasm", "verify", module, "--digest", "sha256:0", "-o", "json")
    assert (wrong.code, wrong.object["accepted"]) == (ExitCode.REFUSED, False)

    (tmp_path / "guard.wasm.sig").write_bytes(signer.sign_blob(module.read_bytes()))
    signed = guardsvc("wasm", "verify", module, "--key", tmp_path / "mine.pub", "-o", "json")
    assert (signed.code, signed.object["accepted"], signed.object["pinned"]) == (0, True, False)
    assert signed.object["signed_by"].startswith("sha256:")
    assert guardsvc("wasm", "verify", module, "--key", tmp_path / "other.pub").code == ExitCode.REFUSED
    assert "is no file" in guardsvc("wasm", "verify", module, "--key", tmp_path / "no.pub").err

    config = tmp_path / "guardsvc.yaml"
    trust = {"modules": [f"{tmp_path}/*"], "keys": [signer.public]}
    config.write_text(json.dumps({"service": {"wasm": {"trust": [trust]}}, "policy": {}}))
    assert "signed by sha256:" in guardsvc("wasm", "verify", module, "--config", config).out
    assert "by sha256:" in guardsvc("wasm", "inspect", module, "--config", config).out
    config.write_text("service: {wasm: {trust: [{keys: []}]}}")
    assert guardsvc("wasm", "verify", module, "--config", config).code == ExitCode.CONFIGURATION


def test_push_and_what_a_policy_writes_then(tmp_path: Path, guardsvc: Command) -> None:
    with small_registry() as registry:
        for place, more in ((f"oci-layout:{tmp_path}/l:v1", ()), (f"oci://{registry.host}/g/scan:v1", ("--insecure",))):
            pushed = guardsvc("wasm", "push", GUARD, place, "-a", "org.opencontainers.image.title=scan", *more)
            assert pushed.code == 0, pushed.err
            module, digest = (line.partition(": ")[2] for line in pushed.out.splitlines())
            assert digest == digest_of(GUARD.read_bytes())
            shown = guardsvc("wasm", "verify", module, "-o", "json", *more).object
            assert (shown["accepted"], shown["digest"]) == (True, digest)
        manifest = json.loads(registry.manifests["v1"])
        assert manifest["annotations"]["org.opencontainers.image.title"] == "scan"
        config = json.loads(registry.blobs[manifest["config"]["digest"]])
        assert "mcp:security-guard/tool-invoke@1.0.0" in config["component"]["exports"]

    gone = guardsvc("wasm", "push", GUARD, f"oci://{registry.host}/scan:v1", "--insecure")
    assert (gone.code, gone.err.count("cannot be reached")) == (ExitCode.UNAVAILABLE, 1)
    for place, why in ((str(tmp_path), "is no place to push to"), ("oci://UPPER", "is no oci://")):
        assert why in guardsvc("wasm", "push", GUARD, place).err
    assert guardsvc("wasm", "push", GUARD, f"oci-layout:{tmp_path}/l:v1", "-a", "x").code == ExitCode.USAGE


SUITE = """
cases:
  - description: a call
    message: {method: tools/call, params: {name: read, arguments: {path: /etc/passwd}}}
    expect: {verdict: deny, code: forbidden_text}
"""


def test_suites_against_one_component(tmp_path: Path, guardsvc: Command) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "calls.yaml").write_text(SUITE)
    command = ("wasm", "test", GUARD, tmp_path / "suites", "-o", "json")

    assert guardsvc(*command, "--settings", '{"in_arguments": "/etc/passwd"}').object["passed"] == 1
    assert guardsvc(*command, "--settings", '{"in_arguments": "else"}').code == ExitCode.FAILED
    assert guardsvc(*command).code == ExitCode.CONFIGURATION
    assert guardsvc(*command, "--settings", "[]").code == ExitCode.USAGE
    given = ("--settings", '{"in_arguments": "/etc/passwd"}')
    assert guardsvc(*command, *given, "--grants", '{"headers": ["x-team"]}').code == 0
    assert guardsvc(*command, *given, "--grants", '{"disk": true}').code == ExitCode.CONFIGURATION


def test_bench(guardsvc: Command) -> None:
    ended = guardsvc("wasm", "bench", GUARD, "-s", '{"in_arguments": "notes"}', "--rounds", 1, "-o", "json")

    assert (ended.code, ended.err) == (0, "")
    parts = {"instantiate", "lower", "call", "lift", "fresh_instance", "decision"}
    assert all(parts <= set(of) for of in ended.object["calls"].values())
    assert ended.object["module"] == str(GUARD)


def test_a_trial_pushes_out_nothing_that_a_service_goes_back_to(tmp_path: Path, guardsvc: Command) -> None:
    (tmp_path / "calls.yaml").write_text(SUITE)
    settings = ("--settings", '{"in_arguments": "/etc/passwd"}')
    runtime.cache_clear()
    try:
        assert guardsvc("wasm", "test", GUARD, tmp_path / "calls.yaml", *settings).code == 0
        assert guardsvc("bench", "--wasm", GUARD, "--wasm-config", settings[1], "--rounds", 1).code == 0
    finally:
        runtime.cache_clear()

    kept = {path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert kept == {".cwasm", ""}


def test_the_contract_in_the_templates_is_the_contract() -> None:
    kept = TEMPLATES / "shared" / "wit" / "deps" / "security-guard" / "guard.wit"
    assert kept.read_text() == (ROOT / "wasm-guards" / "wit" / "guard.wit").read_text()


@pytest.mark.parametrize("language", LANGUAGES)
def test_new_names_everything(language: str, tmp_path: Path, guardsvc: Command) -> None:
    made = tmp_path / "block_secrets"
    ended = guardsvc("wasm", "new", language, made)

    assert ended.code == 0, ended.err
    assert "block-secrets.wasm" in ended.out
    texts = "".join(path.read_text() for path in made.rglob("*") if path.is_file())
    assert "guard-name" not in texts
    assert "world block-secrets" in texts
    assert os.access(made / "build.sh", os.X_OK)
    assert guardsvc("wasm", "new", language, made).code == ExitCode.USAGE
    assert guardsvc("wasm", "new", "cobol", tmp_path / "a").code == ExitCode.USAGE
    assert guardsvc("wasm", "new", language, tmp_path / "1 x").code == ExitCode.USAGE


def test_what_a_script_builds_is_tried(tmp_path: Path, guardsvc: Command) -> None:
    made = tmp_path / "made"
    guardsvc("wasm", "new", "c", made)
    (made / "build.sh").write_text(f"#!/bin/sh\ncp '{GUARD}' made.wasm\n")
    built = guardsvc("wasm", "build", made)

    assert (built.code, built.out.splitlines()[0]) == (0, f"module           {made / 'made.wasm'}"), built.err
    command = ("wasm", "test", made, made / "suites")
    assert "2 passed, 0 failed" in guardsvc(*command, "--settings", '{"in_arguments": "/etc/passwd"}').out
    assert guardsvc(*command, "--settings", '{"in_arguments": "else"}').code == ExitCode.FAILED


def test_build_of_what_cannot_be_built(tmp_path: Path, guardsvc: Command) -> None:
    assert guardsvc("wasm", "build", tmp_path).code == ExitCode.USAGE
    script = tmp_path / "build.sh"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    ended = guardsvc("wasm", "build", tmp_path)
    assert (ended.code, "and wrote none" in ended.err) == (ExitCode.FAILED, True)
    script.write_text("not a program")
    assert guardsvc("wasm", "build", tmp_path).code == ExitCode.FAILED


def test_rollback(tmp_path: Path, guardsvc: Command) -> None:
    module, config = tmp_path / "guard.wasm", tmp_path / "guardsvc.yaml"
    guards = [
        {"type": "wasm", "id": "mine", "settings": {"module": str(module), "allow_unsigned": True}},
        {
            "type": "wasm",
            "id": "pinned",
            "settings": {"module": str(OTHER), "digest": digest_of(OTHER.read_bytes())},
        },
    ]
    config.write_text(
        json.dumps({"service": {"wasm": {"cache": str(tmp_path / "kept")}}, "policy": {"guards": guards}})
    )

    def runs(path: Path | None = None) -> str:
        if path is not None:
            shutil.copy(path, module)
        runtime.cache_clear()
        return load_configuration(config).policy.guards[0].guard.fingerprint  # type: ignore[attr-defined,no-any-return]  # as a loaded guard has it

    older = OTHER.with_name("guard-0.1.0-two.wasm")
    first, second = digest_of(OTHER.read_bytes()), digest_of(older.read_bytes())
    command = ("wasm", "rollback", "mine", "--config", config)
    try:
        assert runs(OTHER) == first
        assert guardsvc(*command).code == ExitCode.REFUSED
        assert runs(older) == second

        ended = guardsvc(*command)
        assert (ended.code, first in ended.out, second in ended.out) == (0, True, True)
        assert runs() == first
        assert guardsvc(*command, "--undo").code == 0
        assert guardsvc(*command, "--undo").code == ExitCode.REFUSED
        assert runs() == second
    finally:
        runtime.cache_clear()

    assert guardsvc("wasm", "rollback", "nobody", "--config", config).code == ExitCode.USAGE
    ended = guardsvc("wasm", "rollback", "pinned", "--config", config)
    assert (ended.code, "name one by its digest" in ended.err) == (ExitCode.USAGE, True)


def test_what_to_write_for_the_component_before_a_pinned_one(tmp_path: Path, guardsvc: Command) -> None:
    config = tmp_path / "guardsvc.yaml"
    older = OTHER.with_name("guard-0.1.0-two.wasm")
    first, second = digest_of(OTHER.read_bytes()), digest_of(older.read_bytes())

    def policy(module: object, digest: str | None = None) -> None:
        settings = {"module": str(module)} | ({} if digest is None else {"digest": digest})
        guards = [{"type": "wasm", "id": "mine", "settings": settings}]
        wasm = {"cache": str(tmp_path / "kept")}
        config.write_text(json.dumps({"service": {"wasm": wasm}, "policy": {"guards": guards}}))

    def told() -> list[str]:
        ended = guardsvc("wasm", "rollback", "mine", "--config", config)
        assert ended.code == ExitCode.USAGE
        return ended.err.splitlines()[1:]

    def loads() -> None:
        runtime.cache_clear()
        load_configuration(config)

    try:
        module = tmp_path / "guard.wasm"
        for content, digest in ((OTHER, first), (older, second)):
            shutil.copy(content, module)
            policy(module, digest)
            loads()
        kept = tmp_path / "kept" / f"{first.partition(':')[2]}.component"
        assert told() == [f"  digest: {first}", f"and put it back at {module}; it is kept as {kept}"]
        assert kept.read_bytes() == OTHER.read_bytes()

        policy(module, "sha256:" + "0" * 64)
        assert told()[0] == f"  digest: {second}"
        shutil.copy(kept, module)
        policy(module, first)
        loads()
        assert told()[0] == f"  digest: {second}"

        places = []
        for tag, content in (("v1", OTHER), ("v2", older)):
            pushed = guardsvc("wasm", "push", content, f"oci-layout:{tmp_path}/l:{tag}")
            places.append(pushed.out.splitlines()[0].partition(": ")[2])
            policy(places[-1])
            loads()
        assert told() == [f"  module: {places[0]}"]

        config = tmp_path / "other.yaml"
        policy(places[0])
        assert told() == []
        loads()
        assert told() == []
    finally:
        runtime.cache_clear()
