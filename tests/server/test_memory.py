"""The bound that is printed at start has a part for everything that may be held."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.guards.registry import load_registry
from guardsvc.server.configuration import load_configuration
from guardsvc.server.memory import COMPILING, MIB, PARTS_OF_FACTS, memory_bound
from guardsvc.state import Sources
from tests.guards.wasm.conftest import GUARDS

if TYPE_CHECKING:
    from pathlib import Path

    from guardsvc.model import GuardType


def bound(folder: Path, service: dict[str, Any], *guards: dict[str, Any]) -> dict[str, int]:
    file = folder / "policy.yaml"
    file.write_text(json.dumps({"service": service, "policy": {"guards": guards}}))
    return {part: size // MIB for part, size in memory_bound(load_configuration(file)).items()}


def test_streams_of_ext_proc_have_their_part(tmp_path: Path) -> None:
    assert bound(tmp_path, {})["streams"] == 128
    pair = {"workers": 2, "metrics": {"address": "127.0.0.1:0"}, "overload": {"max_streams": 16}}
    assert bound(tmp_path, pair)["streams"] == 2


def test_connections_have_theirs(tmp_path: Path) -> None:
    assert bound(tmp_path, {})["connections"] == 128
    listeners = {name: {"address": "127.0.0.1:0"} for name in ("a", "b")}
    listeners["web"] = {"address": "127.0.0.1:0", "serves": "http"}
    assert bound(tmp_path, {"listeners": listeners, "grpc": {"max_connections": 1024}})["connections"] == 128


@pytest.mark.parametrize(
    ("guard", "part"),
    [
        ({"type": "protocol_compliance"}, 0),
        ({"type": "rug_pull", "settings": {"storage": "sqlite:/tmp/baseline.db"}}, 64),
        ({"type": "rug_pull", "settings": {"storage": "memory"}}, 192),
        ({"type": "rug_pull", "settings": {"storage": "memory"}, "enabled": False}, 0),
    ],
)
def test_catalogs_have_theirs(tmp_path: Path, guard: dict[str, Any], part: int) -> None:
    assert bound(tmp_path, {}, guard)["catalogs"] == part


NEEDED: dict[str, dict[str, Any]] = {
    "rate_limit": {"limits": [{"key": ["tool"], "windows": ["10/minute"]}]},
    "auth_bypass": {"sessions": {}},
    "rug_pull": {"storage": "memory"},
}
"""Settings that a guard must have, or without which it remembers nothing."""
MODULE: dict[str, Any] = {
    "module": str(GUARDS / "rust" / "forbidden_text.wasm"),
    "allow_unsigned": True,
    "config": {"in_arguments": "x"},
}


@pytest.mark.parametrize(
    "type_", [type_ for type_ in load_registry().values() if type_.facts], ids=lambda type_: str(type_.name)
)
def test_what_a_guard_remembers_has_its_part(tmp_path: Path, type_: GuardType[Any]) -> None:
    parts = bound(tmp_path, {}, {"type": type_.name, "settings": NEEDED.get(type_.name, {})})
    for fact in type_.facts:
        assert parts[PARTS_OF_FACTS[fact][0]] > 0


async def test_every_source_has_its_part() -> None:
    async with Sources() as sources:
        assert sources.facts.keys() == PARTS_OF_FACTS.keys()


def test_names_and_states_have_their_parts(tmp_path: Path) -> None:
    parts = bound(tmp_path, {}, {"type": "catalog_anomaly"}, {"type": "input_request"})
    assert (parts["names"], parts["states"], parts["lists"]) == (32, 16, 20)
    elsewhere = bound(tmp_path, {}, {"type": "catalog_anomaly", "settings": {"storage": "sqlite:/tmp/names.db"}})
    assert (elsewhere["names"], elsewhere["states"]) == (16, 0)
    indexed = bound(tmp_path, {}, {"type": "catalog_anomaly"}, {"type": "tool_shadowing"})
    assert indexed["names"] > parts["names"] + 16


def test_wasm_guards_have_theirs(tmp_path: Path) -> None:
    def of(*more: dict[str, Any], **settings: Any) -> int:
        guard = {"type": "wasm", "settings": MODULE | settings}
        return bound(tmp_path, {"wasm": {"threads": 2}}, guard, *more)["wasm"]

    assert bound(tmp_path, {})["wasm"] == 0
    one = of()
    guest = 4 * 16 + 128
    assert one == 2 * 16 + 16 * 16 + 3 * guest
    assert of(limits={"module_mib": 40}) == one + (2 + 16) * 24
    assert of({"type": "wasm", "id": "b", "settings": MODULE}) == one + 2 * 16
    candidate = {**MODULE, "share": 10, "salt": "s"}
    assert of(variants=candidate) == one + 2 * 16 + guest
    kv = {"kv": {"bytes": MIB, "tenants": 10}}
    assert of(variants=candidate, grants=kv) == one + 2 * 16 + guest + 20
    assert of(variants={**candidate, "mode": "enforce"}, grants=kv) == one + 2 * 16 + guest + 30


COMPILE = """
import sys
from pathlib import Path
from guardsvc.guards.wasm.loading.compiled import CompiledCache
from guardsvc.guards.wasm.loading.engines import EngineKind, Engines
from guardsvc.guards.wasm.loading.module import Modules

def most():
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024

content = Path(sys.argv[1]).read_bytes()
modules = Modules(Engines(), CompiledCache(Path("/proc/nowhere")))
before = most()
module = modules.load(content, "sha256:0", EngineKind(fuel=False, stack=512 * 1024))
print(most() - before, module.size)
"""


@pytest.mark.long
@pytest.mark.parametrize("language", ["go", "javascript"])
def test_compiling_takes_no_more_than_it_is_counted_with(language: str) -> None:
    component = GUARDS / language / "forbidden_text.wasm"
    ended = subprocess.run(
        [sys.executable, "-c", COMPILE, str(component)], capture_output=True, check=True, timeout=600, text=True
    )
    took, size = map(int, ended.stdout.splitlines()[-1].split())

    assert 4 * size < took < COMPILING * size
