"""What the commands share, and those that look at pins, approve them and forget them."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.guards.native.rug_pull import RUG_PULL, RugPull
from guardsvc.model import GuardFailure
from guardsvc.server.configuration import load_configuration
from guardsvc.state.baseline import Baseline
from guardsvc.state.open_tables import open_tables

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from guardsvc.state.baseline import Key
    from guardsvc.state.pins import Pin

__all__ = ["Selection", "end", "guard_of", "run_approve", "run_list", "run_reset", "selected", "told", "with_baseline"]

T = TypeVar("T")
SHORT = 19
"""Characters of a digest that are shown to people."""


@dataclass(frozen=True)
class Selection:
    """Which pins; see ``guardsvc baseline list --help``."""

    config: str
    guard: str | None
    tenant: str | None
    server: str | None
    shadow: bool

    def has(self, key: Key) -> bool:
        """Whether a pin is selected."""
        place = key[0]
        return self.tenant in (None, place.tenant) and self.server in (None, place.server)


def run_list(selection: Selection, *, as_json: bool) -> None:
    """Print the pins, and what the lockfile approves."""
    guard_id, guard = guard_of(selection)
    pins = _pins(selection, guard)
    rows = [_described(key, pin, locked=False) for key, pin in pins.items()]
    rows += [_described(key, pinned.pin, locked=True) for key, pinned in guard.locked.items() if selection.has(key)]
    if as_json:
        print(json.dumps({"guard": guard_id, "pins": rows}))
        return
    for row in rows:
        since = datetime.fromtimestamp(row["since"], UTC).strftime("%Y-%m-%d %H:%M") if row["since"] else "-"
        state = f"{row['state']}{', changed' if row['changed'] else ''}{', lockfile' if row['locked'] else ''}"
        columns = (told_place(row), f"{row['kind']} {row['name']}", state, row["digest"][:SHORT], since, row["by"])
        print("  ".join(columns).rstrip())
    print(f"{len(rows)} pins, {sum(row['state'] == 'approved' for row in rows)} approved")


def run_approve(selection: Selection, names: Sequence[str], *, every: bool, by: str) -> None:
    """Approve what is selected, and say what it is."""

    async def work(baseline: Baseline) -> int:
        pins = selected(await baseline.pins(), selection, names, every=every)
        for key, pin in pins.items():
            approved = await baseline.approve(key, pin, by or getpass.getuser())
            print(f"approved {told(key)} {approved.digest}")
        return len(pins)

    try:
        count = with_baseline(selection, work)
    except LookupError as error:
        end(str(error))
    print(f"{count} approved", file=sys.stderr)


def run_reset(selection: Selection, names: Sequence[str], *, every: bool) -> None:
    """Forget what is selected."""

    async def work(baseline: Baseline) -> int:
        pins = selected(await baseline.pins(), selection, names, every=every)
        await baseline.reset(pins.items())
        return len(pins)

    print(f"{with_baseline(selection, work)} forgotten", file=sys.stderr)


def guard_of(selection: Selection) -> tuple[str, RugPull]:
    """The guard that is meant, with its id."""
    policy = load_configuration(Path(selection.config)).policy
    guards = {bound.id: bound.guard for bound in policy.guards if bound.type.name == RUG_PULL.name}
    if selection.guard is None and len(guards) == 1:
        return next(iter(guards.items()))  # type: ignore[return-value]  # built by RUG_PULL
    if not guards:
        end(f"{selection.config} has no guard of type {RUG_PULL.name}")
    if selection.guard not in guards:
        legal = ", ".join(guards)
        end(f"--guard names no guard of type {RUG_PULL.name} in {selection.config}; there are: {legal}")
    return selection.guard, guards[selection.guard]  # type: ignore[return-value]  # built by RUG_PULL


def with_baseline(selection: Selection, work: Callable[[Baseline], Awaitable[T]]) -> T:
    """Do something with the pins that are stored; the end of the command where there is no store."""
    guard_id, guard = guard_of(selection)
    url = guard.store.url
    if url is None:
        end(f"{guard_id} keeps its pins in the memory of the service; set storage to sqlite:/path or a Redis URL")

    async def run() -> T:
        tables = open_tables(url, time.monotonic)
        try:
            return await work(Baseline(tables, guard_id, shadow=selection.shadow))
        finally:
            await tables.close()

    try:
        return asyncio.run(run())
    except GuardFailure as error:
        print(f"guardsvc: the store does not answer: {error}", file=sys.stderr)
        sys.exit(ExitCode.UNAVAILABLE)


def selected(pins: dict[Key, Pin], selection: Selection, names: Sequence[str], *, every: bool) -> dict[Key, Pin]:
    """The pins of these names, or all; the end of the command where a name has none, or nothing is asked for."""
    if every == bool(names):
        end("give names, or --all")
    mine = {key: pin for key, pin in pins.items() if selection.has(key) and (every or key[2] in names)}
    missing = [name for name in names if all(key[2] != name for key in mine)]
    if missing:
        end(f"nothing is pinned of the name {', '.join(missing)}")
    return mine


def told(key: Key) -> str:
    """A key in words."""
    place, kind, name = key
    return f"{told_place({'tenant': place.tenant, 'server': place.server})} {kind} {name}"


def told_place(row: dict[str, Any]) -> str:
    """A tenant and a server in words."""
    return f"{row['tenant'] or '-'}/{row['server']}"


def end(message: str) -> NoReturn:
    """End the command: it is used wrongly."""
    print(f"guardsvc: {message}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)


def _pins(selection: Selection, guard: RugPull) -> dict[Key, Pin]:
    if guard.store.url is None and guard.locked:
        return {}

    async def work(baseline: Baseline) -> dict[Key, Pin]:
        return {key: pin for key, pin in (await baseline.pins()).items() if selection.has(key)}

    return with_baseline(selection, work)


def _described(key: Key, pin: Pin, *, locked: bool) -> dict[str, Any]:
    place, kind, name = key
    return {
        "tenant": place.tenant,
        "server": place.server,
        "kind": str(kind),
        "name": name,
        "state": str(pin.state),
        "digest": pin.digest,
        "changed": pin.changed,
        "since": pin.since,
        "by": pin.by,
        "locked": locked,
    }
