"""``guardsvc baseline export`` and ``import``: pins as a lockfile."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from guardsvc.cli.baseline.run import Selection, end, with_baseline
from guardsvc.guards.native.rug_pull.lockfile import LockfileError, Pinned, read_lockfile, written
from guardsvc.state.pins import PinState

if TYPE_CHECKING:
    from guardsvc.guards.native.rug_pull.lockfile import Locked
    from guardsvc.state.baseline import Baseline, Key

__all__ = ["run_export", "run_import"]


def run_export(selection: Selection, file: str, *, learning: bool) -> None:
    """Write the lockfile."""

    async def work(baseline: Baseline) -> Locked:
        locked: dict[Key, Pinned] = {}
        for key, pin in (await baseline.pins()).items():
            if not selection.has(key) or (pin.state is PinState.LEARNING and not learning):
                continue
            definition = await baseline.definition(key[0], pin.digest)
            if definition is None:
                end(f"{key[1]} {key[2]}: the definition of {pin.digest} is not kept")
            locked[key] = Pinned(pin, definition)
        return locked

    locked = with_baseline(selection, work)
    text = written(locked)
    if file == "-":
        print(text, end="")
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        end(f"{file} cannot be written: {error.strerror}")
    print(f"{file}: {len(locked)} pins", file=sys.stderr)


def run_import(selection: Selection, file: str) -> None:
    """Approve what the lockfile names."""
    try:
        locked = read_lockfile(Path(file))
    except LockfileError as error:
        end(str(error))

    async def work(baseline: Baseline) -> int:
        mine = {key: pinned for key, pinned in locked.items() if selection.has(key)}
        for key, pinned in mine.items():
            await baseline.put(key, msgspec.structs.replace(pinned.pin, by=pinned.pin.by or file), pinned.definition)
        return len(mine)

    print(f"{with_baseline(selection, work)} approved", file=sys.stderr)
