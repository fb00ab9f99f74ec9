"""The whole contract, ``wasm-guards/wit/guard.wit``, against what guardsvc expects and passes.

``all.wasm`` is a component of the world ``all`` whose functions do nothing but trap:
``wasm-tools component embed --dummy -w all wasm-guards/wit -o core.wasm && wasm-tools component new core.wasm``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from guardsvc.guards.wasm.contract.interface import EVALUATIONS, HOST, KV
from guardsvc.guards.wasm.contract.shape import Shape, shape_of
from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.guards.wasm.guard import WasmGuard
from guardsvc.guards.wasm.loading.engines import EngineKind, Engines
from guardsvc.guards.wasm.settings import WasmSettings
from guardsvc.model import Direction, GuardContext, Kind, Operation, Phase
from tests.guards.wasm.components import CALL, PATIENCE, ask

ALL = Path(__file__).with_name("all.wasm")
POINTS = sorted({point for evaluation in EVALUATIONS.values() for point in evaluation.points})


@pytest.fixture(scope="module")
def shape() -> Shape:
    from wasmtime.component import Component  # noqa: PLC0415  where it is needed

    engine = Engines().engine(EngineKind(fuel=False, stack=512 * 1024))
    return shape_of(Component(engine, ALL.read_bytes()), engine)


def test_names_and_types_are_those_of_the_contract(shape: Shape) -> None:
    assert shape.version == "1.0.0"
    assert set(shape.kinds) == set(EVALUATIONS)
    assert set(shape.settings) == {"schema", "validate"}
    assert [(each.interface, each.name) for each in shape.imports] == [
        *(("host", name) for name in HOST),
        *(("kv", name) for name in KV),
    ]
    assert sorted(shape.functions) == POINTS


def test_every_phase_but_one_can_be_judged() -> None:
    assert set(Phase) - {phase for _, phase in POINTS} == {Phase.OTHER}
    assert (Direction.REQUEST, Phase.TOOLS_LIST) not in POINTS


@pytest.mark.parametrize("packed", [True, False])
def test_every_function_takes_what_it_is_given(packed: bool, shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardsvc.guards.wasm.calls.call.supported", lambda: packed)
    monkeypatch.setattr("guardsvc.guards.wasm.loading.load._Trial.config", lambda _trial: {})
    settings = {"module": str(ALL), "allow_unsigned": True, "grants": {"kv": {}}, "quarantine": {"failures": 1000}}
    loaded = WasmGuard(WasmSettings.model_validate(settings), GuardContext(guard_id="all", timeout=PATIENCE))
    assert loaded.points == set(shape.functions)

    for direction, phase in POINTS:
        operation = Operation(
            protocol=CALL.protocol,
            direction=direction,
            phase=phase,
            kind=Kind.REQUEST if direction is Direction.REQUEST else Kind.RESULT,
            method="m",
            payload={"tools": [{"name": "t"}]},
        )
        with pytest.raises(WasmFailure) as caught:
            ask(loaded, operation)
        assert caught.value.name == "unreachable"
