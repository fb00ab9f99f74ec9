"""The tutorial: what can be run of it without a toolchain is run, over a component that is there."""

from __future__ import annotations

import base64
import json
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.guards.wasm import WasmOptions, configure
from guardsvc.guards.wasm.loading.sources import digest_of
from guardsvc.guards.wasm.runtime import runtime
from guardsvc.server.configuration import load_configuration
from tests.cli.command import run_here
from tests.guards.wasm.signing import Signer, ecdsa

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "wasm-tutorial.md").read_text()
GUARD = ROOT / "wasm-guards" / "rust" / "forbidden_text.wasm"
OTHER = ROOT / "wasm-guards" / "examples" / "custom_patterns.wasm"
SETTINGS = {"in_arguments": "/etc/passwd"}
"""With them the component does what the guard of the page does."""
WRITTEN = [
    (name, append == ">>", text)
    for append, name, text in re.findall(r"^cat (>>?) (\S+) <<'END'\n(.*?)^END$", PAGE, re.MULTILINE | re.DOTALL)
]
PLACE = re.compile(r"[0-9.]+ ms|[0-9a-f]{32,64}")


def shown() -> Iterator[tuple[str, str]]:
    """Each command of the page that has an answer, and the answer."""
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            last = next(at for at, line in enumerate(lines) if not line.endswith(("\\", "|")))
            command = " ".join(line.rstrip("\\").strip() for line in lines[: last + 1])
            yield command, "\n".join(lines[last + 1 :])


SHOWN = list(shown())


def answer_to(*words: str) -> list[str]:
    """What the page shows after commands that begin so."""
    return [answer for command, answer in SHOWN if command.startswith(" ".join(words))]


def without_chance(text: str) -> str:
    """A text without times and digests."""
    return PLACE.sub("…", text)


class Tutorial:
    """The folder of the tutorial, with a component that is signed as the page has it signed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signer: Signer = ecdsa()
        (folder / "cosign.pub").write_text(self.signer.public)
        for name in ("block-secrets", "block-keys"):
            self.put(name, GUARD)

    def put(self, name: str, component: Path) -> None:
        path = self.folder / "guards" / f"{name}.wasm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(component.read_bytes())
        signature = base64.b64encode(self.signer.sign(path.read_bytes())).decode()
        bundle = path.with_name(f"{path.name}.sigstore.json")
        bundle.write_text(json.dumps({"messageSignature": {"signature": signature}}))

    def policies(self) -> Iterator[Path]:
        """The policy as the page changes it, with the settings and the digest of the component."""
        text = ""
        for name, appended, written in WRITTEN:
            if name != "guardsvc.yaml":
                continue
            text = text + written if appended else written
            policy = yaml.safe_load(text)
            for guard in policy["policy"]["guards"]:
                if guard["type"] == "wasm":
                    guard["settings"]["config"] = SETTINGS
                    if "digest" in guard["settings"]:
                        guard["settings"]["digest"] = digest_of(GUARD.read_bytes())
            path = self.folder / name
            path.write_text(json.dumps(policy))
            yield path


@pytest.fixture
def tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tutorial]:
    monkeypatch.chdir(tmp_path)
    runtime.cache_clear()
    yield Tutorial(tmp_path)
    configure(WasmOptions())
    runtime.cache_clear()


def test_calls_are_judged_as_shown_by_every_policy_of_the_page(tutorial: Tutorial) -> None:
    checks = [(shlex.split(command)[1], answer) for command, answer in SHOWN if "guardsvc check" in command]
    assert len(checks) == 2

    policies = 0
    for policy in tutorial.policies():
        policies += 1
        for message, answer in checks:
            ended = run_here("check", "--config", policy, stdin=message.encode())
            if policies == 1:
                assert without_chance(ended.out).rstrip() == without_chance(answer).rstrip()
            assert ended.code == (ExitCode.REFUSED if answer.startswith("DENY") else 0), ended.err
    assert policies == 3


def test_signed_verified_and_rolled_back(tutorial: Tutorial) -> None:
    _, policy, _ = (path.read_text() for path in tutorial.policies())
    (verified,) = answer_to("guardsvc wasm verify")
    ended = run_here("wasm", "verify", "guards/block-secrets.wasm", "--key", "cosign.pub")
    assert without_chance(ended.out).rstrip() == without_chance(verified)

    path = tutorial.folder / "guardsvc.yaml"
    path.write_text(policy)
    load_configuration(path)
    path.write_text(policy.replace(json.dumps(SETTINGS), '{"patterns": {"name": "bluebird"}}'))
    tutorial.put("block-secrets", OTHER)
    load_configuration(path)
    for answer, more in zip(answer_to("guardsvc wasm rollback"), [(), ("--undo",)], strict=True):
        ended = run_here("wasm", "rollback", "block_secrets", "--config", "guardsvc.yaml", *more)
        assert (ended.code, without_chance(ended.out).rstrip()) == (0, without_chance(answer)), ended.err


def test_what_new_makes_and_what_the_page_changes_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = [command for command, _ in SHOWN if command.startswith("guardsvc wasm new")]
    assert len(made) == 2
    for command in made:
        assert [run_here(*shlex.split(command)[1:]).out.rstrip()] == answer_to(command)

    changed = [shlex.split(command)[2:] for command, _ in SHOWN if command.startswith("sed ")]
    assert len(changed) == 3
    for (expression, *names), name in ((each, name) for each in changed for name in each[1:]):
        _, before, after, _ = expression.split("#")
        assert name in names
        text = Path(name).read_text()
        assert before in text, (name, before)
        Path(name).write_text(text.replace(before, after))


def test_every_command_has_the_options_that_the_page_gives_it() -> None:
    commands = re.findall(r"guardsvc ((?:wasm )?[a-z]+)((?: [^|`\n]*)?)", PAGE)
    asked = {(name, option) for name, given in commands for option in re.findall(r"--[a-z-]+", given)}
    assert {"wasm rollback", "wasm verify", "wasm build", "serve", "check"} <= {name for name, _ in commands}
    assert {("check", "--config"), ("wasm verify", "--key"), ("wasm rollback", "--undo")} <= asked

    told = {name: run_here(*name.split(), "--help").out for name, _ in asked}
    assert [each for each in asked if each[1] not in told[each[0]]] == []


def test_the_programs_can_be_read_and_find_what_they_import() -> None:
    programs = {name: text for name, _, text in WRITTEN if name.endswith(".py")}
    assert set(programs) == {"server.py", "client.py"}
    for name, text in programs.items():
        compile(text, name, "exec")
        for module, names in re.findall(r"^from (\S+) import (.*)$", text, re.MULTILINE):
            assert [each for each in names.split(", ") if not hasattr(import_module(module), each)] == []


def test_ports_are_those_of_the_shipped_configuration() -> None:
    shipped = re.search(r"-c ~/guardsvc/(\S+)", PAGE)
    assert shipped is not None
    envoy = (ROOT / shipped[1]).read_text()
    assert {f"port_value: {port} " in envoy for port in (10000, 10080)} == {True}
