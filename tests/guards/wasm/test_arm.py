"""What asking a component leaves behind: nothing that garbage collection has to find, which stops all decisions."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.model import Operation
from tests.guards.wasm.components import ANSWER, call_of, guard
from tests.server.process import wait_until

if TYPE_CHECKING:
    from pathlib import Path

CALLS = 20


@pytest.mark.parametrize("body", [f"i32.const {ANSWER}", "unreachable"])
def test_no_operation_is_kept(body: str, tmp_path: Path) -> None:
    core = f'(func (export "evaluate") (param i32) (result i32) {body})'
    loaded = guard(tmp_path, core, settings={"quarantine": {"failures": 1000}})

    async def calls() -> None:
        for _ in range(CALLS):
            with suppress(WasmFailure):
                await loaded.evaluate(call_of(of="this test"), {})

    def kept() -> bool:
        return any(type(each) is Operation and "this test" in str(each.payload) for each in gc.get_objects())

    asyncio.run(calls())
    gc.collect()
    gc.disable()
    try:
        asyncio.run(calls())
        wait_until(lambda: not kept(), "the threads sleep")
    finally:
        gc.enable()
