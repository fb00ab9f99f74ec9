"""WASM guards in a running service: asked over ext_authz, reloaded while it runs, no wasmtime without any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.guards.wasm.components import ANSWER, answer_of, component
from tests.server.process import gateway, serving

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """
service: {{wasm: {{cache: {cache}, threads: 2}}}}
policy:
  deadline_ms: 60000
  guards:
    - type: wasm
      id: vendor
      timeout_ms: 60000
      settings: {{module: {module}, allow_unsigned: true, quarantine: {{failures: 2, first_s: 60, longest_s: 60}}}}
"""
RETURN = f'(func (export "evaluate") (param i32) (result i32) (i32.const {ANSWER}))'
TRAPS = '(func (export "evaluate") (param i32) (result i32) unreachable)'


def denying(code: str) -> bytes:
    return component(answer_of("deny", code, "No.") + RETURN)


def put(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    draft.rename(path)


def call(**arguments: str) -> bytes:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read", "arguments": arguments}}
    return json.dumps(message).encode()


def config(folder: Path, module: Path) -> Path:
    path = folder / "guardsvc.yaml"
    path.write_text(POLICY.format(cache=folder / "cache", module=module))
    return path


def test_blocks_over_ext_authz_and_is_reloaded_while_it_runs(tmp_path: Path) -> None:
    module = tmp_path / "guard.wasm"
    put(module, denying("first_version"))
    with serving(tmp_path, "--config", str(config(tmp_path, module))) as running:
        with gateway(running.grpc_address) as asking:
            assert asking.verdict(call()) == "first_version"

            put(module, b"\0asm broken")
            failed = running.wait_for_log("reload_failed")
            assert "is no component that can be used" in failed["problems"][0]
            assert running.metric("guardsvc_policy_stale") == 1
            assert asking.verdict(call()) == "first_version"

            put(module, denying("second_version"))
            loaded = running.wait_for_log("policy_loaded")
            assert loaded["policy"] != loaded["before"]
            assert asking.verdict(call()) == "second_version"
            assert running.metric("guardsvc_policy_stale") == 0

            put(module, component(TRAPS))
            running.wait_for_log("policy_loaded", 2)
            assert [asking.verdict(call()) for _ in range(4)] == ["guard_trap"] * 2 + ["guard_quarantined"] * 2
            running.wait_for_metric('guardsvc_wasm_traps_total{guard="vendor",kind="unreachable"}', 2)
            running.wait_for_metric('guardsvc_wasm_quarantined{guard="vendor"}', 1)
            running.wait_for_metric("guardsvc_wasm_queue_seconds_count", 5)
            assert running.logs("wasm_guard_quarantined")[0]["guard"] == "vendor"
        assert running.end() == 0
    assert len(list((tmp_path / "cache").glob("*.cwasm"))) == 3


PROGRAM = """
import json, sys
from pathlib import Path
from guardsvc.server.configuration import load_configuration
policy = load_configuration(Path(sys.argv[1])).policy
import guardsvc.server.service, guardsvc.cli.app
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules} & {"sqlite3", "wasmtime"})))
"""


@pytest.mark.parametrize("with_guard", [False, True])
def test_wasmtime_is_imported_where_there_is_such_a_guard_only(with_guard: bool, tmp_path: Path) -> None:
    path = tmp_path / "guardsvc.yaml"
    path.write_text("policy: {preset: default}")
    if with_guard:
        module = tmp_path / "guard.wasm"
        put(module, denying("no"))
        path = config(tmp_path, module)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(path)],
        check=True,
        capture_output=True,
        env={**os.environ, "GRPC_VERBOSITY": "NONE"},
    )

    assert json.loads(done.stdout) == (["wasmtime"] if with_guard else [])
